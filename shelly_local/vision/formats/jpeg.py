"""What a JPEG is made of, read before it is decoded: its scans and their cost, its metadata."""

from __future__ import annotations

import re
from typing import NamedTuple

from shelly_local.errors import CostlyImageError

#: Most segments. Cameras write a dozen; XMP of several megabytes, as depth maps have, takes a
#: hundred and fifty.
MAX_SEGMENTS = 2000
#: Seconds that the scans may take, by the estimate below. Small pictures with hundreds of scans
#: are far below, and so are ten scans of 80 megapixels.
MAX_SCAN_SECONDS = 0.7
# Seconds of one block in one scan (ITU T.81, G and D): of a scan that refines AC coefficients,
# which goes over all 63 even where it changes none; of any other, without its bits, which the
# size of the file bounds; and of arithmetic coding, where bits bound nothing.
_REFINING_SECONDS, _SCAN_SECONDS, _ARITHMETIC_SECONDS = 60e-9, 10e-9, 500e-9
# Bytes of a block of coefficients, which are kept for the whole picture if it has several scans.
_BLOCK_BYTES = 128

_SOS, _EOI, _COM = 0xDA, 0xD9, 0xFE
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
# Segments that pixels do not depend on, but for colour profiles: neither JFIF's nor Adobe's.
_NOTES = frozenset({*range(0xE0, 0xF0), _COM}) - {_APP0, _APP14}
_EXIF, _XMP, _PROFILE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
# Markers without a length: TEM, restarts, start and end of the picture; codes below 0xC0 are none.
_BARE = frozenset({*range(0x01, 0xC0), *range(0xD0, 0xDA)})
_MARKER = re.compile(rb"\xff[^\x00\xff]")
# In a scan, 0xFF is followed by 0, and restarts belong to it.
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class JpegStructure(NamedTuple):
    """A JPEG as its decoder gets it, and what decoding it takes.

    Attributes:
        data: the file without the segments of applications and comments that its pixels do not
            depend on, as reading those in Pillow takes quadratic time; with an end marker.
        complete: whether the file itself has that marker.
        width, height: in pixels; 0 where no frame was found.
        coefficient_bytes: what the decoder keeps while it reads several scans.
        reducible: whether it can be reduced while it is decoded.
        exif, xmp: metadata, None where there are none.
    """

    data: bytes
    complete: bool
    width: int
    height: int
    coefficient_bytes: int
    reducible: bool
    exif: bytes | None
    xmp: bytes | None


class _Frame(NamedTuple):
    """What a frame header says: its marker and size, and the blocks of its components.

    Attributes:
        components, all_blocks: number of components, and of their blocks together.
        blocks: by the name of the component, which damaged files may use twice.
    """

    marker: int
    width: int
    height: int
    components: int
    all_blocks: int
    blocks: dict[int, int]


