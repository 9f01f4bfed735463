"""``shelly classify``: the expressions in photos, as a table, CSV or JSON Lines."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from shelly_local.errors import ImageUnreadableError, ShellyError
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
from shelly_local.results import PhotoEmotions

if TYPE_CHECKING:
    from shelly_local.classifier import EmotionClassifier

#: Which files of a folder are taken for pictures; a file named itself is always tried.
PICTURE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
STANDARD_INPUT = "-"

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
  shelly classify photos --annotate marked      also draw boxes and labels into copies
  cat me.jpg | shelly classify - --json         a photo from standard input

Exit codes: 0 all fine, 1 some photo failed, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True, slots=True)
class PhotoInput:
    """A photo to classify.

    Attributes:
        name: how results and messages call it: the path as given, or ``-``.
        copy_path: where its annotated copy belongs, relative to the folder of copies
            and before the suffix is settled.
        error: why it cannot be classified, when that is known beforehand.
    """

    name: str
    copy_path: Path
    error: ImageUnreadableError | None = None

    def read(self) -> bytes | Path:
        """What to hand to the classifier, as often as needed.

        Raises:
            ImageUnreadableError: there is nothing to read.
        """
        if self.error is not None:
            raise self.error
        if self.name == STANDARD_INPUT:
            if sys.stdin is None:
                raise ImageUnreadableError("standard input is closed")
            return _read_once(sys.stdin.buffer)
        path = Path(self.name)
        status = _status(path)
        if status is not None and stat.S_ISFIFO(status.st_mode):  # as of a shell's <(command)
            try:
                with path.open("rb") as pipe:
                    return _read_once(pipe)
            except OSError as error:
                raise ImageUnreadableError(f"cannot be read: {error.strerror}") from error
        return path


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
        nargs="+",
        help="a picture, a folder (with its subfolders; hidden and other files are left "
        "out), or - for standard input",
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
        "(default: standard output)",
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
    if arguments.paths.count(STANDARD_INPUT) > 1:
        arguments.usage_error("standard input (-) can be read only once")
    photos = find_photos(arguments.paths, leave_out=arguments.annotate)
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
        from shelly_local.classifier import EmotionClassifier

        classifier = EmotionClassifier(model=arguments.model)
        writer: Writer
        if arguments.json:
            writer = JsonLinesWriter(stream)
        elif arguments.csv:
            writer = CsvWriter(stream, classifier.classes)
        else:
            writer = TableWriter(stream, [photo.name for photo in photos], classifier.classes)
        return run(
            photos,
            classifier,
            writer,
            copies=copies,
            show_progress=not (arguments.quiet or arguments.debug),
            debug=arguments.debug,
        )


def run(
    photos: Sequence[PhotoInput],
    classifier: EmotionClassifier,
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


def find_photos(paths: Iterable[str], leave_out: Path | None = None) -> list[PhotoInput]:
    """The photos that arguments name: files as they are, folders as what is in them.

    Args:
        paths: files, folders, or ``-``.
        leave_out: a folder within them to pass by: annotated copies of an earlier run.
    """
    photos = []
    for path in paths:
        status = _status(path)
        if path == STANDARD_INPUT:
            photos.append(PhotoInput(path, Path("stdin")))
        elif status is not None and stat.S_ISDIR(status.st_mode):
            photos.extend(_photos_in(path, leave_out))
        else:
            photos.append(PhotoInput(path, _file_name(path)))
    return photos


def plan_copies(photos: Iterable[PhotoInput], folder: Path) -> dict[PhotoInput, Path]:
    """Which file within ``folder`` each annotated copy becomes; see ``copy_files``."""
    from shelly_local.annotate import copy_files

    readable = list(dict.fromkeys(photo for photo in photos if photo.error is None))
    files = copy_files(folder, [photo.copy_path for photo in readable])
    return dict(zip(readable, files, strict=True))


def _status(path: str | Path) -> os.stat_result | None:
    """What the system says of a file; None if it is missing or may not be looked at."""
    try:
        return Path(path).stat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None


def _photos_in(folder: str, leave_out: Path | None) -> list[PhotoInput]:
    unreadable: list[OSError] = []
    left_out = leave_out and os.path.realpath(leave_out)
    found: list[Path] = []
    for parent, subfolders, files in os.walk(folder, onerror=unreadable.append):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(Path(parent, name)) != left_out
        ]
        for name in files:
            file = Path(parent, name)
            if (
                not name.startswith(".")
                and file.suffix.lower() in PICTURE_SUFFIXES
                and (status := _status(file)) is not None
                and stat.S_ISREG(status.st_mode)
            ):
                found.append(file.relative_to(folder))
    photos = [
        PhotoInput(str(Path(folder, path)), path)
        for path in sorted(found, key=lambda path: path.parts)
    ]
    photos += [
        _unreadable(str(error.filename), error.strerror or str(error)) for error in unreadable
    ]
    if not photos:
        suffixes = " ".join(sorted(PICTURE_SUFFIXES))
        photos = [_unreadable(folder, f"the folder holds no pictures ({suffixes})")]
    return photos


def _unreadable(path: str, reason: str) -> PhotoInput:
    return PhotoInput(path, _file_name(path), ImageUnreadableError(reason))


def _file_name(path: str) -> Path:
    return Path(Path(path).name or "photo")  # "" and "/" have none


def _read_once(stream: BinaryIO) -> bytes:
    from shelly_local.images import MAX_FILE_BYTES

    return stream.read(MAX_FILE_BYTES + 1)  # one more: the classifier sees that it is too much


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
