"""``VisualRecognition``: IBM's ``classify`` call in Python, answered on this machine.

A program written for ``ibm_watson.VisualRecognitionV3`` changes its import::

    from shelly_local.watson.client import VisualRecognitionV3

    visual_recognition = VisualRecognitionV3("2018-03-19")
    with open("portrait.jpg", "rb") as images_file:
        answer = visual_recognition.classify(images_file=images_file, threshold="0.6")
    print(answer.get_result()["images"][0]["classifiers"][0]["classes"])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from shelly_local.errors import ShellyError
from shelly_local.vision.decoding_memory import beside
from shelly_local.watson.contract.answer import classified_images, detected_faces
from shelly_local.watson.contract.failures import no_images_error
from shelly_local.watson.contract.options import (
    parse_list,
    parse_threshold,
    parse_version,
    select_classifiers,
)
from shelly_local.watson.contract.types import (
    DEFAULT_ID,
    DEFAULTS,
    EMOTION_ID,
    FOOD_ID,
    MAX_IMAGE_BYTES,
    ClassifiedImages,
    DetectedFaces,
    ImageOutcome,
    ImageSource,
    WarningInfo,
)
from shelly_local.watson.custom.calls import CustomClassifierCalls
from shelly_local.watson.fetch import Fetched, FetchError, fetch
from shelly_local.watson.reader import ImageReader
from shelly_local.watson.responses import ApiException, DetailedResponse
from shelly_local.watson.uploads import ImagesFile, read_images, upload_name

if TYPE_CHECKING:
    from shelly_local.backends import Backend
    from shelly_local.vision.classifier import EmotionClassifier
    from shelly_local.watson.custom.catalogue import Snapshot

    PhotoClassifier = EmotionClassifier | Backend

__all__ = ["ApiException", "DetailedResponse", "VisualRecognition", "VisualRecognitionV3"]

# Keywords of IBM's constructors, from the first SDK to the last.
_UNUSED_KEYWORDS = frozenset(
    {
        "api_key",
        "authentication_type",
        "disable_ssl_verification",
        "display_name",
        "iam_access_token",
        "iam_apikey",
        "iam_client_id",
        "iam_client_secret",
        "iam_url",
        "icp4d_access_token",
        "icp4d_url",
        "password",
        "service_name",
        "url",
        "use_vcap_services",
        "username",
    }
)


class VisualRecognition(CustomClassifierCalls):
    """A stand-in for IBM's ``VisualRecognitionV3`` that classifies facial expressions.

    The built-in classifiers are ``emotion``, ``food`` and ``default``, which is ``emotion`` again
    or, as IBM's was, tags of whatever a picture shows; see ``default`` below. An answer
    carries the id asked for as ``classifier_id`` and ``name``, so a client finds its own id in
    it. Custom classifiers are trained with :meth:`create_classifier`.

    Thread-safe: the model is loaded once, at the first call of :meth:`classify`.

    Args:
        version: API version, any date as ``YYYY-MM-DD``; there is one behaviour for all.
        authenticator: accepted and unused, as there is nothing to log in to. The same holds
            for IBM's keywords ``api_key``, ``iam_apikey``, ``iam_access_token``, ``iam_url``,
            ``url``, ``service_name``, ``username``, ``password`` and the like.
        model: directory of the emotion model; None is the one that comes along.
        classifier: a classifier to use instead of loading one, for programs that share it.
        allow_url: whether ``classify(url=...)`` may fetch from the public internet. Off
            unless True, because whoever names the address makes this machine connect to it.
            ``"loopback"`` allows this machine's own addresses as well.
        data_dir: folder of the custom classifiers; None for the environment's
            ``SHELLY_DATA_DIR``, else the user's data folder.
        classifier_aliases: further ids that answer like ``emotion``: the ids of custom
            classifiers that a program was written for.
        backend: who answers: a name from ``shelly_local.backends``, or one that is open.
            By default the environment's ``SHELLY_BACKEND``, else the model on this machine.
        threads: threads of one network run on this machine; None for one per core.
        default: what ``default`` answers: ``"emotion"``, the seven moods of a face, or
            ``"general"``, things, wider classes, colours, and the mood of a large face.
        detection, device: how faces are looked for, and where networks run, on this machine; see
            ``EmotionClassifier``.

    Raises:
        ApiException: 400, if ``version`` is no date.
        TypeError: a keyword is neither ours nor IBM's.
        ValueError: ``allow_url`` or ``default`` is none of the values above.
    """

    def __init__(
        self,
        version: str = "2018-03-19",
        authenticator: object = None,
        *,
        model: str | os.PathLike[str] | None = None,
        classifier: EmotionClassifier | None = None,
        allow_url: bool | Literal["loopback"] = False,
        classifier_aliases: Iterable[str] = (),
        backend: str | Backend | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        detection: str = "fast",
        device: str = "cpu",
        default: str = "emotion",
        **unused: object,
    ) -> None:
        parse_version(version)
        if unexpected := sorted(unused.keys() - _UNUSED_KEYWORDS):
            raise TypeError(f"VisualRecognition() got unexpected keywords: {unexpected}")
        if allow_url not in (True, False, "loopback"):
            raise ValueError(f"allow_url must be True, False or 'loopback', got {allow_url!r}")
        if default not in DEFAULTS:
            raise ValueError(f"default must be one of {', '.join(DEFAULTS)}; got {default!r}")
        self.version = version
        self._allow_url = allow_url
        aliases = parse_list(classifier_aliases, "classifier_aliases") or []
        self._known_ids = tuple(dict.fromkeys((EMOTION_ID, DEFAULT_ID, FOOD_ID, *aliases)))
        general = {FOOD_ID} | ({DEFAULT_ID} if default == "general" else set())
        local = {"threads": threads, "detection": detection, "device": device}
        self._reader = ImageReader(model, classifier, backend, local, general - set(aliases))
        self._set_up_custom(data_dir, lambda: classifier or model)

    def classify(
        self,
        images_file: ImagesFile | None = None,
        images_filename: str | None = None,
        images_file_content_type: str | None = None,
        url: str | None = None,
        threshold: float | str | None = None,
        owners: str | Iterable[str] | None = None,
        classifier_ids: str | Iterable[str] | None = None,
        accept_language: str | None = None,
        headers: object = None,
        *,
        fetched: Fetched | ShellyError | None = None,
    ) -> DetailedResponse[ClassifiedImages]:
        """Classify the facial expression in one photo, or in each photo of a zip file.

        **Scores.** A score is the calibrated probability of the class for the largest face
        of the photo: the seven sum to 1, so at most one is above 0.5. (IBM's custom scores
        were one-versus-rest and did not sum to 1; 0.5 was a fair threshold there and is one
        here.) They have three decimals and come best first. An empty ``classes`` list is an
        ordinary answer: no class reached the threshold, or there is no face.

        **Warnings.** A photo without a face gives the warning ``no_face``; one with several
        gives ``several_faces``, as the answer has no place for boxes and the largest face
        speaks for the photo. ``not_found`` names an unknown classifier asked for beside a
        known one, ``limit_reached`` a zip with more than 20 photos. ``warnings`` is an
        optional field of IBM's answers, absent without a remark, that clients may ignore.

        Args:
            images_file: a photo, or a zip file of photos, as bytes, as a file opened in
                binary mode, or as a path. Photos may have 10 MB, zip files 100 MB and 20
                photos; folders, ``__MACOSX`` and files with a leading dot are passed over.
            images_filename: name to show as ``image``, as it is. Otherwise the base name of
                the path or of the file's ``name``. Without any, ``image`` is left out (where
                IBM's SDK raises ValueError), and photos of a zip are named by their path in it.
            images_file_content_type: accepted and unused; the bytes tell.
            url: http(s) address of a photo, if the constructor's ``allow_url`` permits; it
                may be given together with a file.
            threshold: minimum score, 0 to 1, number or text, also as ``"0,5"``; 0.5 if None.
                0 shows all seven classes, as a number too (IBM's SDK never sent that one).
            owners: ``IBM`` (``default``), ``me`` (all custom classifiers that are ready) or
                both, as a list or with commas.
            classifier_ids: ids as a list or with commas; overrides ``owners``. With neither,
                the answer is that of ``default``. Empty ones count as not given.
            accept_language: accepted; class names stay English, which is what IBM's service
                fell back to for languages it had no names in.
            headers: accepted and unused.
            fetched: what :meth:`fetch` gave for ``url``; None fetches now.

        Returns:
            The answer: ``get_result()`` is ``{"images", "images_processed",
            "custom_classes"[, "warnings"]}``. A zip's bad photo has an ``error`` in its entry
            while the others are answered.

        Raises:
            ApiException: 400 for a bad option or no image; 404 for an unknown classifier;
                and if every image failed, that image's own status (400 for what is no
                picture or too small, 413 for too large, 404 for a path that cannot be
                opened), with an ``error`` per image in ``body``.
            ModelError: the model cannot be loaded.
            TypeError: ``images_file`` is none of the kinds above.
        """
        limit = parse_threshold(threshold)
        asked_ids = parse_list(classifier_ids or None, "classifier_ids")
        asked_owners = parse_list(owners or None, "owners")
        upload: ImageSource = {}
        sources: list[ImageSource] = []
        if images_file is not None:
            if name := images_filename or upload_name(images_file):
                upload["image"] = name
            sources.append(upload)
        if url:
            sources.append({"source_url": url})
        if not sources:
            raise no_images_error()
        found = self._find_custom(asked_ids, asked_owners, self._known_ids)
        entries = {name: snapshot.entry for name, snapshot in found.items()}
        ids, warnings = select_classifiers(
            asked_ids, asked_owners, self._known_ids, sources, entries
        )
        custom = {name: found[name] for name in ids if name in found}
        general = [name for name in ids if name in self._reader.general_ids]
        built_in = len(custom) + len(general) < len(ids)
        outcomes = self._outcomes(
            (images_file, upload.get("image")), url, fetched, warnings,
            built_in=built_in, custom=custom, general=general,
        )  # fmt: skip
        return DetailedResponse(response=classified_images(outcomes, ids, limit, warnings, entries))

    def detect_faces(
        self,
        images_file: ImagesFile | None = None,
        images_filename: str | None = None,
        images_file_content_type: str | None = None,
        url: str | None = None,
        accept_language: str | None = None,
        headers: object = None,
        *,
        fetched: Fetched | ShellyError | None = None,
    ) -> DetailedResponse[DetectedFaces]:
        """Where the faces are in one picture, or in each picture of a zip file.

        Args are those of :meth:`classify`.

        Returns:
            ``get_result()`` is ``{"images": [{"faces": [{"face_location": {"height", "left",
            "top", "width"}}], "image"}], "images_processed"}``, boxes in whole pixels inside the
            picture. IBM's optional ``age`` and ``gender`` are never there: nobody's are guessed.

        Raises:
            ApiException: see :meth:`classify`.
            ModelError: the model cannot be loaded.
            TypeError: ``images_file`` is none of the kinds above.
        """
        if images_file is None and not url:
            raise no_images_error()
        warnings: list[WarningInfo] = []
        name = None if images_file is None else images_filename or upload_name(images_file)
        outcomes = self._outcomes((images_file, name), url, fetched, warnings)
        return DetailedResponse(response=detected_faces(outcomes, warnings))

    def _outcomes(
        self,
        upload: tuple[ImagesFile | None, str | None],
        url: str | None,
        fetched: Fetched | ShellyError | None,
        warnings: list[WarningInfo],
        *,
        built_in: bool = True,
        custom: Mapping[str, Snapshot] | None = None,
        general: Sequence[str] = (),
    ) -> list[ImageOutcome]:
        """What becomes of each picture of a call: those of the file first, then that of the url."""
        images_file, name = upload
        custom = custom or {}
        outcomes = []
        if images_file is not None:
            held = images_file if isinstance(images_file, bytes | bytearray | memoryview) else b""
            with beside(len(held)):
                for source, data in read_images(images_file, name, warnings):
                    outcomes.append(self._reader.read(data, source, built_in, custom, general))
        if url:
            got = fetched or self.fetch(url)
            source = {"source_url": url}
            if isinstance(got, Fetched):
                source["resolved_url"] = got.resolved_url
            picture = got.data if isinstance(got, Fetched) else got
            outcomes.append(self._reader.read(picture, source, built_in, custom, general))
        return outcomes

    def fetch(self, url: str) -> Fetched | ShellyError:
        """Fetch a photo if ``allow_url`` permits it, for ``classify`` to be called later.

        Args:
            url: its http(s) address.

        Returns:
            The photo, or why there is none, which ``classify`` then tells.
        """
        if not self._allow_url:
            reason = "fetching is switched off; allow_url=True or --allow-url switches it on"
            return FetchError(reason)
        try:
            return fetch(url, max_bytes=MAX_IMAGE_BYTES, loopback=self._allow_url == "loopback")
        except ShellyError as error:
            return error

    @property
    def built_in_ids(self) -> tuple[str, ...]:
        """Ids that the built-in classifier answers to."""
        return self._known_ids

    def load(self) -> None:
        """Load the model now instead of at the first call, as a server does.

        Raises:
            ShellyError: it cannot be loaded, or the backend cannot be opened.
        """
        _ = self._reader.classifier

    def set_service_url(self, service_url: str) -> None:
        """Accepted and unused: there is no service."""

    def set_default_headers(self, headers: object) -> None:
        """Accepted and unused: nothing is sent."""

    def set_disable_ssl_verification(self, status: bool = False) -> None:
        """Accepted and unused: nothing is sent."""


#: IBM's name of the class.
VisualRecognitionV3 = VisualRecognition
