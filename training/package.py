"""Training zips as IBM's Visual Recognition took them: one per emotion, named after it.

Its documented limits for a call that trains: 10 to 10,000 pictures per zip, JPEG or PNG,
100 MB per zip, 256 MB for all zips of the call. Pictures are copied byte by byte; where not
all fit, as many of each person as possible are taken, spread evenly over the recordings.

Only people who are not tested on are packed. Who is, stands in ``test-subjects.txt``; share
and seed draw the same people as the protocol ``holdout`` of ``training.splits``.

    python -m training.package --data DIR --out OUT
"""

from __future__ import annotations

import argparse
import random
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from shelly_local.errors import DataError
from shelly_local.files import replacing
from shelly_local.results import CLASSES
from shelly_local.vision.classifier import EmotionClassifier

from .dataset import Index
from .frames import DEFAULT_K, RULES, Choice, Reader, choose, distance_by_landmarks
from .mug import index
from .mug_names import SUFFIXES_OPTION, parse_suffixes
from .options import Command, exit_code
from .splits import TEST_SHARE, holdout

#: Pictures per zip.
MIN_PICTURES, MAX_PICTURES = 10, 10_000
#: Bytes per zip, and of all zips of a call less what the form around them takes.
MAX_ZIP_BYTES = 100_000_000
MAX_CALL_BYTES = 256_000_000 - 100_000
#: Zips that a classifier needs at least.
MIN_ZIPS = 2
TEST_SUBJECTS_FILE = "test-subjects.txt"

