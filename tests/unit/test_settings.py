"""Settings from flags, environment and file, as ``shelly web`` reads them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from shelly_local import VisualRecognition
from shelly_local.commands.main import main
from shelly_local.settings import SettingError, host_name, resolve, whole_number, yes_or_no
from shelly_local.settings.table import COMMANDS

FILE = """
host = "0.0.0.0"
backend = ["local", "google"]

[web]
port = 5001
log-format = "json"

[serve]
port = 5002
"""


def web(flags: dict[str, Any] | None = None, **environment: str) -> dict[str, Any]:
    return resolve(COMMANDS, flags or {}, table="web", environment=environment)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shelly.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    settings = web()
    assert (settings["host"], settings["port"], settings["threads"]) == ("127.0.0.1", 4000, 4)
    assert list(settings["backend"]) == ["local"]
    assert settings["model"] is None


def test_flags_beat_the_environment_and_that_the_file(tmp_path: Path) -> None:
    path = str(written(tmp_path, FILE))
    file = web(SHELLY_CONFIG=path)
    assert (file["host"], file["port"], file["log_format"]) == ("0.0.0.0", 5001, "json")
    assert file["backend"] == ["local", "google"]
    both = web(SHELLY_CONFIG=path, SHELLY_PORT="6001", SHELLY_BACKEND="ibm, local")
    assert (both["port"], both["backend"]) == (6001, ["ibm", "local"])
    flags = {"port": 7001, "backend": [["google", "ibm"], ["local"]], "config": Path(path)}
    all_three = web(flags, SHELLY_CONFIG="nowhere.toml", SHELLY_PORT="6001", SHELLY_HOST="::1")
    assert (all_three["host"], all_three["port"]) == ("::1", 7001)
    assert all_three["backend"] == ["google", "ibm", "local"]
    assert all_three["log_format"] == "json"


def test_a_blank_variable_is_none() -> None:
    assert web(SHELLY_PORT=" ", SHELLY_CONFIG="")["port"] == 4000


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SHELLY_PORT", "x", "SHELLY_PORT: must be a whole number from 0 to 65535, got 'x'"),
        ("SHELLY_PORT", "65536", "from 0 to 65535, got '65536'"),
        ("SHELLY_PORT", "9" * 5000, "SHELLY_PORT: must be a whole number"),
        ("SHELLY_THREADS", "0", "SHELLY_THREADS: must be a whole number of at least 1, got '0'"),
        ("SHELLY_LOG_FORMAT", "xml", "SHELLY_LOG_FORMAT: must be one of none, text, json; got"),
        ("SHELLY_ALLOWED_HOST", "http://a", "SHELLY_ALLOWED_HOST: must be a host name"),
    ],
)
def test_errors_name_the_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        web(None, **{variable: value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[web]\nport = 'x'", r"shelly.toml, web.port: must be a whole number .* got 'x'"),
        ("port = 1.5", r"shelly.toml, port: must be a text or a whole number, got 1.5"),
        ("threads = true", r"shelly.toml, threads: must be a whole number .* got 'true'"),
        ("colour = 'red'", r"unknown setting colour; choose from host, port"),
        ("[web]\ncolour = 'red'", r"unknown setting web.colour; choose from host, port"),
        ("web = 3", r"web must be a table"),
        ("port = ", r"no TOML"),
        ("#" * 70_000, r"at most 65536 bytes"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        web(SHELLY_CONFIG=str(written(tmp_path, text)))


def test_a_missing_file_and_one_without_text(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"missing.toml: cannot be read: No such file"):
        web({"config": tmp_path / "missing.toml"})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"binary.toml: no TOML"):
        web({"config": tmp_path / "binary.toml"})


def test_the_command_says_what_is_wrong_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELLY_PORT", "x")
    assert main(["web"]) == 1
    error = capsys.readouterr().err
    assert error == "shelly: SHELLY_PORT: must be a whole number from 0 to 65535, got 'x'\n"
    assert main(["web", "--port", "0", "--backend", "local,azure"]) == 1
    error = capsys.readouterr().err
    assert "unknown backend 'azure'" in error
    assert "local, ibm, rekognition, google" in error


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Shelly.Example", "shelly.example"),
        ("10.0.0.7", "10.0.0.7"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_host_names(given: str, name: str) -> None:
    assert host_name(given) == name


@pytest.mark.parametrize("given", ["", "a b", "http://a", "a:80", "a/b", "[::1]:80", "me@a"])
def test_no_host_names(given: str) -> None:
    with pytest.raises(ValueError, match="host name without scheme and port"):
        host_name(given)


def test_parsers() -> None:
    assert whole_number(1)("12") == 12
    with pytest.raises(ValueError, match="of at least 1, got '0'"):
        whole_number(1)("0")
    assert [yes_or_no("true"), yes_or_no("False")] == [True, False]
    with pytest.raises(ValueError, match="one of true, false"):
        yes_or_no("1")
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 65535"):
        COMMANDS["web"][1].argument("x")


DOCUMENTED = """
backend = ["local", "rekognition"]
without-key = true

[web]
port = 8080
"""


@pytest.mark.parametrize(("table", "port"), [("web", 8080), ("serve", 4001), ("classify", None)])
def test_one_file_for_all_commands(tmp_path: Path, table: str, port: int | None) -> None:
    settings = resolve(
        COMMANDS, {}, table=table, environment={"SHELLY_CONFIG": str(written(tmp_path, DOCUMENTED))}
    )
    assert settings["backend"] == ["local", "rekognition"]
    assert settings.get("port") == port
    assert ("without_key" in settings) is (table == "serve")


def test_a_name_means_the_same_to_every_command() -> None:
    for name in {setting.name for settings in COMMANDS.values() for setting in settings}:
        kinds = {
            (setting.many, setting.metavar, setting.parse.__qualname__)
            for settings in COMMANDS.values()
            for setting in settings
            if setting.name == name
        }
        assert len(kinds) == 1, name


def test_a_setting_of_another_command_in_ones_own_table(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown setting web.without-key; choose from host"):
        web(SHELLY_CONFIG=str(written(tmp_path, "[web]\nwithout-key = true")))


@pytest.mark.parametrize("names", ["local,rekognition", " local , rekognition "])
def test_several_backends_where_one_answers(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    smiling_photo: Path,
    names: str,
) -> None:
    """The first answers, as it is the page's default."""
    monkeypatch.setenv("SHELLY_BACKEND", names)
    assert main(["classify", str(smiling_photo)]) == 0
    assert "happiness" in capsys.readouterr().out
    answer = VisualRecognition().classify(smiling_photo.read_bytes()).get_result()
    assert answer["images"][0]["classifiers"][0]["classes"][0]["class"] == "happiness"
    with pytest.raises(SystemExit):
        main(["classify", str(smiling_photo), "--backend", "local,rekognition"])
    assert "--backend takes one name here" in capsys.readouterr().err


def test_what_default_answers_for_whom() -> None:
    assert resolve(COMMANDS, {}, table="serve", environment={})["default"] == "general"
    assert resolve(COMMANDS, {}, table="web", environment={})["default"] == "emotion"
