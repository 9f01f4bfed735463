"""The MUG Facial Expression Database, class folders and training zips as an index.

MUG (Aifanti, Papachristou and Delopoulos 2010, "The MUG Facial Expression Database") keeps
a recording as ``subjects3/<person>/<emotion>/takeNNN/img_NNNN.jpg``; archives unpacked one
by one double the level of the person, and some people have ``session0`` and ``session1``
below theirs. So nothing is expected at a fixed depth: names tell what a folder is.

* The **emotion** is the nearest folder named after a class, in upper or lower case.
* The **person** is the nearest folder whose name is a number.
* A **take** is a folder ``takeNNN``, with or without letters after it. What these letters
  mean is documented nowhere. By default ``nsg`` is kept: of the takes that garyzhao/FRGAN
  lists it marks a third of fear, a fifth of disgust and of sadness, and none of happiness,
  so leaving it out would take most from the classes that have least. ``end`` and anything
  else is left out: others leave ``end`` out, too, its name speaks of the end of a
  recording, which need not have the expression in its middle, and it marks 2 %.

Where there are no takes, pictures in class folders are read, and zips as they were sent to
IBM's Visual Recognition, one per class, named after it. The person is then read from names
such as ``001_anger_take000_img_0035.jpg`` or ``001_an_000_0035.jpg`` (MUG's ``manual``
part), or from a numbered folder. **Where no name tells the person, every picture is a
person of its own**; only the same name in two classes is the same person. If several
pictures show one person under different names, parts of a split share people, and the
results of a test are too good.

    python -m training.mug DIR
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from shelly_local.batch.inputs import PICTURE_SUFFIXES
from shelly_local.errors import DataError
from shelly_local.files import write_whole
from shelly_local.results import CLASSES

from .dataset import Frame, Index, Take, as_dict, make_index, summary
from .frames import without_undecodable
from .mug_names import (
    ALL_SUFFIXES,
    DEFAULT_SUFFIXES,
    MANUAL,
    NAMED,
    SUFFIXES_OPTION,
    TAKE,
    VIDEO_SUFFIXES,
    below_subject,
    emotion_in,
    emotion_of_name,
    is_emotion,
    natural_order,
    padded,
    parse_suffixes,
    subject_in,
    subject_of_root,
)
from .options import Command, exit_code

#: The 52 people whose recordings are distributed, as listed in ``preprocess_MUG.py`` of
#: nihaomiao/CVPR23_LFDM: Ni et al. 2023, "Conditional Image-to-Video Generation with Latent
#: Flow Diffusion Models".
PUBLIC_SUBJECTS: tuple[str, ...] = (
    "001", "002", "006", "007", "008", "010", "013", "014", "017", "020", "021", "027", "028",
    "030", "031", "032", "033", "034", "036", "037", "038", "039", "040", "042", "043", "044",
    "045", "046", "048", "049", "052", "055", "060", "061", "062", "063", "064", "065", "066",
    "070", "071", "072", "073", "074", "075", "076", "077", "078", "079", "082", "083", "084",
)  # fmt: skip
#: The 26 people of that paper's training part (same file); the other 26 are its test part.
LFDM_TRAIN: tuple[str, ...] = (
    "008", "017", "021", "028", "030", "031", "034", "036", "037", "038", "039", "042", "043",
    "044", "045", "055", "060", "061", "062", "063", "071", "075", "076", "077", "083", "084",
)  # fmt: skip

#: In which form pictures may lie; where there are several, the first is read, since the
#: others are as a rule copies of it.
_FORMS = ("takes", "class folders", "zips", "names")


def index(
    root: Path | Sequence[Path],
    *,
    suffixes: Collection[str] = DEFAULT_SUFFIXES,
    check: bool = False,
) -> Index:
    """Find people, takes and frames.

    Args:
        root: a folder that holds MUG, class folders or training zips; or such zips.
        suffixes: letters after ``takeNNN`` of the takes that are kept beside the plain
            ones; ``"all"`` among them stands for all.
        check: decode every picture and leave out those that cannot be decoded. It takes
            minutes for a whole MUG; without it they show when faces are cut out.

    Raises:
        DataError: not a folder or zip, unreadable, or without a picture that can be used.
    """
    roots = [root] if isinstance(root, Path) else list(root)
    scan = _Scan(frozenset(suffix.casefold() for suffix in suffixes))
    for path in roots:
        if path.is_dir():
            scan.folder(path)
        elif zipfile.is_zipfile(path):
            scan.zip(path)
        else:
            problem = "is neither a folder nor a zip" if path.exists() else "does not exist"
            raise DataError(f"{path} {problem}; give the folder that holds the pictures.")
    takes = scan.finish()
    left_out = scan.left_out
    if check:
        takes = without_undecodable(takes, left_out)
    if not takes:
        raise DataError(_nothing(roots, left_out))
    return make_index(takes, left_out)


class _Scan:
    """Collects takes by form, and what is left out by reason."""

    def __init__(self, suffixes: frozenset[str]) -> None:
        self.left_out: Counter[str] = Counter()
        self._suffixes = suffixes
        self._takes: dict[str, dict[tuple[str, str, str], list[Frame]]] = {f: {} for f in _FORMS}
        self._seen: set[tuple[int, int]] = set()

    def folder(self, root: Path) -> None:
        """Look through a folder; what links lead to comes last, under the name of the link."""
        pending: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
        links: list[tuple[Path, tuple[str, ...]]] = []
        while pending or links:
            path, parts = pending.pop() if pending else links.pop(0)
            if not self._is_new(path):
                self._leave_out("links to folders seen before")
                continue
            folders, files = self._list(path)
            if parts and TAKE.fullmatch(parts[-1]):
                self._take(root, parts, files)
                self._leave_out("folders inside takes", len(folders))
                continue
            self._pictures(parts, files)
            for entry in sorted(folders, key=lambda entry: entry.name, reverse=True):
                if entry.name.casefold() == "mixed":
                    inside, _ = self._list(Path(entry))
                    self._leave_out("takes of mixed emotions", max(len(inside), 1))
                else:
                    target = links if entry.is_symlink() else pending
                    target.append((Path(entry), (*parts, entry.name)))

    def zip(self, path: Path) -> None:
        """Take up a training zip, whose name is that of its class."""
        name = path.stem.casefold().removesuffix("_examples").removesuffix("_positive")
        if name == "negative":
            self._leave_out("zips of negative examples")
            return
        if name not in CLASSES:
            self._leave_out("zips not named after an emotion")
            return
        try:
            with zipfile.ZipFile(path) as archive:
                members = [info for info in archive.infolist() if not info.is_dir()]
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"the zip {path} cannot be read: {error}") from error
        if any(info.flag_bits & 1 for info in members):
            raise DataError(f"the zip {path} is encrypted; unpack it and give the folder.")
        empty = True
        for info in members:
            *parents, file = PurePosixPath(info.filename).parts
            if any(part.startswith((".", "__MACOSX")) for part in (*parents, file)):
                self._leave_out("dot files and __MACOSX")
            elif self._is_picture(file):
                frame = Frame(path, info.filename)
                self._picture("zips", tuple(parents), name, file, frame)
                empty = False
        if empty:
            self._leave_out("zips without a picture")

    def finish(self) -> list[Take]:
        """The takes of the best form there is; the rest is counted as left out."""
        used = next((form for form in _FORMS if self._takes[form]), _FORMS[0])
        for form in _FORMS:
            if form != used:
                frames = sum(len(frames) for frames in self._takes[form].values())
                self._leave_out(f"pictures that lie beside {used}", frames)
        return [
            Take(*key, tuple(sorted(frames, key=lambda frame: natural_order(frame.name))))
            for key, frames in self._takes[used].items()
        ]

    def _is_new(self, path: Path) -> bool:
        """Whether a folder was not looked through before; so loops of links end."""
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"the folder {path} cannot be read: {error.strerror}.") from error
        identity = status.st_dev, status.st_ino
        known = identity in self._seen
        self._seen.add(identity)
        return not known

    def _list(self, path: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
        """Folders and files of a folder, without hidden ones."""
        folders: list[os.DirEntry[str]] = []
        files: list[os.DirEntry[str]] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "__MACOSX")):
                        self._leave_out("dot files and __MACOSX")
                    else:
                        (folders if _is_folder(entry) else files).append(entry)
        except OSError as error:
            raise DataError(f"the folder {path} cannot be read: {error.strerror}.") from error
        return folders, files

    def _is_picture(self, name: str) -> bool:
        """Whether it is one by its suffix; anything else is counted."""
        suffix = Path(name).suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            return True
        if name.casefold() == "thumbs.db":
            self._leave_out("Thumbs.db")
        else:
            self._leave_out("videos" if suffix in VIDEO_SUFFIXES else "other files")
        return False

    def _take(self, root: Path, parts: tuple[str, ...], files: list[os.DirEntry[str]]) -> None:
        """Take up a folder ``takeNNN``."""
        emotion = emotion_in(parts)
        subject = subject_in(parts) or subject_of_root(root)
        frames = [Frame(Path(entry)) for entry in files if self._is_picture(entry.name)]
        if emotion is None:
            self._leave_out("takes in no emotion's folder")
        elif subject is None:
            self._leave_out("takes in no numbered folder")
        elif self._keeps(parts[-1]):
            if not frames:
                self._leave_out("takes without a frame")
                return
            key = subject, emotion, "/".join(below_subject(parts))
            twin = self._takes["takes"].get(key)
            if twin and {f.path.name for f in twin} == {f.path.name for f in frames}:
                self._leave_out("takes found twice")
                return
            if twin:
                key = (*key[:2], "/".join(part for part in parts if not is_emotion(part)))
            self._takes["takes"][key] = frames

    def _pictures(self, parts: tuple[str, ...], files: list[os.DirEntry[str]]) -> None:
        """Take up pictures and zips that lie in no take."""
        emotion = emotion_in(parts)
        for entry in files:
            if emotion is None and entry.name.lower().endswith(".zip"):
                self.zip(Path(entry))
            elif self._is_picture(entry.name):
                frame = Frame(Path(entry))
                named = emotion or emotion_of_name(Path(entry.name).stem)
                if named is None:
                    self._leave_out("pictures in no emotion's folder")
                else:
                    form = "class folders" if emotion else "names"
                    self._picture(form, parts, named, entry.name, frame)

    def _picture(
        self, form: str, parts: tuple[str, ...], emotion: str, file: str, frame: Frame
    ) -> None:
        """Take up a single picture; those of one take, by their names, come together."""
        stem = PurePosixPath(file).stem
        subject, name = subject_in(parts) or stem, stem
        if named := NAMED.fullmatch(stem):
            subject = padded(named["subject"])
            take = named["take"] or stem.split("_", 2)[2]
            name = f"{named['session']}/{take}" if named["session"] else take
            if named["take"] and not self._keeps(take):
                return
        elif manual := MANUAL.fullmatch(stem):
            subject, name = padded(manual["subject"]), f"take{manual['take']}"
        name = "/".join((*below_subject(parts), name))
        self._takes[form].setdefault((subject, emotion, name), []).append(frame)

    def _keeps(self, take: str) -> bool:
        match = TAKE.fullmatch(take)
        suffix = match["suffix"].casefold() if match else ""
        if not suffix or suffix in self._suffixes or ALL_SUFFIXES in self._suffixes:
            return True
        self._leave_out(f"takes with suffix {suffix}")
        return False

    def _leave_out(self, reason: str, count: int = 1) -> None:
        if count:
            self.left_out[reason] += count


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _nothing(roots: Sequence[Path], left_out: Counter[str]) -> str:
    where = ", ".join(str(root) for root in roots[:3])
    seen = sorted(entry.name for root in roots if root.is_dir() for entry in root.iterdir())
    shown = ", ".join(seen[:8]) + (", …" if len(seen) > 8 else "") if seen else "nothing"
    reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return (
        f"{where} holds no picture that can be used: neither takes (<number>/<emotion>/takeNNN),"
        f" nor class folders, nor zips, named after {', '.join(CLASSES)}. It holds {shown}."
        + (f" Left out: {reasons}." if reasons else "")
    )


def main(argv: list[str] | None = None) -> int:
    """Print what a folder holds."""
    does = "Show what a copy of MUG, a tree of class folders or training zips hold."
    parser = Command("mug", does, "data/mug --suffixes nsg,end --json index.json")
    parser.path("root", "DIR", "folder, or zips", nargs="+")
    parser.add_argument("--suffixes", type=parse_suffixes, metavar="LIST", **SUFFIXES_OPTION)
    parser.flag("--check", "decode every picture; leave out those that fail")
    parser.path("--json", "FILE", "write the numbers here")
    arguments = parser.parse_args(argv)

    def work() -> None:
        found = index(arguments.root, suffixes=arguments.suffixes, check=arguments.check)
        if arguments.json:
            write_whole(arguments.json, (json.dumps(as_dict(found), indent=2) + "\n").encode())
        print(summary(found))

    return exit_code(work)


if __name__ == "__main__":
    raise SystemExit(main())
