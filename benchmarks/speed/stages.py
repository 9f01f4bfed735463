"""Where the time of a classification goes, and the least it could be.

``profile`` times the stages of the real pipeline by wrapping the functions that do them; two
readings of the clock per call, a microsecond, are all it adds. ``Floor`` repeats what no pipeline
of these networks can do without: the networks' runs, on the inputs they really got, and the
decoding of the photo at a reduced size.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from shelly_local.vision import classifier, images
from shelly_local.vision import sampling as area
from shelly_local.vision.classifier import EmotionClassifier
from shelly_local.vision.detector import FaceDetector

#: Least side, in pixels, of the floor's decoding: MTCNN needs faces of 48 pixels, which are
#: 7.5 % of it. libjpeg halves the size as often as it stays above.
FLOOR_SIDE = 640
#: Stages in the order of the pipeline; "other" is the rest of the whole.
STAGES = ("read", "decode", "resize", "P-Net", "R-Net", "O-Net", "align", "emotion", "other")


class Floor:
    """Decoding at a reduced size, and the networks' bare runs on recorded inputs.

    Args:
        classifier: whose sessions and inputs count.
        photo: bytes of a picture file.
    """

    def __init__(self, classifier: EmotionClassifier, photo: bytes) -> None:
        self._photo = photo
        self._runs: list[tuple[Any, Any, Any]] = []

        def recorded(session: Any, run: Callable[..., Any]) -> Callable[..., Any]:
            def record(outputs: Any, inputs: Any) -> Any:
                # A copy: a pipeline may use its buffers again.
                kept = {name: values.copy() for name, values in inputs.items()}
                self._runs.append((session, outputs, kept))
                return run(outputs, inputs)

            return record

        with _sessions_replaced(classifier, lambda _, session: _Session(session, recorded)):
            classifier.classify(photo)

    def run(self) -> None:
        """Do it all once."""
        image = Image.open(io.BytesIO(self._photo))
        image.draft(None, (FLOOR_SIDE, FLOOR_SIDE))  # no effect on other formats than JPEG
        image.load()
        for session, outputs, inputs in self._runs:
            session.run(outputs, inputs)


def profile(classifier: EmotionClassifier, photo: bytes, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of each stage in each round, after one discarded round."""
    clock = _Clock()
    samples: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with _stages_timed(classifier, clock):
        for number in range(rounds + 1):
            clock.spent.clear()
            start = time.process_time()
            classifier.classify(photo)
            whole = time.process_time() - start
            if number:
                clock.spent["other"] = whole - sum(clock.spent.values())
                for stage in STAGES:
                    samples[stage].append(1000 * clock.spent[stage])
    return samples


class _Session:
    """Stands in for a session of ONNX Runtime; ``run`` goes through ``wrap``."""

    def __init__(
        self, session: Any, wrap: Callable[[Any, Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        self.run = wrap(session, session.run)


class _Clock:
    """Time by stage; a stage within a stage counts for the inner one alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._within = 0.0

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measure(*args: Any, **kwargs: Any) -> Any:
            before, self._within = self._within, 0.0
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.process_time() - start
                self.spent[stage] += whole - self._within
                self._within = before + whole

        return measure


@contextmanager
def _stages_timed(classifier_: EmotionClassifier, clock: _Clock) -> Iterator[None]:
    functions: list[tuple[Any, str, str]] = [
        (images, "read_source", "read"),
        (images, "_decode", "decode"),
        (area.AreaSampler, "__init__", "resize"),
        (area.AreaSampler, "windows", "resize"),
        (area.BoxSampler, "__init__", "resize"),
        (area.BoxSampler, "resized", "resize"),
        (area.BoxSampler, "windows", "resize"),
        (classifier, "aligned_crops", "align"),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in functions]
    try:
        for owner, name, stage in functions:
            setattr(owner, name, clock.timed(stage, getattr(owner, name)))
        with _sessions_replaced(
            classifier_,
            lambda stage, session: _Session(session, lambda _, run: clock.timed(stage, run)),
        ):
            yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


@contextmanager
def _sessions_replaced(
    classifier_: EmotionClassifier, replace: Callable[[str, Any], Any]
) -> Iterator[None]:
    assert isinstance(classifier_.detector, FaceDetector)
    cascade, model = classifier_.detector._cascade, classifier_.model
    places: list[tuple[Any, str, str]] = [
        (cascade, "pnet", "P-Net"),
        (cascade, "rnet", "R-Net"),
        (cascade, "onet", "O-Net"),
        (model, "_session", "emotion"),
    ]
    originals = [getattr(owner, name) for owner, name, _ in places]
    try:
        for (owner, name, stage), session in zip(places, originals, strict=True):
            setattr(owner, name, replace(stage, session))
        yield
    finally:
        for (owner, name, _), session in zip(places, originals, strict=True):
            setattr(owner, name, session)
