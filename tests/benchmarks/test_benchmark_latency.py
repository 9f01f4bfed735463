"""``shelly benchmark latency``, with real processes and a real SDK on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shelly_local.commands.main import main
from tests.benchmark_toys import MODULE
from tests.conftest import PICTURES

#: Seconds that the cloud on loopback takes to think.
THINKING_S = 0.05
FEW = ["--runs", "2", "--cold-runs", "1", "--concurrency", "1,2"]
ANSWER = {
    "FaceDetails": [
        {
            "BoundingBox": {"Left": 0.2, "Top": 0.2, "Width": 0.5, "Height": 0.5},
            "Confidence": 99.0,
            "Emotions": [{"Type": "HAPPY", "Confidence": 90.0}],
        }
    ]
}


class Cloud(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(THINKING_S)
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def rekognition(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Amazon's SDK talks to a server on loopback; child processes inherit the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def run(photos: list[Path], backends: str, output: Path, *options: str) -> tuple[int, Any]:
    arguments = [*map(str, photos), "--backends", backends, "--json", str(output), *FEW]
    code = main(["benchmark", "latency", *arguments, *options])
    return code, json.loads(output.read_text(encoding="utf-8"))


def test_here_and_in_a_cloud(smiling_photo: Path, tmp_path: Path, rekognition: None) -> None:
    code, result = run([smiling_photo], "local,rekognition", tmp_path / "l.json", "--allow-cloud")
    assert code == 0
    assert result["photos"]["smiling.jpg"]["width"] == 1350
    for values in result["backends"].values():
        times = values["photos"]["smiling.jpg"]
        assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"] <= values["p99_ms"]
        assert values["n"] == times["n"] == len(times["samples_ms"]) == 2
        assert times["cpu_s"] > 0
        assert 50 < times["peak_memory_mb"] < 1000
        assert 0 < values["cold"]["first_answer_s"] <= values["cold"]["process_s"]
        assert values["pictures_per_second"].keys() == {"1", "2"}
        assert not values["errors"]
    local, cloud = result["backends"]["local"], result["backends"]["rekognition"]
    assert local["phases"] == {}
    # A photo takes less than the start of a process that has to load the models first.
    assert local["p50_ms"] < 1000 * local["cold"]["first_answer_s"]
    # What the server thinks is told apart from what is done here.
    assert 1000 * THINKING_S <= cloud["phases"]["server"] <= cloud["p50_ms"]
    assert sum(cloud["phases"].values()) == pytest.approx(cloud["p50_ms"], rel=0.5)
    assert cloud["cold"]["phases"]["connect"] > 0


def test_peer_in_the_same_run(tmp_path: Path) -> None:
    backends = f"{MODULE}:happiness,peer:facenet-mobilenet,peer:hsemotion-onnx"
    options = ("--concurrency", "1", "--cold-runs", "0")
    code, result = run([PICTURES / "hopper.jpg"], backends, tmp_path / "l.json", *options)
    assert code == 1  # of one peer the packages are missing
    peer = result["backends"]["peer:facenet-mobilenet"]
    assert peer["n"] == 2
    assert peer["p50_ms"] > result["backends"][f"{MODULE}:happiness"]["p50_ms"]
    assert peer["description"]["versions"].keys() == {"facenet-pytorch", "torch", "torchvision"}
    missing = result["backends"]["peer:hsemotion-onnx"]
    assert missing["n"] == 0
    assert "pip install hsemotion-onnx==0.3.1" in next(iter(missing["errors"]))


def test_unreadable_photo_and_dying_backend(
    neutral_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    backends = f"{MODULE}:dying,{MODULE}:happiness"
    code, result = run([bad, neutral_photo], backends, tmp_path / "l.json")
    assert code == 1
    assert result["photos"].keys() == {"neutral.jpg"}
    assert result["backends"][f"{MODULE}:dying"]["n"] == 0
    assert result["backends"][f"{MODULE}:happiness"]["n"] == 2
    errors = capsys.readouterr().err
    assert "bad.jpg" in errors
    assert "the floor gave way" in errors
    assert main(["benchmark", "latency", str(bad)]) == 1
    assert "none of the photos" in capsys.readouterr().err


def test_budget_of_calls(neutral_photo: Path, tmp_path: Path) -> None:
    options = ("--allow-cloud", "--max-calls", "12", "--cold-runs", "0")
    code, result = run([neutral_photo], f"{MODULE}:cloud", tmp_path / "l.json", *options)
    assert code == 0
    cloud = result["backends"][f"{MODULE}:cloud"]
    # Six in a process of its own, three to warm up, two that count; then one is left, too few.
    assert cloud["n"] == 2
    assert cloud["pictures_per_second"] == {}
    rows = (tmp_path / "l.json.rows.jsonl").read_text().splitlines()[1:]
    assert sum(json.loads(row)["calls"] for row in rows) == 11


def test_a_stopped_run_goes_on(neutral_photo: Path, tmp_path: Path) -> None:
    output, partial = tmp_path / "l.json", tmp_path / "l.json.partial.jsonl"
    command = [sys.executable, "-m", "shelly_local", "benchmark", "latency", str(neutral_photo)]
    options = [*FEW, "--concurrency", "1"]
    command += ["--backends", f"{MODULE}:slow", "--json", str(output), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not partial.exists() or partial.read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline, "no rows came"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command goes on" in errors
    kept = partial.read_bytes().splitlines()
    code, result = run([neutral_photo], f"{MODULE}:slow", output, *options)
    assert code == 0
    assert result["backends"][f"{MODULE}:slow"]["n"] == 2
    rows = (tmp_path / "l.json.rows.jsonl").read_bytes().splitlines()
    assert rows[: len(kept)] == kept
    counted = [(r["stage"], r.get("run")) for r in map(json.loads, rows[1:]) if r.get("run") != -1]
    assert counted.count(("cold", 0)) == counted.count(("warm", 1)) == 1
