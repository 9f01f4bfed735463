"""The console command as a process: help, usage, start-up, the end of it, and the server."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shelly_local import __version__
from shelly_local.commands.main import main
from tests.conftest import ROOT

SHELLY = [sys.executable, "-m", "shelly_local"]
#: Long enough for a busy machine, short enough to notice a hang; in seconds.
TIMEOUT = 120


class Outcome(NamedTuple):
    """What a run of the command left."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The objects of JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of CSV."""
        return list(csv.DictReader(io.StringIO(self.out)))


def start(*arguments: str | Path | bytes, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command as a process of its own."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT}
    return subprocess.Popen([*SHELLY, *arguments], **{**settings, **options})


def finish(process: subprocess.Popen[bytes], stdin: bytes | None = None) -> Outcome:
    """Wait for a process and collect what it wrote."""
    try:
        out, err = process.communicate(stdin, timeout=TIMEOUT)
    finally:
        process.kill()
    return Outcome(process.returncode, out.decode(), err.decode())


def interruptible(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command so that Ctrl-C reaches it even where this process ignores it."""

    def hear_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return start(*arguments, preexec_fn=hear_ctrl_c, **options)


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("command", [[], ["classify"], ["web"]])
def test_help_shows_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"\nexamples:\n  shelly {' '.join(command)}".rstrip() in text
    assert "default: None" not in text
    for line in text.splitlines():
        assert len(line) <= 100


def test_help_names_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["web", "--help"])
    text = capsys.readouterr().out
    assert "default: 127.0.0.1" in text
    assert "default: 4000" in text


def test_version() -> None:
    assert finish(start("--version")) == (0, f"shelly {__version__}\n", "")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("usage: shelly")
    assert shown.out == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sing"], "sing"),
        (["classify"], "PATH"),
        (["classify", "a.jpg", "--csv", "--json"], "--json: not allowed with argument --csv"),
        (["classify", "-", "-"], "only once"),
        (["web", "--port", "65536"], "from 0 to 65535, got '65536'"),
        (["web", "--port", "http"], "from 0 to 65535, got 'http'"),
        (["web", "--threads", "0"], "at least 1, got '0'"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def modules_after(*arguments: str | Path) -> set[str]:
    """The top-level modules that are loaded once the command has run."""
    script = (
        "import sys; from shelly_local.commands.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["classify", "--help"], []])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = modules_after(*arguments)
    assert "shelly_local" in loaded
    assert not loaded & {"numpy", "PIL", "onnxruntime", "flask", "waitress", "tqdm", "torch"}


def test_classify_loads_no_web_server(smiling_photo: Path) -> None:
    loaded = modules_after("classify", smiling_photo)
    assert "onnxruntime" in loaded
    assert not loaded & {"flask", "waitress", "torch"}


def read_address(server: subprocess.Popen[bytes]) -> str:
    """The address that ``shelly web`` announces."""
    assert server.stdout is not None
    line = server.stdout.readline().decode()
    assert line.startswith("Shelly is at http://127.0.0.1:"), line
    return line.split()[3]


def test_web_serves_the_page_until_ctrl_c() -> None:
    server = interruptible("web", "--port", "0")
    address = read_address(server)
    with urllib.request.urlopen(address, timeout=TIMEOUT) as page:
        assert page.status == 200
        assert "Shelly" in page.read().decode()
    server.send_signal(signal.SIGINT)
    assert finish(server) == (0, "", "")


def test_web_opens_the_browser(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    server = interruptible(
        "web", "--port", "0", "--open", env={**os.environ, "BROWSER": f"{browser} %s"}
    )
    address = read_address(server)
    wait_until(opened.exists)
    assert opened.read_text().strip().rstrip("/") == address.rstrip("/")
    server.send_signal(signal.SIGINT)
    assert finish(server).code == 0


def test_web_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = finish(start("web", "--port", str(port)))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"shelly: cannot listen on 127.0.0.1, port {port}: ")
    assert "in use" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_web_warns_when_the_network_can_reach_it() -> None:
    server = interruptible("web", "--host", "0.0.0.0", "--port", "0")
    assert server.stdout is not None
    assert b"http://" in server.stdout.readline()
    server.send_signal(signal.SIGINT)
    outcome = finish(server)
    assert outcome.code == 0
    assert outcome.err.startswith("shelly: warning: with --host 0.0.0.0 anyone in your network")


def test_web_with_an_unusable_model_is_one_line(tmp_path: Path) -> None:
    outcome = finish(start("web", "--port", "0", "--model", tmp_path))
    assert (outcome.code, outcome.out) == (1, "")
    assert str(tmp_path) in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_ctrl_c_leaves_whole_lines(smiling_photo: Path) -> None:
    process = interruptible("classify", "--json", *[smiling_photo] * 2000)
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.err == "shelly: interrupted\n"
    assert (first.decode() + outcome.out).endswith("\n")
    assert 0 <= len(outcome.records) < 1999
    assert all(record["faces"] for record in outcome.records)


def test_ctrl_c_leaves_no_half_output_file(smiling_photo: Path, tmp_path: Path) -> None:
    file, copies = tmp_path / "results.json", tmp_path / "copies"
    photos = [smiling_photo] * 2000
    process = interruptible("classify", *photos, "--output", file, "--annotate", copies)
    wait_until((copies / smiling_photo.name).exists)
    assert not file.exists()
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "shelly: interrupted\n")
    assert list(tmp_path.iterdir()) == [copies]
    assert list(copies.iterdir()) == [copies / smiling_photo.name]


def test_reader_that_goes_away_ends_the_batch_quietly(smiling_photo: Path) -> None:
    process = start("classify", "--json", *[smiling_photo] * 2000)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["faces"]
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(TIMEOUT) == 141


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_bar_is_for_terminals(quiet: bool, smiling_photo: Path) -> None:
    terminal, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # rows and columns
    options = ["--quiet"] if quiet else []
    process = start("classify", "--json", *options, *[smiling_photo] * 6, stderr=screen)
    os.close(screen)
    shown = b""
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
    os.close(terminal)
    assert process.stdout is not None
    assert len(process.stdout.readlines()) == 6
    assert process.wait(TIMEOUT) == 0
    assert (b"6/6" in shown) is not quiet
    assert bool(shown) is not quiet
