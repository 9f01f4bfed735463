"""A progress bar for many photos: on a terminal, and out of the way of what is written there."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

#: Fewer photos than this are done before a progress bar says anything.
PROGRESS_MIN_PHOTOS = 5


class ProgressBar:
    """A progress bar on standard error: on a terminal, when there is something to wait for.

    Args:
        photos: how many there are.
        wanted: False for none in any case.
        done: how many of them an earlier run has done.
    """

    def __init__(self, photos: int, *, wanted: bool, done: int = 0) -> None:
        self._bar = None
        terminal = sys.stderr is not None and sys.stderr.isatty()
        if wanted and terminal and photos >= PROGRESS_MIN_PHOTOS:
            from tqdm import tqdm

            self._bar = tqdm(total=photos, initial=done, unit="photo", file=sys.stderr, leave=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            # tqdm leaves out steps that follow the one before within a tenth of a second.
            self._bar.refresh()
            self._bar.close()

    def advance(self, photos: int = 1) -> None:
        """So many photos more are done."""
        if self._bar is not None:
            self._bar.update(photos)

    def hidden(self) -> AbstractContextManager[None]:
        """A block in which lines can be written to the terminal."""
        if self._bar is None:
            return nullcontext()
        hidden: AbstractContextManager[None] = self._bar.external_write_mode()
        return hidden
