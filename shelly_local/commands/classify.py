"""``shelly classify``: the expressions in photos, as a table, CSV or JSON Lines."""

from __future__ import annotations

import argparse
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from shelly_local.batch.inputs import STANDARD_INPUT, PhotoInput, find_photos
from shelly_local.batch.progress import PROGRESS_MIN_PHOTOS, ProgressBar
from shelly_local.batch.writers import Writer, complain, find_overwritten, make_writer, open_output
from shelly_local.commands import classify_job
from shelly_local.commands.classify_job import output_kind
from shelly_local.errors import ShellyError
from shelly_local.results import PhotoEmotions
from shelly_local.settings import add_flags
from shelly_local.settings.table import COMMANDS, LOCAL, settings_of

#: The answer to a photo, by its bytes or its path.
Classify = Callable[[bytes | Path], PhotoEmotions]

DESCRIPTION = """\
Find the faces in photos and say which expression each shows: anger, disgust, fear,
happiness, neutral, sadness or surprise. In a photo with a large face the small ones beside
it are left out, unless --detection is thorough. A photo without a face is an ordinary
result. A photo that cannot be read is reported on standard error and does not stop the
others.
"""

EXAMPLES = """\
examples:
  shelly classify me.jpg                        a table for people
  shelly classify photos --output all.csv       a folder with its subfolders, a row per face
  shelly classify photos --json | head -n 1     JSON Lines, one object per photo
  shelly classify photos --output all.parquet   a job for many photos, on all cores; the same
                                                command goes on where a run was stopped
  shelly classify --list paths.txt --output all.jsonl --engine ray
                                                photos from a list, by workers of Ray
  shelly classify group.jpg --detection thorough
                                                small faces beside large ones, too
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
        help="a picture, a folder (with its subfolders; taken are files with the suffix of a "
        "picture, and those without any suffix that begin as pictures do), or - for standard "
        "input; a name that begins with - is given as ./-name",
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
        "(default: standard output). Its suffix says how, unless --csv or --json does: "
        ".csv, .tsv, .json, .txt (a table), or .jsonl or .parquet, which make a job of it that "
        "keeps what is done in FILE.parts until then",
    )
    parser.add_argument(
        "--annotate",
        metavar="DIR",
        type=Path,
        help="write copies of the photos with boxes, landmarks and labels to DIR, as PNG or "
        "JPEG and without metadata (default: none)",
    )
    add_flags(parser, COMMANDS["classify"])
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
    _check_usage(arguments)
    settings = settings_of("classify", arguments)
    backend = settings["backend"][0]
    if settings["model"] and backend != LOCAL:
        arguments.usage_error(f"--model is for the backend local, not for {backend!r}")
    passed_by: Counter[str] = Counter()
    inputs = _inputs(arguments, passed_by)
    if classify_job.is_job(arguments):
        exit_code = classify_job.execute(arguments, inputs, settings)
    else:
        exit_code = _one_by_one(arguments, list(inputs), settings)
    if passed_by:
        kinds = ", ".join(f"{kind} {count}" for kind, count in passed_by.most_common(5))
        complain(f"passed by, as no pictures by their names: {passed_by.total()} ({kinds})")
    return exit_code


def _check_usage(arguments: argparse.Namespace) -> None:
    if not arguments.paths and arguments.list is None:
        arguments.usage_error("give a PATH, or a list of them with --list FILE")
    if "" in (*arguments.paths, arguments.list) or arguments.output == Path():
        arguments.usage_error("a path is empty (''); is a variable of your script not set?")
    if [*arguments.paths, arguments.list].count(STANDARD_INPUT) > 1:
        arguments.usage_error("standard input (-) can be read only once")
    if arguments.column and not (arguments.list or "").lower().endswith(".parquet"):
        arguments.usage_error("--column is for --list FILE.parquet")
    if len([name for names in arguments.backend or () for name in names]) > 1:
        arguments.usage_error("--backend takes one name here")


def _one_by_one(
    arguments: argparse.Namespace, photos: Sequence[PhotoInput], settings: Mapping[str, Any]
) -> int:
    """Classify photos in this process, and write each result as soon as it is known."""
    kind = output_kind(arguments)
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
        classify = _classify_with(settings)
        with closing(make_writer(kind, stream, [photo.name for photo in photos])) as writer:
            return run(
                photos,
                classify,
                writer,
                copies=copies,
                show_progress=not (arguments.quiet or arguments.debug),
                debug=arguments.debug,
            )


def _inputs(arguments: argparse.Namespace, passed_by: Counter[str]) -> Iterator[PhotoInput]:
    """The photos, those of the list last."""
    yield from find_photos(arguments.paths, leave_out=arguments.annotate, passed_by=passed_by)
    if arguments.list is not None:
        from shelly_local.batch.photo_lists import listed_photos

        yield from listed_photos(arguments.list, arguments.column, passed_by)


def _classify_with(settings: Mapping[str, Any]) -> Classify:
    """Who answers: the model here, or the cloud that was chosen."""
    name = settings["backend"][0]
    if name == LOCAL:
        from shelly_local.vision.classifier import EmotionClassifier

        return EmotionClassifier(
            settings["model"], detection=settings["detection"], device=settings["device"]
        ).classify
    from shelly_local.backends import open_backend
    from shelly_local.vision.images import read

    backend = open_backend(name)
    if not backend.is_local:
        complain(f"the photos are sent to {backend.title}")
    return lambda photo: backend.classify(read(photo))


def run(
    photos: Sequence[PhotoInput],
    classify: Classify,
    writer: Writer,
    *,
    copies: Mapping[PhotoInput, Path] | None = None,
    show_progress: bool = False,
    debug: bool = False,
) -> int:
    """Classify photos one after another; one that fails costs a line, never the batch.

    Args:
        photos: what to classify, in this order.
        classify: who answers.
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
                emotions = classify(source)
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
    from shelly_local.vision.annotate import copy_files

    readable = list(dict.fromkeys(photo for photo in photos if photo.error is None))
    files = copy_files(folder, [photo.copy_path for photo in readable])
    return dict(zip(readable, files, strict=True))


def _write_copy(
    source: bytes | Path, emotions: PhotoEmotions, file: Path, debug: bool
) -> ShellyError | None:
    """Write the annotated copy of a photo; what went wrong, if anything did."""
    from shelly_local.vision.annotate import annotate, save
    from shelly_local.vision.images import decode

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
