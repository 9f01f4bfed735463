"""The zip files of a training call: checked at once, read one picture at a time later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shelly_local.errors import ImageError
from shelly_local.vision.formats.dimensions import dimensions
from shelly_local.vision.images import MAX_PIXELS, MIN_SIDE, SUPPORTED_FORMATS, identify
from shelly_local.watson.contract.failures import request_error
from shelly_local.watson.contract.types import MAX_IMAGE_BYTES, MAX_ZIP_BYTES
from shelly_local.watson.custom.names import LEARNING_ERROR, checked_class
from shelly_local.watson.responses import ApiException
from shelly_local.watson.uploads import ImagesFile, is_picture, open_zip, read_member, read_upload

#: IBM's limits of pictures in a zip file, and of bytes in a call.
MIN_PICTURES, MAX_PICTURES = 10, 10_000
MAX_CALL_BYTES = 256 * 1024 * 1024
#: Pictures of all zip files of a call: what is learnt from each takes 7 kB, and twice that for a
#: moment. IBM's limits of bytes leave room for fewer photos.
MAX_CALL_PICTURES = 20_000
#: Entries of a zip file: as many pictures, as much beside each (``__MACOSX``), and folders.
MAX_ENTRIES = 2 * MAX_PICTURES + 2_000
#: Bytes of all pictures of a zip file, unpacked. Pictures hardly shrink in a zip; more
#: than this would be drawings without noise, or a bomb.
MAX_UNPACKED_BYTES = 5 * MAX_ZIP_BYTES
#: How often larger a file may be than in the zip; checked from a megabyte on.
MAX_RATIO, _RATIO_FROM = 200, 1024 * 1024
#: Bytes of a picture's beginning that are looked at: most sizes stand there, and so few are
#: unpacked in a moment, however many files there are.
HEAD_BYTES = 16 * 1024
#: The part of a zip's general purpose flag that says a file is encrypted (APPNOTE 4.4.4).
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """The pictures of one class, or the negative ones, as they were uploaded.

    Attributes:
        name: the class; None for negative examples.
        data: the zip file. It is held in memory until it has been read, never on disk.
        members: the pictures in it, by position in its directory.
    """

    name: str | None
    data: bytes
    members: tuple[int, ...]

    @property
    def title(self) -> str:
        """How messages call it."""
        return title(self.name)

    def pictures(self) -> Iterator[tuple[bytes, bytes]]:
        """Each picture once: the SHA-256 of its bytes, and its bytes."""
        seen = set()
        with open_zip(self.data, MAX_ENTRIES) as archive:
            entries = archive.infolist()
            for position in self.members:
                picture = read_member(archive, entries[position])
                if isinstance(picture, bytes):
                    digest = hashlib.sha256(picture).digest()
                    if digest not in seen:
                        seen.add(digest)
                        yield digest, picture


def title(name: str | None) -> str:
    """How messages call a set of pictures."""
    return "negative_examples" if name is None else f"{name}_positive_examples"


def read_training_sets(
    positives: Mapping[str, ImagesFile], negatives: ImagesFile | None
) -> list[TrainingSet]:
    """Check the zip files of a call, without decoding any picture.

    Args:
        positives: a zip file for each class.
        negatives: a zip file of pictures that show none of the classes.

    Raises:
        ApiException: 400 for a bad name, what is no zip file, or too few or too many
            pictures; 413 for too many bytes; 404 for a path that cannot be opened.
        TypeError: a file is neither bytes nor a path nor a file opened in binary mode.
    """
    uploads: list[tuple[str | None, ImagesFile]] = [
        (checked_class(name), file) for name, file in positives.items()
    ]
    if negatives is not None:
        uploads.append((None, negatives))
    sets, total = [], 0
    for name, file in uploads:
        try:
            data = read_upload(file)
            total += len(data)
            if total > MAX_CALL_BYTES:
                raise _error(f"The call has more than the {MAX_CALL_BYTES >> 20} MB allowed.", 413)
            sets.append(TrainingSet(name, data, _checked_members(data, title(name))))
            if sum(len(each.members) for each in sets) > MAX_CALL_PICTURES:
                raise _error(f"The call has more than {MAX_CALL_PICTURES:,} pictures.", 413)
        except ImageError as error:
            raise _error(f"{title(name)}: {error}", error.code) from error
    return sets


def _checked_members(data: bytes, what: str) -> tuple[int, ...]:
    """Positions of the readable pictures of a zip file."""
    if not data.startswith(b"PK"):
        raise _error(f"{what} must be a zip file of pictures; this is none.")
    found: list[int] = []
    # What the directory states of each; which ones are the same is found out when they are read.
    different: set[tuple[int, int]] = set()
    unpacked = others = 0
    with open_zip(data, MAX_ENTRIES) as archive:
        for position, member in enumerate(archive.infolist()):
            if not is_picture(member):
                continue
            if member.flag_bits & _ENCRYPTED:
                raise _error(f"{what} is encrypted; send it without a password.")
            if member.file_size > max(MAX_RATIO * member.compress_size, _RATIO_FROM):
                raise _error(
                    f"{what} has a file that unpacks to more than {MAX_RATIO} times its size; "
                    "such files are refused."
                )
            unpacked += member.file_size
            if unpacked > MAX_UNPACKED_BYTES:
                raise _error(f"{what} unpacks to more than {MAX_UNPACKED_BYTES >> 20} MB.", 413)
            head = read_member(archive, member, HEAD_BYTES)
            if isinstance(head, bytes) and _looks_readable(head):
                found.append(position)
                different.add((member.CRC, member.file_size))
                if len(different) > MAX_PICTURES:
                    raise _error(f"{what} has more than {MAX_PICTURES:,} pictures.")
            else:
                others += 1
    if len(different) < MIN_PICTURES:
        twice = len(found) - len(different)
        beside = f", {twice} more that are repetitions" if twice else ""
        beside += f", {others} files that cannot be read as pictures" if others else ""
        raise _error(
            f"{what} has {len(different)} pictures{beside}; at least {MIN_PICTURES} different ones "
            f"are needed ({SUPPORTED_FORMATS}, each with at most {MAX_IMAGE_BYTES >> 20} MB)."
        )
    return tuple(found)


def _looks_readable(head: bytes) -> bool:
    """Whether the beginning is that of a picture, and of a size that can be decoded."""
    kind = identify(head)
    if kind is None:
        return False
    width, height = dimensions(kind, head) or (MIN_SIDE, MIN_SIDE)
    return min(width, height) >= MIN_SIDE and width * height <= MAX_PIXELS


def _error(text: str, code: int = 400) -> ApiException:
    return request_error(LEARNING_ERROR + text, code)