_SIGNATURES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
#: Bytes that a zip needs for a picture beside itself and its name twice, and for its end.
_ENTRY_BYTES, _END_BYTES = 30 + 46, 22

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to pack.

    Attributes:
        choice: frame and take.
        name: in the zip.
        size: bytes in the zip, with what the zip needs for it.
    """

    choice: Choice
    name: str
    size: int


def find_subjects(names: Sequence[str], subjects: Sequence[str]) -> tuple[str, ...]:
    """People by name; ``1`` is ``001``, and commas may stand between names.

    Raises:
        DataError: somebody is not in the index, or everybody is named.
    """
    wanted = {name for group in names for name in group.replace(",", " ").split()}
    known = {name if name in subjects else name.zfill(3) for name in wanted}
    if unknown := sorted(known - set(subjects)):
        raise DataError(f"nobody is called {', '.join(unknown)}; there are {', '.join(subjects)}.")
    if len(known) == len(subjects):
        raise DataError("all people are to be tested on; nobody is left to train on.")
    return tuple(sorted(known))


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spaced."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def fit(pictures: Sequence[Picture], most_bytes: int, seed: int) -> list[Picture]:
    """The pictures that go into one zip, evenly from all people.

    Everybody gives the same number, or all there are; what room is left after that goes to
    people drawn at random, one picture more each.
    """
    people: dict[str, list[Picture]] = {}
    for picture in pictures:
        people.setdefault(picture.choice.take.subject, []).append(picture)

    def fits(chosen: Sequence[Picture]) -> bool:
        size = sum(picture.size for picture in chosen) + _END_BYTES
        return len(chosen) <= MAX_PICTURES and size <= most_bytes

    if fits(pictures):
        return list(pictures)
    low, high = 0, max(len(own) for own in people.values())
    while high - low > 1:  # low fits, high does not
        share = (low + high) // 2
        each = [picture for own in people.values() for picture in spread(own, share)]
        low, high = (share, high) if fits(each) else (low, share)
    chosen = {person: spread(own, low) for person, own in people.items()}
    count = sum(map(len, chosen.values()))
    size = sum(p.size for own in chosen.values() for p in own) + _END_BYTES
    for person in random.Random(seed).sample(sorted(people), len(people)):
        more = spread(people[person], low + 1)
        new_count = count + len(more) - len(chosen[person])
        new_size = size + sum(p.size for p in more) - sum(p.size for p in chosen[person])
        if new_count <= MAX_PICTURES and new_size <= most_bytes:
            chosen[person], count, size = more, new_count, new_size
    return [picture for person in people for picture in chosen[person]]


def plan(
    choices: Sequence[Choice], reader: Reader, seed: int
) -> tuple[dict[str, list[Picture]], dict[str, Counter[str]]]:
    """What goes into each zip, and for each class what does not, by reason.

    Raises:
        DataError: a picture cannot be read, or too few remain of a class.
    """
    wanted: dict[str, list[Picture]] = {}
    left_out: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}
    taken: dict[str, set[str]] = {name: set() for name in CLASSES}
    for choice in tqdm(choices, desc="pictures", disable=None):
        emotion = choice.take.emotion
        head = reader.read(choice.frame, 8)
        suffix = next((s for magic, s in _SIGNATURES.items() if head.startswith(magic)), None)
        wanted.setdefault(emotion, [])
        if suffix is None:
            left_out[emotion]["neither JPEG nor PNG"] += 1
            continue
        name = _name(choice, suffix, taken[emotion])
        size = reader.size(choice.frame) + _ENTRY_BYTES + 2 * len(name.encode())
        wanted[emotion].append(Picture(choice, name, size))
    chosen = {e: fit(pictures, MAX_ZIP_BYTES, seed) for e, pictures in wanted.items()}
    room = _room(sorted(_size(pictures) for pictures in chosen.values()))
    for emotion, pictures in chosen.items():
        if _size(pictures) > room:
            chosen[emotion] = fit(wanted[emotion], room, seed)
        if missing := len(wanted[emotion]) - len(chosen[emotion]):
            left_out[emotion]["no room within the limits"] = missing
        if len(chosen[emotion]) < MIN_PICTURES:
            reasons = "".join(f"; {n} left out: {why}" for why, n in left_out[emotion].items())
            raise DataError(
                f"{emotion} has {len(chosen[emotion])} pictures of people to train on; at least "
                f"{MIN_PICTURES} are needed{reasons}. Test on fewer people, or choose another "
                f"rule with --frames ({', '.join(RULES)})."
            )
    return {name: chosen[name] for name in CLASSES if name in chosen}, left_out


def _size(pictures: Sequence[Picture]) -> int:
    return sum(picture.size for picture in pictures) + _END_BYTES


def _room(sizes: list[int]) -> int:
    """Most bytes per zip so that all fit into the call; small ones leave room to large ones."""
    left = MAX_CALL_BYTES
    for position, size in enumerate(sizes):
        share = left // (len(sizes) - position)
        if size > share:
            return share
        left -= size
    return MAX_ZIP_BYTES


def _name(choice: Choice, suffix: str, taken: set[str]) -> str:
    """A name like ``001_anger_take000_img_0035.jpg``, from which the person can be read again."""
    take = choice.take
    stem = Path(choice.frame.member or choice.frame.name).stem
    start = f"{take.subject}_{take.emotion}_"
    recording = take.name.replace("/", "_")
    if stem != take.subject and not stem.startswith(start):
        stem = start + (recording if recording.endswith(stem) else f"{recording}_{stem}")
    name, number = stem + suffix, 2
    while name in taken:
        name, number = f"{stem}-{number}{suffix}", number + 1
    taken.add(name)
    return name


def write(
    zips: dict[str, list[Picture]], test_subjects: Sequence[str], out: Path, reader: Reader
) -> None:
    """Write all zips and the list of people to test on; nothing, if anything fails.

    Raises:
        DataError: a picture cannot be read.
        OSError: the files cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    total = sum(len(pictures) for pictures in zips.values())
    with ExitStack() as files, tqdm(total=total, desc="packed", disable=None) as bar:
        for emotion, pictures in zips.items():
            partial = files.enter_context(replacing(out / f"{emotion}.zip"))
            with zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive:
                for picture in pictures:
                    # Without a date of its own the same pictures make the same zip.
                    entry = zipfile.ZipInfo(picture.name)
                    archive.writestr(entry, reader.read(picture.choice.frame))
                    bar.update()
        partial = files.enter_context(replacing(out / TEST_SUBJECTS_FILE))
        partial.write_text("".join(f"{name}\n" for name in test_subjects), encoding="utf-8")


