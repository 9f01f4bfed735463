"""``shelly classify``: the expressions in photos, as a table, CSV or JSON Lines."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shelly_local.commands import classify_job
from shelly_local.errors import ShellyError
from shelly_local.output import (
    PROGRESS_MIN_PHOTOS,
    CsvWriter,
    JsonLinesWriter,
    ProgressBar,
    TableWriter,
    Writer,
    complain,
    find_overwritten,
    open_output,
)
from shelly_local.photo_files import STANDARD_INPUT, PhotoInput, find_photos
from shelly_local.results import CLASSES, PhotoEmotions

if TYPE_CHECKING:
    from shelly_local.backends import Backend
    from shelly_local.classifier import EmotionClassifier

DESCRIPTION = """\
Find every face in photos and say which expression it shows: anger, disgust, fear,
happiness, neutral, sadness or surprise. A photo without a face is an ordinary result.
A photo that cannot be read is reported on standard error and does not stop the others.
"""

EXAMPLES = """\
examples:
  shelly classify me.jpg                        a table for people
  shelly classify photos --csv --output all.csv
                                                a folder with its subfolders, a row per face
  shelly classify photos --json | head -n 1     JSON Lines, one object per photo
  shelly classify photos --output all.parquet   a job for many photos, on all cores; the same
                                                command goes on where a run was stopped
  shelly classify --list paths.txt --output all.jsonl --engine ray
                                                photos from a list, by workers of Ray
  shelly classify photos --annotate marked      also draw boxes and labels into copies
  cat me.jpg | shelly classify - --json         a photo from standard input
  shelly classify me.jpg --backend rekognition  ask Amazon, which gets the photo

