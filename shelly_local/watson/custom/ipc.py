"""Messages between a program and its training process: a JSON object and some bytes.

A frame is four bytes with the length of the JSON, eight with the length of the bytes, both
big-endian, then the two. Arrays travel as ``.npy``, which holds nothing but numbers.
"""

from __future__ import annotations

import io
import json
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_LENGTHS = struct.Struct(">IQ")


def write_frame(stream: BinaryIO, message: dict[str, Any], payload: bytes = b"") -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    text = json.dumps(message).encode()
    stream.write(_LENGTHS.pack(len(text), len(payload)))
    stream.write(text)
    stream.write(payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message, or None when the other side has gone."""
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    text_length, payload_length = _LENGTHS.unpack(lengths)
    text, payload = _read(stream, text_length), _read(stream, payload_length)
    if text is None or payload is None:
        return None
    message = json.loads(text)
    assert isinstance(message, dict)
    return message, payload


def to_bytes(*arrays: NDArray[Any]) -> bytes:
    """Arrays one after the other."""
    file = io.BytesIO()
    for array in arrays:
        np.save(file, array, allow_pickle=False)
    return file.getvalue()


def from_bytes(payload: bytes, count: int) -> list[NDArray[Any]]:
    """What :func:`to_bytes` was given.

    Raises:
        ValueError: it is something else.
    """
    file = io.BytesIO(payload)
    return [np.load(file, allow_pickle=False) for _ in range(count)]


def _read(stream: BinaryIO, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        block = stream.read(length - len(data))
        if not block:
            return None
        data += block
    return bytes(data)
