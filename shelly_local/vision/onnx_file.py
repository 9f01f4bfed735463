"""What an ONNX file may hold, read from its bytes before anything runs it.

A network is a chain of sums over arrays. A file may hold more: graphs within the graph, of which
loops are made that never end, and names of further files to be read. Neither is of use here.
The file is walked as protocol buffers (https://protobuf.dev/programming-guides/encoding) by the
field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

#: The messages that are looked into, and the fields of each that hold another.
_MESSAGES: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: "TensorProto", 10: "TensorProto"},
    "TensorProto": {},
}
_SUBGRAPHS = "a graph within its graph, as loops and branches have"
_SPARSE = "sparse tensors, which are small in the file and large in memory"
_EXTERNAL = "weights in another file"
#: Fields that no network here needs.
_REFUSED: dict[str, dict[int, str]] = {
    "ModelProto": {25: "functions, which may call each other without end"},
    "GraphProto": {15: _SPARSE},
    "AttributeProto": {6: _SUBGRAPHS, 11: _SUBGRAPHS, 22: _SPARSE, 23: _SPARSE},
    "TensorProto": {13: _EXTERNAL, 14: _EXTERNAL},
}
#: Fields that are read at most: bounds the time. The bundled model has 2,000, and a network of a
#: thousand layers 50,000.
MAX_FIELDS = 200_000
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes
_CUT_OFF = "is cut off"


def check(content: bytes) -> None:
    """Refuse a file that is no plain network.

    Args:
        content: the ONNX file.

    Raises:
        ValueError: it is no protocol buffer, or holds what no network here needs.
    """
    waiting = [("ModelProto", 0, len(content))]
    left = MAX_FIELDS
    while waiting:
        message, start, end = waiting.pop()
        inner, refused = _MESSAGES[message], _REFUSED.get(message, {})
        for number, value, stop in _fields(content, start, end):
            left -= 1
            if left < 0:
                raise ValueError(f"has more than {MAX_FIELDS:,} fields")
            if number in inner and stop is not None:
                waiting.append((inner[number], value, stop))
            elif number in refused and (value or stop is not None):  # 0 says "in this file"
                raise ValueError(f"has {refused[number]}")


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Each field of a message: its number, and its value, or where its bytes begin and end."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:  # readers differ in what they make of longer ones
            raise ValueError(f"has a field of number {number}")
        value, stop = 1, None
        if kind == _VARINT:
            value, at = _varint(content, at, end)
        elif kind == _LENGTH:
            length, value = _varint(content, at, end)
            at = stop = value + length
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"has a field of type {kind}")
        if at > end:
            raise ValueError(_CUT_OFF)
        yield number, value, stop


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where the next field begins."""
    if at < end and content[at] < 0x80:  # as most are
        return content[at], at + 1
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= end:
            raise ValueError(_CUT_OFF)
        byte = content[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("has a number of more than 10 bytes")
