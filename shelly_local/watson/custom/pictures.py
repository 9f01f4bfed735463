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
    """N pictures, each once.

    Attributes:
        embeddings: float32 (N, D), of the largest face of each; zero where there is none.
        features: float32 (N, E), of each as a whole; E is 0 where they are not known, as in files
            of 0.1.0, and then every picture has a face.
        shows_face: int8 (N,), 1 for a face, 0 for none, -1 where nobody looked for one.
        positive: bool (N, C), the classes it was sent for; none for a negative example.
        digests: uint8 (N, 32), the SHA-256 of each picture's bytes.
    """

    embeddings: NDArray[np.float32]
    features: NDArray[np.float32]
    shows_face: NDArray[np.int8]
    positive: NDArray[np.bool_]
    digests: NDArray[np.uint8]

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The content of their file."""
        return {
            "embeddings": self.embeddings,
            "features": self.features,
            "shows_face": self.shows_face,
            "positive": self.positive,
            "digests": self.digests,
        }

    def check(self, classes: Sequence[str]) -> None:
        """See that every class can be learnt.

        Raises:
            TrainingError: a class has too few pictures, or too few are left beside it.
        """
        what = "pictures" if self.features.shape[1] else "pictures with a face"
        for name, column in zip(classes, self.positive.T, strict=True):
            shows, others = int(column.sum()), int((~column).sum())
            if shows < MIN_FACES:
                raise TrainingError(
                    f"The class {name!r} has {shows} {what}; at least {MIN_FACES} are needed."
                )
            if others < MIN_FACES:
                raise TrainingError(
                    f"Only {others} {what} do not show the class {name!r}; at least "
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
    # Files of 0.1.0 have neither.
    features = arrays.get("features", np.zeros((count, 0))).astype(np.float32)
    shows_face = arrays.get("shows_face", np.ones(count)).astype(np.int8)
    if (
        embeddings.ndim != 2
        or positive.shape != (count, classes)
        or digests.shape != (count, _DIGEST_BYTES)
        or features.ndim != 2
        or len(features) != count
        or shows_face.shape != (count,)
        or not np.isfinite(features).all()
        or not np.isfinite(embeddings).all()
    ):
        raise DamagedError("its file of pictures does not fit")
    return Pictures(embeddings, features, shows_face, positive, digests)


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
        self._features: list[NDArray[np.float32]] = []
        self._shows_face: list[int] = []
        # Without features of the earlier ones, all that can be learnt from is faces.
        self._faces_only = earlier is not None and not earlier.features.shape[1]
        self._classes: list[set[int]] = []
        self._rows: dict[bytes, int] = {}
        if earlier is not None:
            for row, digest in enumerate(earlier.digests):
                self._rows[digest.tobytes()] = row
            self._embeddings = list(earlier.embeddings)
            self._features = list(earlier.features)
            self._shows_face = list(earlier.shows_face)
            self._classes = [set(np.flatnonzero(row).tolist()) for row in earlier.positive]

    def again(self, digest: bytes, name: str | None) -> bool:
        """Give a picture that is known already another class; False if it is new."""
        row = self._rows.get(digest)
        if row is None:
            return False
        if name is not None:
            self._classes[row].add(self._columns[name])
        return True

    def add(
        self,
        digest: bytes,
        name: str | None,
        embedding: NDArray[np.float32],
        features: NDArray[np.float32],
        *,
        shows_face: int,
    ) -> None:
        """Add a new picture; the class is None for a negative example."""
        if self._faces_only:
            if shows_face != 1:
                return
            features = features[:0]
        self._rows[digest] = len(self._embeddings)
        self._embeddings.append(embedding)
        self._features.append(features)
        self._shows_face.append(shows_face)
        self._classes.append(set() if name is None else {self._columns[name]})

    def pictures(self) -> Pictures:
        """All of them.

        Raises:
            TrainingError: there is none.
        """
        if not self._embeddings:
            raise TrainingError("None of the pictures can be learnt from.")
        positive = np.zeros((len(self._classes), len(self._columns)), dtype=np.bool_)
        for row, columns in enumerate(self._classes):
            positive[row, sorted(columns)] = True
        digests = np.frombuffer(b"".join(self._rows), dtype=np.uint8)
        return Pictures(
            _stacked(self._embeddings),
            np.stack(self._features),
            np.array(self._shows_face, dtype=np.int8),
            positive,
            digests.reshape(-1, _DIGEST_BYTES).copy(),
        )


def _stacked(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Rows of one length; an empty one is that of a picture in which nobody looked for a face."""
    rows = np.zeros((len(embeddings), max(map(len, embeddings))), dtype=np.float32)
    for row, embedding in zip(rows, embeddings, strict=True):
        row[: len(embedding)] = embedding
    return rows
