"""Every command of training and benchmarks explains itself."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.conftest import ROOT

COMMANDS = sorted(
    f"{folder.replace('/', '.')}.{path.stem}"
    for folder in ("training", "benchmarks", "benchmarks/speed")
    for path in (ROOT / folder).glob("*.py")
    if "\nif __name__ ==" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(command)
    monkeypatch.setattr("sys.argv", [command, "--help"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ")
    # A default alone does not say what an option does.
    assert not re.search(r"^  -[\w-]+( [A-Z_]+| \{[^}]*\})?\s{2,}\(default", text, re.M)