def read_structure(data: bytes, label: str) -> JpegStructure:
    """Read a JPEG's structure, and refuse one that takes too long to decode.

    Args:
        data: a file that begins with the signature of JPEG.
        label: what messages call it.

    Raises:
        CostlyImageError: too many segments, or too many scans for so many pixels.
        ValueError: cut off or damaged before its first scan.
    """
    kept = []
    exif = xmp = None
    frame: _Frame | None = None
    position = 2
    run = segments = 0  # the run of bytes that are kept
    while True:
        before = position
        marker, start, position = _segment(data, _MARKER, before)
        if marker is None:
            raise ValueError("no scan")
        segments = _count(segments, label)
        if start > before:  # Pillow passes over what is no segment a byte at a time
            kept.append(data[run:before])
            run = start
        if marker == _SOS:
            break
        if marker in _FRAMES:
            frame = _frame(marker, data[start + 4 : position])
        elif marker in _NOTES and not (marker == _APP2 and data.startswith(_PROFILE, start + 4)):
            if marker == _APP1 and data.startswith(_EXIF, start + 4):
                exif = exif or data[start + 4 : position]
            elif marker == _APP1 and data.startswith(_XMP, start + 4):
                xmp = data[start + 4 : position]
            kept.append(data[run:start])
            run = position
    kept.append(data[run:])
    seconds, scans, complete = 0.0, list[bytes](), False
    several = frame is None or (len(data) > start + 4 and data[start + 4] < frame.components)
    while marker is not None:
        if marker == _SOS:
            scans.append(data[start + 4 : position])
            seconds += _scan_seconds(frame, scans[-1])
            if seconds > MAX_SCAN_SECONDS:
                width, height = (frame.width, frame.height) if frame else (0, 0)
                raise CostlyImageError(
                    f"{label} is a JPEG of {len(scans):,} scans or more for {width} x {height}"
                    " pixels, which would take too long to decode."
                )
        elif marker == _EOI:
            complete = True
            break
        marker, start, position = _segment(data, _MARKER_AFTER_SCAN, position)
        segments = _count(segments, label)
    several = several or (frame is not None and frame.marker in _PROGRESSIVE)
    if not complete:
        if start < len(data) or not _has_all_scans(frame, scans):
            raise ValueError("cut off between two scans")
        kept.append(b"\xff\xd9")
    return JpegStructure(
        data=b"".join(kept),
        complete=complete,
        width=frame.width if frame else 0,
        height=frame.height if frame else 0,
        coefficient_bytes=frame.all_blocks * _BLOCK_BYTES if frame and several else 0,
        reducible=frame is None or frame.marker not in _LOSSLESS,
        exif=exif,
        xmp=xmp,
    )


def _segment(data: bytes, pattern: re.Pattern[bytes], position: int) -> tuple[int | None, int, int]:
    """The next marker, where it starts, and where its segment ends; no marker at the file's end."""
    match = pattern.search(data, position)
    if match is None:
        return None, len(data), len(data)
    end = match.end()
    start, marker = end - 2, data[end - 1]
    if marker in _BARE:
        return marker, start, end
    length = int.from_bytes(data[end : end + 2], "big")
    if length < 2 or end + length > len(data):
        return None, start, end
    return marker, start, end + length


def _count(segments: int, label: str) -> int:
    if segments >= MAX_SEGMENTS:
        raise CostlyImageError(
            f"{label} is a JPEG of more than {MAX_SEGMENTS:,} segments; cameras write a dozen."
        )
    return segments + 1


def _frame(marker: int, body: bytes) -> _Frame:
    """A frame header: precision, height, width, then name, sampling and table of each component."""
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    samplings = [(body[i], body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body) - 2, 3)]
    most_across = max((across for _, across, _ in samplings), default=1) or 1
    most_down = max((down for _, _, down in samplings), default=1) or 1
    columns, rows = -(-width // (8 * most_across)), -(-height // (8 * most_down))
    counts = [(name, columns * across * rows * down) for name, across, down in samplings]
    all_blocks = sum(count for _, count in counts)
    return _Frame(marker, width, height, len(counts), all_blocks, dict(counts))


def _scan_seconds(frame: _Frame | None, header: bytes) -> float:
    """What one scan takes: the number and names of its components, then its coefficients."""
    if frame is None or not header:
        return 0.0
    names = header[1 : 1 + 2 * header[0] : 2]
    blocks = sum(frame.blocks.get(name, 0) for name in names)
    first, refines = header[-3], header[-1] >> 4
    if frame.marker in _ARITHMETIC:
        return blocks * _ARITHMETIC_SECONDS
    if frame.marker in _PROGRESSIVE and first and refines:
        return blocks * _REFINING_SECONDS
    return blocks * _SCAN_SECONDS


def _has_all_scans(frame: _Frame | None, scans: list[bytes]) -> bool:
    """Whether scans bring all coefficients of all components to their last bit."""
    if frame is None:
        return False
    exact = {(name, index): False for name in frame.blocks for index in range(64)}
    for scan in scans:
        first, last, low = 0, 63, 0
        if frame.marker in _PROGRESSIVE:
            first, last, low = scan[-3], scan[-2], scan[-1] & 15
        for name in scan[1 : 1 + 2 * scan[0] : 2]:
            for index in range(first, last + 1):
                exact[name, index] = low == 0
    return all(exact.values())
