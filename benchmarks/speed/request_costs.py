"""What the worst requests cost a server, against the bounds of SECURITY.md, as a table.

Each request goes to a server of its own process whose peak of memory is reset before (Linux only).
``python -m benchmarks.speed.request_costs`` prints the table.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..children import memory_mb
from .servers import CLASSIFIERS, CLASSIFY, END, MULTIPART, Server, part, running

#: Memory that a request may add, in MB (10^6 bytes), and processor time before its answer, in s.
MOST_MEGABYTES, MOST_SECONDS = 300, 5
#: The same for a call that trains: so many times the bytes that are sent, unpacked.
MOST_TIMES_SENT = 1.5
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}
_MB = 1_000_000


@dataclass(frozen=True)
class Request:
    """A request made to be costly.

    Attributes:
        what: in words.
        kind: ``serve`` or ``web``.
        path: where it goes.
        headers: beside those of the body's length.
        body: makes its pieces.
    """

    what: str
    kind: str
    path: str
    headers: dict[str, str]
    body: Callable[[], Iterator[bytes]]


def _repeated(piece: bytes, count: int, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    yield before
    for _ in range(count):
        yield piece
    yield after


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


_GZIP = {"Content-Encoding": "gzip"}


def _zip_of_noise(megabytes: int) -> bytes:
    """A zip file of files that begin as JPEGs do and hold nothing that could be packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(megabytes // 4):
            archive.writestr(f"{number}.jpg", b"\xff\xd8\xff" + os.urandom(4 * _MB))
    return file.getvalue()


def _training(megabytes: int) -> Iterator[bytes]:
    """A call that trains three classes, with a zip file of that size for each."""
    yield part("name") + b"noise\r\n"
    for number in range(3):
        yield part(f"{number}_positive_examples", "a.zip")
        yield _zip_of_noise(megabytes) + b"\r\n"
    yield END


_IDS = b",".join(b"a%06d" % n for n in range(5_000))


def requests() -> list[Request]:
    """All of them."""
    many_ids = b"".join(part("classifier_ids") + _IDS + b"\r\n" for _ in range(200))
    return [
        Request("urlencoded form of 8 MB, for a token", "serve", "/identity/token", _FORM,
                lambda: _repeated(b"%61" * 333_333, 8)),
        Request("urlencoded form of 400 MB in gzip, for a token", "serve", "/identity/token",
                _FORM | _GZIP, lambda: _packed(_repeated(b"%61" * 333_333, 400))),
        Request("urlencoded form of 16 MB", "serve", CLASSIFY, _FORM,
                lambda: _repeated(b"%61" * 333_333, 16)),
        Request("file of 100 MB", "serve", CLASSIFY, MULTIPART,
                lambda: _repeated(bytes(_MB), 100, part("images_file", "a.jpg"), END)),
        Request("file of 300 MB in gzip", "serve", CLASSIFY, MULTIPART | _GZIP,
                lambda: _packed(_repeated(bytes(_MB), 300, part("images_file", "a.jpg"), END))),
        Request("a million ids", "serve", CLASSIFY, MULTIPART,
                lambda: _repeated(many_ids, 1, after=part("images_file", "a") + b"x" + END)),
        Request("file name of 20 MB", "serve", CLASSIFY, MULTIPART,
                lambda: _repeated(b"", 1, part("images_file", "a" * 20 * _MB) + b"x" + END)),
        Request("chunks of one byte, 20 MB", "serve", CLASSIFY, MULTIPART | {"X-Tiny": "1"},
                lambda: _repeated(b"1\r\na\r\n" * 170_000, 20)),
        Request("three zips of 80 MB to train on", "serve", CLASSIFIERS, MULTIPART,
                lambda: _training(80)),
        Request("14 MB of JSON lists", "web", "/advice", _JSON,
                lambda: _repeated(b"[]," * 333_333, 14, b'{"image": "", "x": [', b"0]}")),
        Request("14 MB of JSON text with one emoji", "web", "/advice", _JSON,
                lambda: _repeated(b"a" * _MB, 13, b'{"image": "data:image/png;base64,',
                                  '\U0001f41a"}'.encode())),
        Request("urlencoded form of 8 MB to the page's server", "web", "/identity/token", _FORM,
                lambda: _repeated(b"%61" * 333_333, 8)),
    ]  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a request cost.

    Attributes:
        status: of the answer; None where the server hung up before it was sent whole.
        sent: bytes of the body, as sent.
        megabytes: peak of resident memory above what it was before, in 10^6 bytes.
        seconds: processor time of the server.
    """

    status: int | None
    sent: int
    megabytes: float
    seconds: float


def cost_of(request: Request, server: Server) -> Cost:
    """Send a request to a server and see what it costs."""
    body = b"".join(request.body())
    folder = Path(f"/proc/{server.pid}")
    (folder / "clear_refs").write_text("5")  # forget the peak so far (proc(5))
    memory, seconds = memory_mb("VmRSS", server.pid) or 0.0, _seconds(folder)
    status = _send(request, body, server)
    return Cost(
        status,
        len(body),
        round((memory_mb("VmHWM", server.pid) or 0.0) - memory, 1),
        round(_seconds(folder) - seconds, 2),
    )


def _send(request: Request, body: bytes, server: Server) -> int | None:
    connection = server.connect()
    headers = dict(request.headers)
    try:
        connection.putrequest("POST", request.path)
        if headers.pop("X-Tiny", None):
            headers["Transfer-Encoding"] = "chunked"
            body += b"0\r\n\r\n"
        else:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        with contextlib.suppress(OSError):  # an answer may come before all is sent
            connection.send(body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _seconds(folder: Path) -> float:
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.request_costs", description=__doc__
    )
    parser.parse_args()
    print("| request | sent | answer | memory, MB | processor time, s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in ("serve", "web"):
        with running(kind) as server:
            for request in requests():
                if request.kind == kind:
                    cost = cost_of(request, server)
                    print(
                        f"| {request.what} | {cost.sent / _MB:.1f} MB | "
                        f"{cost.status or 'hung up'} | {cost.megabytes:.0f} | {cost.seconds:.1f} |"
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
