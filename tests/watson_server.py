"""The real ``shelly serve`` in a process of its own, and raw requests to it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
#: Any date is fine; this one is what clients of 2018 and later send.
VERSION = "version=2018-03-19"
CLASSIFY = f"/v3/classify?{VERSION}"
CLASSIFIERS = f"/v3/classifiers?{VERSION}"
SECONDS = 120.0
BOUNDARY = "shelly7MA4YWxkTrZu0gW"


@dataclass(frozen=True)
class Reply:
    """An answer of the server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def classes(self) -> dict[str, float]:
        """Scores of the first classifier for the first image."""
        first = self.json["images"][0]["classifiers"][0]
        return {entry["class"]: entry["score"] for entry in first["classes"]}


class WatsonServer:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.authority = urlsplit(url).netloc

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request; an iterable of bytes goes out chunked."""
        connection = http.client.HTTPConnection(self.authority, timeout=60)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def send(
        self,
        path: str,
        *parts: bytes,
        headers: Mapping[str, str] | None = None,
        chunked: bool = False,
    ) -> Reply:
        """Post a multipart form of parts made by :func:`part`."""
        body = form(*parts)
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        pieces = (body[i : i + 30_000] for i in range(0, len(body), 30_000))
        return self.ask("POST", path, pieces if chunked else body, kind | dict(headers or {}))

    def settled(self, classifier_id: str) -> dict[str, Any]:
        """A classifier once its training has ended."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found: dict[str, Any] = self.get(f"/v3/classifiers/{classifier_id}?{VERSION}").json
            if found["status"] in ("ready", "failed"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found['status']} after {SECONDS} s")


def part(
    name: str, data: bytes | str, filename: str | None = None, kind: str | None = None
) -> bytes:
    """A part of a form; ``filename`` as raw text inside the quotes."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    return raw_part(disposition + (f"\r\nContent-Type: {kind}" if kind else ""), data)


def raw_part(headers: str, data: bytes | str) -> bytes:
    """A part with headers of one's own."""
    content = data.encode() if isinstance(data, str) else data
    return headers.encode() + b"\r\n\r\n" + content


def form(*parts: bytes) -> bytes:
    """The body of a multipart form."""
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + b"--\r\n"


def command(*options: str, data_dir: Path) -> list[str]:
    """The command line of a server on a free port."""
    return [sys.executable, "-m", "shelly_local", "serve", "--port", "0",
            "--data-dir", str(data_dir), *options]  # fmt: skip


@contextmanager
def running(
    *options: str,
    data_dir: Path,
    env: Mapping[str, str] | None = None,
    kind: str = "serve",
    default: str = "emotion",
) -> Iterator[WatsonServer]:
    """Start a server and stop it at the end, however the test ends.

    Args:
        options: of the command line.
        data_dir: of the custom classifiers.
        env: variables beside those of this process.
        kind: ``serve`` or ``web``.
        default: what the classifier ``default`` answers.
    """
    arguments = command(*options, "--default", default, data_dir=data_dir)
    arguments[arguments.index("serve")] = kind
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert "http://" in line, f"no server: {line!r}"
        yield WatsonServer(process, line.split()[line.split().index("at") + 1].rstrip("/"))
    finally:
        process.terminate()
        process.wait(SECONDS)
        if process.stdout:
            process.stdout.close()
