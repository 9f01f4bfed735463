"""Reports need nothing but themselves; the documents say what the results say."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.speed import tables
from shelly_local.commands.main import main
from tests.benchmark_toys import MODULE
from tests.cloud_fixtures import HAPPY, Opener
from tests.conftest import PICTURES
from tests.fake_clouds import serving

#: Attributes by which a page makes a browser fetch something.
LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "background"}


class Page(HTMLParser):
    """Collects what a page would load, its tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in LOADING]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of two toys, one of which misses half of the pictures."""
    folder = tmp_path_factory.mktemp("results")
    for label, person in (("happiness", "smiling"), ("neutral", "neutral")):
        (folder / f"<people>/{label}").mkdir(parents=True)
        shutil.copy(PICTURES / f"people/026-{person}.jpg", folder / f"<people>/{label}/026.jpg")
        shutil.copy(PICTURES / f"people/030-{person}.jpg", folder / f"<people>/{label}/030.jpg")
    backends = ["--backends", f"{MODULE}:hesitant,{MODULE}:unsure"]
    accuracy = ["--data", str(folder / "<people>"), "--json", str(folder / "accuracy.json")]
    assert main(["benchmark", "accuracy", *accuracy, *backends]) == 0
    latency = [str(PICTURES / "neutral.jpg"), "--json", str(folder / "latency.json"), "--runs", "3"]
    latency += ["--cold-runs", "0", "--concurrency", "1,2"]
    assert main(["benchmark", "latency", *latency, *backends]) == 0
    return folder


def files(results: Path) -> list[str]:
    return [str(results / "accuracy.json"), str(results / "latency.json")]


def test_page_is_self_contained(results: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert main(["benchmark", "report", *files(results), "--html", str(output)]) == 0
    page = Page(output.read_text(encoding="utf-8"))
    plots = [value for value in page.loads if value.startswith("data:image/svg+xml;base64,")]
    assert len(plots) == len(page.loads) == 5
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    for plot in plots:
        drawn = ElementTree.fromstring(base64.b64decode(plot.split(",")[1]))
        links = [value for e in drawn.iter() for name, value in e.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)
    assert "Accuracy: <people>, 4 pictures" in page.text
    assert page.text.index("At a glance") < page.text.index("50.0 %")
    for product in ("DetectFaces", "Cloud Vision API"):
        assert product in page.text
    assert "Check them before you decide" in page.text


def test_how_a_clouds_words_became_classes(open_at: Opener, tmp_path: Path) -> None:
    """The tables of the code travel in the report, and a stand-in is not taken for the vendor."""
    (tmp_path / "photos/happiness").mkdir(parents=True)
    shutil.copy(PICTURES / "people/026-smiling.jpg", tmp_path / "photos/happiness")
    file, output = str(tmp_path / "accuracy.json"), tmp_path / "report.html"
    options = ["--backends", "rekognition", "--allow-cloud", "--json", file]
    with serving(HAPPY["rekognition"]) as cloud:
        open_at("rekognition", cloud.url)
        arguments = ["--data", str(tmp_path / "photos"), *options]
        assert main(["benchmark", "accuracy", *arguments]) == 0
    assert main(["benchmark", "report", file, "--html", str(output)]) == 0
    text = Page(output.read_text(encoding="utf-8")).text
    assert "rekognition (server on this machine): ANGRY is anger;" in text
    assert "CALM is neutral" in text
    assert "CONFUSED is no answer; UNKNOWN is no answer." in text


def test_markdown_with_plots_beside_it(results: Path, tmp_path: Path) -> None:
    output = tmp_path / "my report.md"
    assert main(["benchmark", "report", *files(results), "--markdown", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    assert "| tests.benchmark_toys:hesitant | 4 | 50.0 % |" in text
    for name in ("confusion-1", "reliability-1", "latency-1", "accuracy-against-latency-1"):
        assert f"](<my%20report-plots/{name}.svg>)" in text
        ElementTree.parse(tmp_path / f"my report-plots/{name}.svg")
    only_tables = tmp_path / "tables.md"
    arguments = ["--markdown", str(only_tables), "--no-plots"]
    assert main(["benchmark", "report", *files(results), *arguments]) == 0
    assert "](" not in only_tables.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no result file"),
        ("[]", "is no result file"),
        ('{"kind": "accuracy", "format": 99}', "has the format 99, expected 1"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_results(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    if content is not None:
        file.write_text(content)
    output = str(tmp_path / "report.html")
    assert main(["benchmark", "report", str(file), "--html", output]) == 1
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["benchmark", "report", str(file)])


def test_tables_of_the_documents_follow_the_results(results: Path, tmp_path: Path) -> None:
    committed = tmp_path / "benchmarks/results"
    committed.mkdir(parents=True)
    for file in files(results):
        shutil.copy(file, committed)
    texts = [tmp_path / "docs/results.md", tmp_path / "benchmarks/README.md"]
    (tmp_path / "docs").mkdir()
    for text in texts:
        text.write_text(f"# Above\n\n{tables.BEGIN}\nold\n{tables.END}\n\nBelow.\n")
    assert tables.stale(tmp_path) == tables.update(tmp_path) == texts
    assert tables.stale(tmp_path) == tables.update(tmp_path) == []
    short, full = (text.read_text() for text in texts)
    assert "| tests.benchmark_toys:hesitant | 50.0 % (50.0 to 50.0) | 100.0 % |" in short
    assert "ms, neutral.jpg (1350×1350)" in short
    assert "| rekognition | not measured: needs your key | – | – | 1.00 |" in short
    assert "IBM" not in short  # it does not sell any more
    assert "Check the prices before you decide" in short
    assert "| tests.benchmark_toys:hesitant | 4 | 50.0 % |" in full
    assert "### Accuracy" in full
    assert all(text.endswith(f"{tables.END}\n\nBelow.\n") for text in (short, full))
    assert "old" not in short

    texts[0].write_text(short.replace("50.0 %", "99.0 %"))
    assert tables.stale(tmp_path) == [texts[0]]
    changed: dict[str, Any] = json.loads((committed / "accuracy.json").read_text())
    changed["backends"][f"{MODULE}:hesitant"]["accuracy"] = 0.75
    (committed / "accuracy.json").write_text(json.dumps(changed))
    assert tables.stale(tmp_path) == texts
    texts[0].write_text("no markers")
    with pytest.raises(tables.TableError, match="must hold, once"):
        tables.update(tmp_path)


COMMITTED = sorted((tables.ROOT / "benchmarks/results").glob("*.json"))


def test_the_committed_tables_are_those_of_the_committed_results() -> None:
    assert COMMITTED
    assert tables.stale() == []


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_committed_results_hold_figures_only(file: Path) -> None:
    """No address of a file, and nothing of single pictures of a data set."""
    content = json.loads(file.read_text(encoding="utf-8"))
    assert "-dirty" not in (content["git_commit"] or "")
    for key, text in strings(content):
        assert not key.startswith("/"), key
        assert not any(Path(word).is_absolute() for word in text.split()), text
    if content["kind"] == "accuracy":
        assert set(content["data"]) == {
            "kind", "name", "pictures", "subjects", "per_class", "left_out", "mapped", "notes",
            "asked_about",
        }  # fmt: skip
        assert not {"rows", "pictures", "subjects_list"} & content.keys()


def strings(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a result, with the key that it stands under."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from strings(value, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from strings(value, key)
    elif isinstance(content, str):
        yield key, content
