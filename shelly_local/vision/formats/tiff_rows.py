"""Large TIFFs, decoded some strips at a time: each time as a TIFF of these strips alone."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

from PIL import Image

#: Most pixels of a strip: some strips are decoded at a time, of a million pixels or one of these.
MAX_STRIP_PIXELS = 4_000_000
#: Most bytes of the strips that are decoded at a time: in a damaged file they may overlap.
MAX_BAND_BYTES = 16_000_000

_WIDTH, _LENGTH, _OFFSETS, _ROWS, _SIZES, _PLANAR = 256, 257, 273, 278, 279, 284
# What the decoding of a strip depends on, from bits and compression to tables and colours.
_KEPT = (256, 258, 259, 262, 266, 277, 284, 292, 293, 317, 320, 338, 339, 347, 529, 530, 531, 532)
_LONG = 4


class TiffRows:
    """A TIFF in strips; ``crop`` decodes those that it needs.

    Args:
        data: the file.
        tags: its first directory, as Pillow reads it.
        open_tiff: opens a file as Pillow's picture, not turned upright.
    """

    def __init__(self, data: bytes, tags: Any, open_tiff: Callable[[Any], Any]) -> None:
        self.size: tuple[int, int] = (tags[_WIDTH], tags[_LENGTH])
        self._rows = min(tags.get(_ROWS, self.size[1]), self.size[1])
        self._offsets, self._sizes = tags[_OFFSETS], tags[_SIZES]
        self._data, self._tags, self._open = data, tags, open_tiff
        # The rows that were decoded last: a strip may have more than are asked for.
        self._held: Image.Image = Image.new("1", (1, 1))
        self._top = self._bottom = 0

    @classmethod
    def fit(cls, tags: Any) -> bool:
        """Whether a TIFF is in strips, few enough pixels each, that all have an offset and size."""
        width, height = tags[_WIDTH], tags[_LENGTH]
        rows = tags.get(_ROWS, height)
        if not rows or rows * width > MAX_STRIP_PIXELS or tags.get(_PLANAR, 1) != 1:
            return False
        lists = tags.get(_OFFSETS), tags.get(_SIZES)
        return all(isinstance(each, tuple) and len(each) == -(-height // rows) for each in lists)

    def load(self) -> None:
        """Nothing: rows are decoded when they are asked for."""

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """The pixels in ``(left, top, right, bottom)``.

        Raises:
            Exception: nearly any, on damaged data.
        """
        left, top, right, bottom = box
        if not self._top <= top < bottom <= self._bottom:
            first, last = top // self._rows, -(-bottom // self._rows)
            self._held = self._open(io.BytesIO(self._file(first, last)))
            self._held.load()
            self._top, self._bottom = first * self._rows, last * self._rows
        return self._held.crop((left, top - self._top, right, bottom - self._top))

    def _file(self, first: int, last: int) -> bytes:
        """A TIFF of the strips from ``first`` to before ``last``."""
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        directory = ImageFileDirectory_v2(prefix=self._tags.prefix)
        for tag in _KEPT:
            if tag in self._tags:
                directory.tagtype[tag] = self._tags.tagtype[tag]
                directory[tag] = self._tags[tag]
        sizes = self._sizes[first:last]
        if sum(sizes) > MAX_BAND_BYTES:
            raise ValueError("strips overlap")
        strips = [
            self._data[offset : offset + size]
            for offset, size in zip(self._offsets[first:last], sizes, strict=True)
        ]
        if any(map(int.__lt__, map(len, strips), sizes)):
            raise ValueError("cut off")
        places = [0, *itertools.accumulate(sizes[:-1])]  # from the directory's end
        rows = min(last * self._rows, self.size[1]) - first * self._rows
        numbers = {_LENGTH: [rows], _ROWS: [self._rows], _OFFSETS: places, _SIZES: list(sizes)}
        for tag, values in numbers.items():
            directory.tagtype[tag] = _LONG
            directory[tag] = values[0] if len(values) == 1 else tuple(values)
        buffer = io.BytesIO()
        directory.save(buffer)
        buffer.write(b"".join(strips))
        return buffer.getvalue()
