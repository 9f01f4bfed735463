"""What is compared: backends, peers, and classifiers of a user's own, opened by name."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from shelly_local.errors import ImageError, ShellyError
from shelly_local.results import PhotoEmotions

from .network import Stopwatch

#: Beginning of the names of ``peers``.
PEER = "peer:"
#: Stands for every backend that can be used here without further ado.
CONFIGURED = "configured"
#: HTTP statuses after which asking again is of no use: the keys are wrong, or not paid for.
HOPELESS = (401, 402, 403)
#: Failures in a row, of the service and not of a picture, after which it is not asked again.
MOST_FAILURES = 5


class ContenderError(ShellyError):
    """A name stands for nothing, or for what cannot take part."""

    code = 400
    error_id = "contender_error"


class Contender(Protocol):
    """What every backend has; see ``shelly_local.backends``."""

    name: str
    is_local: bool

    def classify(self, photo: bytes, /) -> PhotoEmotions:
        """The faces of a picture."""

    def describe(self) -> dict[str, Any]:
        """Versions, mapping of classes, host."""

    def close(self) -> None:
        """Let go of connections and models."""


@dataclass
class Entry:
    """A contender in a run, or why there is none.

    Attributes:
        name: as given to ``--backends``; the key in results.
        contender: None where it could not be opened.
        error: why, or why it is not asked any more.
        failures: failures of the service in a row.
        stopwatch: times the parts of calls to a cloud while it is on.
    """

    name: str
    contender: Contender | None
    error: ShellyError | None = None
    failures: int = 0
    stopwatch: Stopwatch = field(default_factory=Stopwatch, repr=False)

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""
        return self.contender is not None and self.error is None

    @property
    def is_local(self) -> bool:
        """Whether pictures stay on this machine; what does not say so is taken for a cloud."""
        return bool(getattr(self.contender, "is_local", False))

    @property
    def time_only(self) -> bool:
        """Whether its answers mean nothing (random weights)."""
        return bool(getattr(self.contender, "time_only", False))

    @property
    def thread_safe(self) -> bool:
        """Whether threads may ask it at the same time."""
        return bool(getattr(self.contender, "thread_safe", True))

    def classify(self, photo: bytes) -> tuple[PhotoEmotions, dict[str, float]]:
        """The answer, and of a cloud the milliseconds of its parts.

        Raises:
            ImageError: the picture cannot be used; the next one may be fine.
            ShellyError: anything else; ``usable`` tells whether asking on makes sense.
        """
        if self.contender is None or self.error is not None:
            raise self.error or ShellyError(f"{self.name} is not open")
        phases: dict[str, float] = {}
        try:
            if self.is_local:
                answer = self.contender.classify(photo)
            else:
                answer, phases = self._timed(photo)
        except ImageError:
            self.failures = 0
            raise
        except ShellyError as error:
            self.failed(error)
            raise
        except Exception as error:
            wrapped = ShellyError(f"internal error: {type(error).__name__}: {error}")
            self.failed(wrapped)
            raise wrapped from error
        self.failures = 0
        return answer, phases

    @property
    def model(self) -> str | None:
        """The SHA-256 of a model here; None where the backend does not tell one."""
        description = self.describe().get("description")
        digest = description.get("sha256") if isinstance(description, Mapping) else None
        return digest if isinstance(digest, str) else None

    def describe(self) -> dict[str, Any]:
        """What the contender says of itself, with its place."""
        if self.contender is None:
            return {}
        try:
            description = self.contender.describe()
        except Exception as error:  # what was measured must not be lost to this
            description = {"error": f"{type(error).__name__}: {error}"}
        return {
            "is_local": self.is_local,
            "description": description,
        }

    def close(self) -> None:
        """Close the contender; what goes wrong then changes no result."""
        if self.contender is not None:
            try:
                self.contender.close()
            except Exception:
                self.contender = None

    def _timed(self, photo: bytes) -> tuple[PhotoEmotions, dict[str, float]]:
        """The answer of a cloud, and its parts as HTTP shows them."""
        contender: Any = self.contender
        self.stopwatch.start()
        start = time.perf_counter()
        answer = contender.classify(photo)
        total = 1000 * (time.perf_counter() - start)
        phases = self.stopwatch.milliseconds()
        if phases:
            phases["client"] = max(total - sum(phases.values()), 0.0)
        return answer, {key: round(value, 3) for key, value in phases.items()}

    def failed(self, error: ShellyError) -> None:
        """Count a failure of the service; too many, and it is not asked any more."""
        self.failures += 1
        if error.code in HOPELESS:
            self.error = error
        elif self.failures >= MOST_FAILURES:
            self.error = ShellyError(
                f"given up after {self.failures} failures in a row, the last one: "
                f"{error.description}"
            )


class Budget:
    """How many pictures may still be sent to clouds; each counts as one call.

    Args:
        limit: at most this many; None for as many as there are.
        spent: calls of the run before it was stopped.

    Attributes:
        refused: whether a picture was not sent for this reason.
    """

    def __init__(self, limit: int | None, spent: int = 0) -> None:
        self.limit = limit
        self.spent = spent
        self.refused = False

    def take(self, entry: Entry, calls: int = 1) -> bool:
        """Whether so many pictures may be sent; if so, they count. Local ones cost nothing."""
        if entry.is_local:
            return True
        if self.limit is not None and self.spent + calls > self.limit:
            self.refused = True
            return False
        self.spent += calls
        return True


def open_contender(name: str, options: Mapping[str, Any] | None = None) -> Contender:
    """Open what a name stands for.

    Args:
        name: of a backend that ``shelly_local.backends`` knows; ``peer:NAME``; or
            ``MODULE:FUNCTION``, which is imported and called and must return a backend.
        options: for the function that opens it.

    Raises:
        ContenderError: the name is unknown.
        ShellyError: keys, packages or models are missing.
    """
    options = dict(options or {})
    if name.startswith(PEER):
        from . import peers

        return cast("Contender", peers.open_peer(name, **options))
    if ":" in name:
        return _call(name, options)
    from shelly_local import backends

    if name not in backends.known():
        raise ContenderError(unknown_name(name))
    return cast("Contender", backends.open_backend(name, **options))


def unknown_name(name: str) -> str:
    """The message about a name that stands for nothing."""
    from shelly_local import backends

    from . import peers

    known = ", ".join([*backends.known(), *peers.NAMES])
    return f"no backend is called {name!r}; there are {known}, and MODULE:FUNCTION for your own"


def open_all(
    names: Sequence[str],
    *,
    allow_cloud: bool,
    scored: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Entry]:
    """Open every contender; one that is not to be had costs its own results and no others.

    Args:
        names: as for ``open_contender``, each once.
        allow_cloud: whether pictures may leave this machine.
        scored: whether answers are to be scored, and not only timed.
        options: by name.

    Raises:
        ContenderError: a name is unknown or stands twice, its answers cannot be scored, or
            pictures would leave this machine.
    """
    if double := [name for name in dict.fromkeys(names) if list(names).count(name) > 1]:
        raise ContenderError(f"{', '.join(double)} is named twice; name every backend once")
    entries: list[Entry] = []
    try:
        for name in names:
            try:
                entries.append(Entry(name, open_contender(name, (options or {}).get(name))))
            except ContenderError:
                raise
            except ShellyError as error:
                entries.append(Entry(name, None, error))
        if scored and (untrained := [entry.name for entry in entries if entry.time_only]):
            raise ContenderError(
                f"{', '.join(untrained)} has random weights: it can be timed, but not scored"
            )
        clouds = [e.name for e in entries if e.contender is not None and not e.is_local]
        if clouds and not allow_cloud:
            raise ContenderError(
                f"{', '.join(clouds)} would get the pictures over the network; "
                "add --allow-cloud if they may leave this machine"
            )
    except BaseException:
        for entry in entries:
            entry.close()
        raise
    return entries


def parse_names(text: str) -> list[str]:
    """The names in ``--backends``; ``configured`` stands for what can be used here.

    Raises:
        ContenderError: there is none.
    """
    names: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if name == CONFIGURED:
            from shelly_local import backends

            names += [known for known in backends.configured() if known not in names]
        elif name:
            names.append(name)
    if not names:
        raise ContenderError(f"name one backend or more, separated by commas; got {text!r}")
    return names


def _call(name: str, options: Mapping[str, Any]) -> Contender:
    module, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:  # as python -m has it, and the child processes
        sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ContenderError(f"the backend {name!r} cannot be imported: {error}") from error
    try:
        contender = make(**options)
    except ShellyError:
        raise
    except Exception as error:
        raise ShellyError(f"{name} cannot be opened: {type(error).__name__}: {error}") from error
    for part in ("classify", "describe", "close", "is_local"):
        if not hasattr(contender, part):
            raise ContenderError(f"the backend {name!r} has no {part!r}")
    return cast("Contender", contender)
