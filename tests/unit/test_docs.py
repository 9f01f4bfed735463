"""The documents: no link leads nowhere, what is generated is current, examples run."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest

from tests.conftest import PICTURES, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])
LINK = re.compile(r'\]\(([^)#\s]+)(?:#[^)]*)?\)|src="([^"]+)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [first or second for first, second in LINK.findall(page.read_text(encoding="utf-8"))]
    for link in links:
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / link).exists(), link


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_the_settings_are_those_of_the_table() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == made["page"]()


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_examples_in_python_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PICTURES / "smiling.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), {"__name__": "example"})
    if page.startswith("docs"):
        assert (tmp_path / "marked.png").is_file()
