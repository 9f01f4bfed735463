"""Tables of docs/results.md and of benchmarks/README.md, from ``benchmarks/results/*.json``.

python -m benchmarks.speed.tables            # rewrites what stands between the markers
python -m benchmarks.speed.tables --check    # exit code 1 if that would change anything
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shelly_local.errors import ShellyError

from .. import contents, report, results

ROOT = Path(__file__).resolve().parents[2]
#: Around what this module writes; both stand alone on a line.
BEGIN = "<!-- benchmark results: written by python -m benchmarks.speed.tables -->"
END = "<!-- end of benchmark results -->"


class TableError(ShellyError):
    """A text has no place for the tables, or is not to be read."""

    error_id = "table_error"


def generated(root: Path = ROOT) -> dict[Path, str]:
    """What should stand between the markers of each text; nothing before there are results.

    Raises:
        ResultError: a result file cannot be read.
    """
    files = [results.load(file) for file in sorted((root / "benchmarks/results").glob("*.json"))]
    if not files:
        return {}
    days = sorted({content["date"][:10] for content in files})
    machines = list(dict.fromkeys(contents.machine_text(content) for content in files))
    # Title and definitions stand there already.
    tables = report.build(files, with_plots=False) | {"whole": False}
    return {
        root / "docs/results.md": report.markdown(
            "short", tables | {"days": days, "machines": machines}
        ),
        root / "benchmarks/README.md": report.markdown("report", tables, shift=1),
    }


def rewritten(text: str, tables: str, file: Path) -> str:
    """A text with new tables between its markers.

    Raises:
        TableError: it has not exactly one pair of markers.
    """
    lines = text.splitlines()
    begins = [i for i, line in enumerate(lines) if line == BEGIN]
    ends = [i for i, line in enumerate(lines) if line == END]
    if len(begins) != 1 or len(ends) != 1 or begins > ends:
        raise TableError(f"{file} must hold, once and on lines of their own, {BEGIN} and {END}")
    before, after = lines[: begins[0] + 1], lines[ends[0] :]
    return "\n".join([*before, "", tables.strip(), "", *after]) + "\n"


def stale(root: Path = ROOT) -> list[Path]:
    """The texts that do not say what the results say.

    Raises:
        ShellyError: a result or a text cannot be used.
    """
    return [file for file, tables in generated(root).items() if _differs(file, tables)]


def update(root: Path = ROOT) -> list[Path]:
    """Rewrite what is stale; which texts that were.

    Raises:
        ShellyError: a result or a text cannot be used.
    """
    changed = []
    for file, tables in generated(root).items():
        if _differs(file, tables):
            results.write_text(rewritten(_read(file), tables, file), file)
            changed.append(file)
    return changed


def main(argv: list[str] | None = None) -> int:
    """Rewrite or check."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.tables",
        description="Bring the tables of docs/results.md and benchmarks/README.md "
        "up to the committed results.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only tell")
    arguments = parser.parse_args(argv)
    try:
        changed = stale() if arguments.check else update()
    except ShellyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for file in changed:
        print(f"{file.relative_to(ROOT)}: {'stale' if arguments.check else 'rewritten'}")
    return int(arguments.check and bool(changed))


def _differs(file: Path, tables: str) -> bool:
    text = _read(file)
    return rewritten(text, tables, file) != text


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise TableError(f"{file} cannot be read: {error.strerror}") from error


if __name__ == "__main__":
    raise SystemExit(main())
