"""A child process that asks one backend about one picture, for ``processes``.

    python -m benchmarks.worker BACKEND PHOTO --rounds 5

Writes a line of JSON after the first answer and another at the end; whatever libraries print
goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, TextIO

from shelly_local.errors import ShellyError

from .children import memory_mb
from .contenders import Entry, open_contender


def main(argv: list[str] | None = None) -> int:
    """Ask, and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker")
    parser.add_argument("backend")
    parser.add_argument("photo", type=Path)
    parser.add_argument("--rounds", type=int, default=0, help="answers after the first one")
    parser.add_argument("--options", type=json.loads, default={})
    arguments = parser.parse_args(argv)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        content = arguments.photo.read_bytes()
        entry = Entry(arguments.backend, open_contender(arguments.backend, arguments.options))
        with entry.stopwatch:
            _, phases = entry.classify(content)
        _tell(answers, {"phases": phases})
        cpu = time.process_time()
        for _ in range(arguments.rounds):
            entry.classify(content)
        cpu = time.process_time() - cpu
        _tell(
            answers,
            {
                "cpu_s": cpu / arguments.rounds if arguments.rounds else None,
                "peak_memory_mb": memory_mb(),
            },
        )
        entry.close()
    except ShellyError as error:
        _tell(answers, {"error": error.as_dict()})
        return 1
    return 0


def _tell(stream: TextIO, values: dict[str, Any]) -> None:
    stream.write(json.dumps(values) + "\n")
    stream.flush()


if __name__ == "__main__":
    raise SystemExit(main())
