"""What becomes of one picture of a request: whoever answers for it, opened when first asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shelly_local.errors import BackendError, ImageError, MissingExtraError, ShellyError
from shelly_local.results import PhotoEmotions
from shelly_local.watson.contract.answer import ranked_scores
from shelly_local.watson.contract.types import FOOD_ID, ClassScore, ImageOutcome, ImageSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shelly_local.backends import Backend
    from shelly_local.vision.classifier import EmotionClassifier
    from shelly_local.vision.encoder import Encoding, PictureEncoder
    from shelly_local.watson.custom.catalogue import Snapshot

    PhotoClassifier = EmotionClassifier | Backend

#: Least confidence of the detector for a face to have a mood. Of 293 pictures of flowers eleven
#: have something like a face, of 0.945 at most; of 102 portraits the least sure has 0.989.
LEAST_CONFIDENCE = 0.95


class ImageReader:
    """Reads pictures for ``VisualRecognition``. Thread-safe.

    Args:
        model, classifier, backend: see ``VisualRecognition``.
        local: ``threads``, ``detection`` and ``device`` of ``EmotionClassifier``.
        general_ids: ids that answer with things instead of moods.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None,
        classifier: EmotionClassifier | None,
        backend: str | Backend | None,
        local: dict[str, Any],
        general_ids: Collection[str],
    ) -> None:
        self.general_ids = frozenset(general_ids)
        self._model = model
        self._backend = backend
        self._local = local
        self._loading = threading.Lock()
        self._loaded: PhotoClassifier | None = classifier
        self._local_classifier = classifier
        self._encoder: PictureEncoder | None = None

    @property
    def classifier(self) -> PhotoClassifier:
        """Who says what mood a face shows: the model on this machine, or a backend."""
        with self._loading:
            if self._loaded is None:
                self._loaded = self._open()
            return self._loaded

    @property
    def local_classifier(self) -> EmotionClassifier:
        """The model on this machine, shared with :attr:`classifier` where that is it."""
        from shelly_local.vision.classifier import EmotionClassifier

        with self._loading:
            if self._local_classifier is None:
                loaded = self._loaded
                if not isinstance(loaded, EmotionClassifier):
                    loaded = EmotionClassifier(self._model, **self._local)
                if self._loaded is None and self._backend_name() == "local":
                    self._loaded = loaded
                self._local_classifier = loaded
            return self._local_classifier

    def _open(self) -> PhotoClassifier:
        # Imports are here, so that that of this module loads no model runtime and no SDK.
        backend = self._backend_name()
        if not isinstance(backend, str):
            return backend
        if backend != "local":
            from shelly_local.backends import open_backend

            return open_backend(backend)
        from shelly_local.vision.classifier import EmotionClassifier

        return EmotionClassifier(self._model, **self._local)

    def _backend_name(self) -> str | Backend:
        from shelly_local.settings.table import BACKEND

        names: list[str] = BACKEND.read(os.environ.get(BACKEND.variable, ""))
        return self._backend or (names or BACKEND.default)[0]

    def read(
        self,
        data: bytes | ShellyError,
        source: ImageSource,
        built_in: bool,
        custom: Mapping[str, Snapshot],
        general: Sequence[str],
    ) -> ImageOutcome:
        """What becomes of a picture.

        Args:
            data: its bytes, or why there are none.
            source: where it came from.
            built_in: whether moods are asked for.
            custom: the custom classifiers asked for, by id.
            general: ids of ``general_ids`` that are asked for.
        """
        if isinstance(data, ShellyError):
            return ImageOutcome(source, data)
        try:
            if not custom and not general:
                return ImageOutcome(source, self._faces(data))
            # Custom and general ones are computed here, whoever answers for the moods.
            kinds = {snapshot.heads_kind for snapshot in custom.values()}
            if not built_in and not general and kinds == {"pictures"}:
                return self._things_only(data, source, custom)
            local = self.local_classifier
            analysis = local.analyse(data)
            here = photo = _sure(analysis.photo)
            if built_in and self.classifier is not local:
                photo = self.classifier.classify(data)
            looks = bool(general or kinds - {"faces"})
            encoding = self._pictures.encode(analysis.pixels) if looks else None
            scores = {}
            tags: dict[str, list[ClassScore]] = {}
            for name, snapshot in custom.items():
                scores[name] = _custom_scores(snapshot, analysis.embeddings, encoding)
                if snapshot.heads_kind != "faces":  # it needs no face, and no remark on faces
                    tags[name] = ranked_scores(scores[name], 0.0)
            if encoding is not None:
                tags |= self._tags(analysis.pixels, here, encoding, general)
            return ImageOutcome(source, photo, scores, tags)
        except (ImageError, MissingExtraError, BackendError) as error:
            return ImageOutcome(source, error)

    def _things_only(
        self, data: bytes, source: ImageSource, custom: Mapping[str, Snapshot]
    ) -> ImageOutcome:
        """A picture for custom classifiers that faces are nothing to."""
        import numpy as np

        decoded = self.local_classifier.decoded(data)
        encoding = self._pictures.encode(decoded.pixels)
        none = np.zeros((0, 0), dtype=np.float32)
        scores = {name: _custom_scores(each, none, encoding) for name, each in custom.items()}
        tags = {name: ranked_scores(found, 0.0) for name, found in scores.items()}
        photo = PhotoEmotions(width=decoded.width, height=decoded.height, faces=())
        return ImageOutcome(source, photo, scores, tags)

    def _faces(self, data: bytes) -> PhotoEmotions:
        """The faces in a picture, without what may be none where this machine looked for them."""
        from shelly_local.vision.classifier import EmotionClassifier

        classifier = self.classifier
        photo = classifier.classify(data)
        return _sure(photo) if isinstance(classifier, EmotionClassifier) else photo

    @property
    def _pictures(self) -> PictureEncoder:
        """The encoder of pictures, loaded when it is first asked for."""
        from shelly_local.vision.encoder import PictureEncoder

        with self._loading:
            if self._encoder is None:
                wanted = {name: self._local[name] for name in ("threads", "device")}
                self._encoder = PictureEncoder(**wanted)
            return self._encoder

    def _tags(
        self,
        pixels: NDArray[np.uint8],
        photo: PhotoEmotions,
        encoding: Encoding,
        general: Sequence[str],
    ) -> dict[str, list[ClassScore]]:
        """What the general classifiers say, by id."""
        from shelly_local.watson.general import food_classes, general_classes

        classes = self._pictures.classes
        return {
            name: food_classes(encoding, classes)
            if name == FOOD_ID
            else general_classes(pixels, encoding, classes, photo)
            for name in general
        }


def _custom_scores(
    snapshot: Snapshot, embeddings: NDArray[np.float32], encoding: Encoding | None
) -> dict[str, float]:
    """Scores of a custom classifier; none where it needs a face and there is none."""
    import numpy as np

    from shelly_local.watson.custom.learning import inputs

    faces, kind = embeddings[:1], snapshot.heads_kind
    if not len(faces):
        if kind == "faces":
            return {}
        faces = np.zeros((1, faces.shape[1]), dtype=np.float32)
    features = encoding.features[None] if encoding is not None else faces[:, :0]
    return snapshot.scores(inputs(kind, faces, features)[0])


def _sure(photo: PhotoEmotions) -> PhotoEmotions:
    """A photo without the faces that may be things: a mood is only said of a face."""
    faces = tuple(each for each in photo.faces if each.face.confidence >= LEAST_CONFIDENCE)
    return photo if len(faces) == len(photo.faces) else replace(photo, faces=faces)