Exit codes: 0 all fine, 1 some photo failed, 2 wrong usage, 130 interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly classify`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "classify",
        help="say which expressions photos show",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a picture, a folder (with its subfolders; hidden and other files are left "
        "out), or - for standard input",
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        help="also the photos and folders in FILE, one path per line (- for standard input), or "
        "in a column of a .parquet file",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="column of the .parquet file: text for paths, bytes for the pictures themselves "
        "(default: path)",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--csv", action="store_true", help="write CSV, one row per face (default: a table)"
    )
    formats.add_argument(
        "--json", action="store_true", help="write JSON Lines, one object per photo"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write the results to FILE, which is replaced only when all is done "
        "(default: standard output); .jsonl or .parquet makes a job of it, which keeps what is "
        "done in FILE.parts until then",
    )
    parser.add_argument(
        "--annotate",
        metavar="DIR",
        type=Path,
        help="write copies of the photos with boxes, landmarks and labels to DIR, as PNG or "
        "JPEG and without metadata (default: none)",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        type=Path,
        help="folder of the emotion model (default: the one that comes with Shelly)",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="who answers: local (default), ibm, rekognition or google, to which the photos are "
        "then sent; also as the environment variable SHELLY_BACKEND",
    )
    classify_job.add_arguments(parser)
    parser.add_argument(
        "--quiet",
        action="store_true",
        help=f"no progress bar (default: one on a terminal, from {PROGRESS_MIN_PHOTOS} photos on)",
    )
    parser.add_argument(
        "--debug", action="store_true", help="show tracebacks of internal errors, no progress bar"
    )
    parser.set_defaults(execute=execute, usage_error=parser.error)


def execute(arguments: argparse.Namespace) -> int:
    """Classify the photos that the arguments name.

    Returns:
        0, or 1 when a photo failed.

    Raises:
        ShellyError: the model cannot be loaded or the output not be written.
        SystemExit: the arguments contradict each other.
    """
    if not arguments.paths and arguments.list is None:
        arguments.usage_error("give a PATH, or a list of them with --list FILE")
    if [*arguments.paths, arguments.list].count(STANDARD_INPUT) > 1:
        arguments.usage_error("standard input (-) can be read only once")
    if arguments.column and not (arguments.list or "").lower().endswith(".parquet"):
        arguments.usage_error("--column is for --list FILE.parquet")
    if classify_job.is_job(arguments):
        return classify_job.execute(arguments, _inputs(arguments), _backend_name(arguments))
    photos = list(_inputs(arguments))
    copies = plan_copies(photos, arguments.annotate) if arguments.annotate else {}
    overwritten = find_overwritten(
        [photo.name for photo in photos], [*copies.values(), arguments.output]
    )
    if overwritten is not None:
        arguments.usage_error(
            f"{str(overwritten)!r} is one of the photos and would be overwritten; "
            "give --annotate another folder and --output another file"
        )

    # Before the model, which takes longer: an output that cannot be written is told at once.
    with open_output(arguments.output) as stream:
        classifier = _open_classifier(arguments)
        classes = getattr(classifier, "classes", CLASSES)
        writer: Writer
        if arguments.json or classify_job.is_json_lines(arguments):
            writer = JsonLinesWriter(stream)
        elif arguments.csv:
            writer = CsvWriter(stream, classes)
        else:
            writer = TableWriter(stream, [photo.name for photo in photos], classes)
        return run(
            photos,
            classifier,
            writer,
            copies=copies,
            show_progress=not (arguments.quiet or arguments.debug),
            debug=arguments.debug,
        )


def _inputs(arguments: argparse.Namespace) -> Iterator[PhotoInput]:
    """The photos, those of the list last."""
    yield from find_photos(arguments.paths, leave_out=arguments.annotate)
    if arguments.list is not None:
        from shelly_local.photo_lists import listed_photos

        yield from listed_photos(arguments.list, arguments.column)


def _backend_name(arguments: argparse.Namespace) -> str:
    """Who answers, and whether that fits the model."""
    name = arguments.backend or os.environ.get("SHELLY_BACKEND", "").strip() or "local"
    if arguments.model and name != "local":
        arguments.usage_error(f"--model is for the backend local, not for {name!r}")
    return str(name)


def _open_classifier(arguments: argparse.Namespace) -> EmotionClassifier | _Sent:
    """Who answers: the model here, or the cloud that was chosen."""
    name = _backend_name(arguments)
    if name == "local":
        from shelly_local.classifier import EmotionClassifier

        return EmotionClassifier(model=arguments.model)
    from shelly_local.backends import open_backend

    backend = open_backend(name)
    if not backend.is_local:
        complain(f"the photos are sent to {backend.title}")
    return _Sent(backend)


class _Sent:
    """A cloud, which wants the bytes of a photo where the model here takes paths as well."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def classify(self, photo: bytes | Path) -> PhotoEmotions:
        """The faces in a photo, by the cloud."""
        from shelly_local.images import read

        return self._backend.classify(read(photo))


def run(
    photos: Sequence[PhotoInput],
    classifier: EmotionClassifier | _Sent,
    writer: Writer,
    *,
    copies: Mapping[PhotoInput, Path] | None = None,
    show_progress: bool = False,
    debug: bool = False,
) -> int:
    """Classify photos one after another; one that fails costs a line, never the batch.

    Args:
        photos: what to classify, in this order.
        classifier: what classifies.
        writer: where each outcome goes as soon as it is known.
        copies: the file of the annotated copy of each photo that gets one.
        show_progress: show a progress bar if standard error is a terminal.
        debug: show the traceback of an unexpected exception.

    Returns:
        0, or 1 when a photo or its annotated copy failed.
    """
    copies = copies or {}
    exit_code = 0
    with ProgressBar(len(photos), wanted=show_progress) as bar:
        for photo in photos:
            source: bytes | Path = b""
            emotions: PhotoEmotions | None = None
            error: ShellyError | None = None
            try:
                source = photo.read()
                emotions = classifier.classify(source)
            except ShellyError as expected:
                error = expected
            except Exception as unexpected:
                error = _internal_error(unexpected, debug)
            with bar.hidden():
                if emotions is not None:
                    writer.photo(photo.name, emotions)
                elif error is not None:
                    writer.failure(photo.name, error)
            if emotions is not None and photo in copies:
                error = _write_copy(source, emotions, copies[photo], debug)
            if error is not None:
                exit_code = 1
                with bar.hidden():
                    complain(f"{photo.name}: {error.description}")
            bar.advance()
    return exit_code


def plan_copies(photos: Iterable[PhotoInput], folder: Path) -> dict[PhotoInput, Path]:
    """Which file within ``folder`` each annotated copy becomes; see ``copy_files``."""
    from shelly_local.annotate import copy_files

    readable = list(dict.fromkeys(photo for photo in photos if photo.error is None))
    files = copy_files(folder, [photo.copy_path for photo in readable])
    return dict(zip(readable, files, strict=True))


def _write_copy(
    source: bytes | Path, emotions: PhotoEmotions, file: Path, debug: bool
) -> ShellyError | None:
    """Write the annotated copy of a photo; what went wrong, if anything did."""
    from shelly_local.annotate import annotate, save
    from shelly_local.images import decode

    try:
        save(annotate(decode(source).pixels, emotions), file)
    except ShellyError as error:
        return error
    except OSError as error:
        return ShellyError(f"cannot write the annotated copy {file}: {error.strerror or error}")
    except Exception as error:
        return _internal_error(error, debug)
    return None


def _internal_error(error: Exception, debug: bool) -> ShellyError:
    if debug:
        traceback.print_exception(error)
    return ShellyError(f"internal error: {type(error).__name__}: {error}")
