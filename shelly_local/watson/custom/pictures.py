"""What is kept of training pictures: an embedding, the classes, and the picture's identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelly_local.errors import TrainingError
from shelly_local.watson.custom.records import DamagedError

#: Fewest faces from which a class is learnt, and fewest that do not show it.
MIN_FACES = 5
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """N pictures with a face, each once.

    Attributes:
        embeddings: float32 (N, D), of the largest face of each.
        positive: bool (N, C), the classes it was sent for; none for a negative example.
        digests: uint8 (N, 32), the SHA-256 of each picture's bytes.
    """

    embeddings: NDArray[np.float32]
    positive: NDArray[np.bool_]
    digests: NDArray[np.uint8]

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The content of their file."""
        return {
            "embeddings": self.embeddings,
            "positive": self.positive,
            "digests": self.digests,
        }

    def check(self, classes: Sequence[str]) -> None:
        """See that every class can be learnt.

        Raises:
            TrainingError: a class has too few faces, or too few are left beside it.
        """
        for name, column in zip(classes, self.positive.T, strict=True):
            shows, others = int(column.sum()), int((~column).sum())
            if shows < MIN_FACES:
                raise TrainingError(
                    f"The class {name!r} has {shows} pictures with a face; at least {MIN_FACES} "
                    "are needed."
                )
            if others < MIN_FACES:
                raise TrainingError(
                    f"Only {others} pictures with a face do not show the class {name!r}; at least "
                    f"{MIN_FACES} are needed."
                )


def pictures_from_arrays(arrays: dict[str, NDArray[np.generic]], classes: int) -> Pictures:
    """Read what :meth:`Pictures.as_arrays` gave.

    Args:
        arrays: the content of their file.
        classes: number of classes of the classifier.

    Raises:
        DamagedError: the arrays do not fit.
    """
    embeddings = arrays.get("embeddings", np.zeros(0)).astype(np.float32)
    positive = arrays.get("positive", np.zeros(0)).astype(np.bool_)
    digests = arrays.get("digests", np.zeros(0)).astype(np.uint8)
    count = len(embeddings)
    if (
        embeddings.ndim != 2
        or positive.shape != (count, classes)
        or digests.shape != (count, _DIGEST_BYTES)
        or not np.isfinite(embeddings).all()
    ):
        raise DamagedError("its file of pictures does not fit")
    return Pictures(embeddings, positive, digests)


class Collection:
    """Gathers pictures, new ones and those of earlier calls.

    A picture sent again under another class shows that class too, and is no counter-example
    of it; a picture sent for a class and as a negative example shows the class.

    Args:
        classes: all classes there will be; those of ``earlier`` first, in its order.
        earlier: the pictures of earlier calls.
    """

    def __init__(self, classes: Sequence[str], earlier: Pictures | None = None) -> None:
        self._columns = {name: column for column, name in enumerate(classes)}
        self._embeddings: list[NDArray[np.float32]] = []
        self._classes: list[set[int]] = []
        self._rows: dict[bytes, int] = {}
        if earlier is not None:
            for row, digest in enumerate(earlier.digests):
                self._rows[digest.tobytes()] = row
            self._embeddings = list(earlier.embeddings)
            self._classes = [set(np.flatnonzero(row).tolist()) for row in earlier.positive]

    def again(self, digest: bytes, name: str | None) -> bool:
        """Give a picture that is known already another class; False if it is new."""
        row = self._rows.get(digest)
        if row is None:
            return False
        if name is not None:
            self._classes[row].add(self._columns[name])
        return True

    def add(self, digest: bytes, name: str | None, embedding: NDArray[np.float32]) -> None:
        """Add a new picture; the class is None for a negative example."""
        self._rows[digest] = len(self._embeddings)
        self._embeddings.append(embedding)
        self._classes.append(set() if name is None else {self._columns[name]})

    def pictures(self) -> Pictures:
        """All of them.

        Raises:
            TrainingError: there is none.
        """
        if not self._embeddings:
            raise TrainingError("None of the pictures has a face.")
        positive = np.zeros((len(self._classes), len(self._columns)), dtype=np.bool_)
        for row, columns in enumerate(self._classes):
            positive[row, sorted(columns)] = True
        digests = np.frombuffer(b"".join(self._rows), dtype=np.uint8)
        return Pictures(
            np.stack(self._embeddings), positive, digests.reshape(-1, _DIGEST_BYTES).copy()
        )
