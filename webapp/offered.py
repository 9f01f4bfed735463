"""Which backends the page offers: the model here, and the clouds its owner configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from shelly_local.results import PhotoEmotions

from .problems import Problem

LOCAL = "local"
LOCAL_TITLE = "On this machine"


class Classifier(Protocol):
    """What the application needs of a classifier."""

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """Find every face of an encoded picture and recognise its expression.

        Raises:
            shelly_local.errors.ImageError: the picture cannot be used.
            shelly_local.errors.BackendError: a cloud did not answer.
        """
        ...


@dataclass(frozen=True)
class Offer:
    """A backend under the name that requests ask for it.

    Attributes:
        name: short name, as in ``--backend NAME``.
        title: name for people.
        is_local: whether photos stay on this machine.
        classifier: thread-safe; answers the photos.
    """

    name: str
    title: str
    is_local: bool
    classifier: Classifier


class Offers:
    """The backends of an application, the local one first. Read-only, so thread-safe.

    Args:
        backends: classifiers by name. One without ``title`` or ``is_local`` is taken for
            local under the name ``"local"`` and for a cloud under any other.
        default: the name that answers when a request asks for none; the first by default.

    Raises:
        ValueError: ``local`` is missing, or ``default`` is not among the names.
    """

    def __init__(self, backends: Mapping[str, Classifier], default: str | None = None) -> None:
        if LOCAL not in backends:
            raise ValueError(f"the backends must include {LOCAL!r}; got {', '.join(backends)}")
        self.default = default or next(iter(backends))
        if self.default not in backends:
            raise ValueError(
                f"the default backend must be one of {', '.join(backends)}; got {self.default!r}"
            )
        names = sorted(backends, key=lambda name: name != LOCAL)
        self._offers = {name: _offer(name, backends[name]) for name in names}

    def choose(self, name: str | None, *, live: bool = False) -> Offer:
        """The backend that answers a request.

        Args:
            name: what the request asks for; None for the default, or for the local one
                where frames are live.
            live: whether the photo is a frame of a camera, which only stays here.

        Raises:
            Problem: no backend has this name, or live frames would leave this machine.
        """
        chosen = name or (LOCAL if live else self.default)
        if chosen not in self._offers:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "unknown-backend",
                f"There is no backend {chosen[:40]!r} here; choose from {', '.join(self._offers)}.",
            )
        offer = self._offers[chosen]
        if live and not offer.is_local:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "live-is-local",
                f"Live pictures never leave this machine, so {chosen!r} cannot have them; "
                f"choose {LOCAL!r}.",
            )
        return offer

    def as_dict(self) -> dict[str, object]:
        """``{"default", "backends": [{"name", "title", "local"}]}``, the local one first."""
        return {
            "default": self.default,
            "backends": [
                {"name": offer.name, "title": offer.title, "local": offer.is_local}
                for offer in self._offers.values()
            ],
        }

    @property
    def local(self) -> Classifier:
        """The classifier on this machine."""
        return self._offers[LOCAL].classifier


def _offer(name: str, classifier: Classifier) -> Offer:
    is_local = bool(getattr(classifier, "is_local", name == LOCAL))
    title = str(getattr(classifier, "title", LOCAL_TITLE if name == LOCAL else name))
    return Offer(name, title, is_local, classifier)