def package(arguments: argparse.Namespace) -> str:
    """Do what the command line says.

    Returns:
        What was written and left out, as text.
    """
    out: Path = arguments.out
    present = [f"{name}.zip" for name in CLASSES if (out / f"{name}.zip").exists()]
    present += [TEST_SUBJECTS_FILE] if (out / TEST_SUBJECTS_FILE).exists() else []
    if present and not arguments.force:
        raise DataError(f"{out} already holds {', '.join(present)}; --force replaces them.")
    found = index(arguments.data, suffixes=arguments.suffixes)
    test: tuple[str, ...] = ()
    if arguments.test_subjects is not None:
        test = find_subjects(arguments.test_subjects, found.subjects)
    elif arguments.test_share != 0:
        share, seed = arguments.test_share, arguments.seed
        test = holdout(found, test_share=share, seed=seed, classes=()).test
    people = [name for name in found.subjects if name not in test]
    training = Index(tuple(take for take in found.takes if take.subject not in test), {})
    for emotion in sorted(found.per_emotion().keys() - training.per_emotion().keys()):
        raise DataError(f"{emotion} has 0 pictures of people to train on; test on fewer people.")
    distance = None
    if RULES[arguments.frames].needs_distance:
        distance = distance_by_landmarks(EmotionClassifier(threads=1))
    choices = choose(training, arguments.frames, arguments.k, distance=distance)
    with Reader() as reader:
        zips, left_out = plan(choices, reader, arguments.seed)
        if len(zips) < MIN_ZIPS:
            raise DataError(f"only {', '.join(zips)} is shown; a classifier needs two classes.")
        write(zips, test, out, reader)
    for name in CLASSES:  # of an earlier call; the zips of a folder belong together
        if name not in zips:
            (out / f"{name}.zip").unlink(missing_ok=True)
    lines = [f"{'':16}{'pictures':>9}{'people':>8}{'MB':>8}"]
    for emotion, pictures in zips.items():
        shown = len({picture.choice.take.subject for picture in pictures})
        size = (out / f"{emotion}.zip").stat().st_size / 1e6
        lines.append(f"{emotion + '.zip':16}{len(pictures):>9,}{shown:>8,}{size:>8.1f}")
        lines += [f"    left out {n:,}: {why}" for why, n in left_out[emotion].items()]
    if missing := [name for name in CLASSES if name not in zips]:
        lines.append(f"Nobody shows {', '.join(missing)}: no zip.")
    lines += [f"Not indexed: {count:,} {reason}" for reason, count in found.left_out.items()]
    lines.append(f"{len(people)} people to train on; {len(test)} to test on, {TEST_SUBJECTS_FILE}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Write the zips."""
    does = (
        "Write one training zip per emotion within the limits of IBM's Visual Recognition, of "
        "people who are not tested on."
    )
    parser = Command("package", does, "--data data/mug --out zips --seed 1")
    parser.path("--data", "DIR", "MUG, or pictures", required=True)
    parser.path("--out", "OUT", "folder of the zips", required=True)
    people = "people to leave out, instead of a share at random"
    parser.add_argument("--test-subjects", nargs="+", metavar="ID", help=people)
    share = f"share of the people to leave out; 0 for none (default: {TEST_SHARE})"
    parser.add_argument("--test-share", type=float, metavar="SHARE", help=share)
    parser.value("--seed", 0, "for what is random")
    rules = "; ".join(f"{name}: {rule.description}" for name, rule in RULES.items())
    parser.value("--frames", "first-shelly", rules, choices=list(RULES))
    parser.value("-k", DEFAULT_K, "frames per take")
    parser.add_argument("--suffixes", type=parse_suffixes, metavar="LIST", **SUFFIXES_OPTION)
    parser.flag("--force", "replace zips that are there")
    arguments = parser.parse_args(argv)
    if arguments.test_subjects is not None and arguments.test_share is not None:
        parser.error("--test-subjects and --test-share exclude each other")
    if arguments.k < 1:
        parser.error(f"-k must be at least 1, got {arguments.k}")
    return exit_code(lambda: print(package(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
