"""Area-averaging reduction of any part of a picture to any size, in two ways.

``AreaSampler`` is for large pictures and many windows: one summed-area table (Crow 1984) of the
picture serves every level of a pyramid and every window, a mean over a rectangle costs four
look-ups, whatever its size. The windows of neighbouring results overlap where sizes do not
divide, exactly as in torch's ``interpolate(mode="area")``, with which MTCNN's weights are used
elsewhere. ``BoxSampler`` is for small pictures and a few windows, where that table does not pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

#: Pillow first takes means of whole blocks, which is fast, as long as this many times the size
#: that is asked for remains: for levels of a pyramid, and for windows. Without, a photo takes
#: 0.2 ms more, and as many faces are found.
LEVEL_GAP, WINDOW_GAP = 1.5, 2.0


class AreaSampler:
    """Reduced copies of one picture.

    Args:
        pixels: uint8 (H, W, C).
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.height, self.width, channels = pixels.shape
        # Unsigned arithmetic may wrap around: differences of sums below 2**32 stay right.
        table = np.empty((self.height + 1, self.width + 1, channels), dtype=np.uint32)
        table[0] = 0
        table[:, 0] = 0
        table[1:, 1:] = pixels
        rows = table.reshape(self.height + 1, -1)
        above = rows[1]
        for row in rows[2:]:  # row by row: ten times as fast as cumsum
            np.add(above, row, out=row)
            above = row
        np.cumsum(table, axis=1, out=table)
        self._table = table.reshape(-1, channels)

    def resized(self, width: int, height: int) -> Floats:
        """The whole picture at another size: float32 (1, height, width, C), 0..255."""
        whole = np.array([[0, 0, self.width, self.height]])
        return self.windows(whole, width, height)

    def windows(self, boxes: Indices, width: int, height: int) -> Floats:
        """Several windows, all at one size.

        Args:
            boxes: integer (N, 4): x0, y0, x1, y1, inside the picture, not empty.

        Returns:
            float32 (N, height, width, C), 0..255.
        """
        left, right = _edges(boxes[:, 0], boxes[:, 2], width)
        top, bottom = _edges(boxes[:, 1], boxes[:, 3], height)
        upper, lower = top[:, :, None], bottom[:, :, None]
        first, last = left[:, None, :], right[:, None, :]
        counts = ((lower - upper) * (last - first)).astype(np.float32)
        # By one index, so that numpy takes whole pixels.
        upper, lower = upper * (self.width + 1), lower * (self.width + 1)
        sums = self._table.take(lower + last, axis=0)
        sums -= self._table.take(upper + last, axis=0)
        sums -= self._table.take(lower + first, axis=0)
        sums += self._table.take(upper + first, axis=0)
        # In 32 bits: numpy divides unsigned integers by floats in 64 otherwise.
        return np.asarray(np.divide(sums, counts[..., None], dtype=np.float32))


def _edges(start: Indices, stop: Indices, count: int) -> tuple[Indices, Indices]:
    """First and past-the-last pixel of each of ``count`` parts of N spans: two (N, count)."""
    span = (stop - start)[:, None]
    part = np.arange(count)[None]
    first = start[:, None] + part * span // count
    last = start[:, None] - (-(part + 1) * span // count)
    return first, last


class BoxSampler:
    """Reduced copies of one picture by Pillow's box filter.

    Pixels that a result covers in part count in part, where ``AreaSampler`` takes them whole.

    Args:
        pixels: uint8 (H, W, C).
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.height, self.width = pixels.shape[:2]
        self._image = self._level = Image.fromarray(pixels)

    def resized(self, width: int, height: int) -> Floats:
        """See ``AreaSampler``; made from the size asked for before: ask for larger ones first."""
        self._level = self._level.resize(
            (width, height), Image.Resampling.BOX, reducing_gap=LEVEL_GAP
        )
        return np.asarray(self._level, dtype=np.float32)[None]

    def windows(self, boxes: Indices, width: int, height: int) -> Floats:
        """See ``AreaSampler``."""
        size = (width, height)
        cut = [
            self._image.resize(size, Image.Resampling.BOX, box=box, reducing_gap=WINDOW_GAP)
            for box in boxes.tolist()
        ]
        return np.array([np.asarray(window) for window in cut], dtype=np.float32)


#: What the cascade takes its inputs from.
Sampler = AreaSampler | BoxSampler
