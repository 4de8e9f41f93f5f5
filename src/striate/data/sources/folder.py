"""Folders, and archives read as folders: what lies in them, and what is passed over."""

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar, cast

from striate import images
from striate.data.classes import canonical, look_alikes
from striate.data.filekinds import is_named, is_of, may_be_example
from striate.data.splits import Data, Origin, Split
from striate.errors import DataError
from striate.wording import counted, one, shown

from .archives import Archive, Inside

Place = Path | Inside
P = TypeVar("P", bound=Place)

# Left by systems in every folder, or within what they pack, and of no interest to anybody.
LITTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
# Folders of systems and of software, in lower case. A NAS marks its own by a leading @ or #.
SYSTEM = frozenset(
    {
        *("$recycle.bin", "$extend", "recycler", "recycled", "system volume information"),
        *("lost+found", "lost.dir", "found.000", "network trash folder", "temporary items"),
        *("__pycache__", "node_modules", "site-packages"),
    }
)
_MARKS = ("@", "#")
# The files by which a run of striate is known.
RUN = ("recipe.toml", "data.json")

# Why a folder is passed over: for one, and for several.
_REASONS = {
    "run": ("a run of striate", "runs of striate"),
    "system": ("a folder of a system or a NAS", "folders of a system or a NAS"),
    "link": ("a link to a folder that it lies in", "links to folders that they lie in"),
}


class Listing(NamedTuple):
    """What lies in a folder, sorted by name, without what is hidden."""

    folders: list[str]
    files: list[str]
    passed: list[tuple[str, str]]  # folders that are never looked into: name, one of _REASONS


class Leftovers(NamedTuple):
    """What lies below a folder and is no example."""

    endings: Counter[str]  # of files
    passed: dict[str, list[str]]  # reason -> folders

    def lines(self, kind: str) -> list[str]:
        """Say it, for people."""
        return [*_of_endings(self.endings, kind), *_of_passed(self.passed)]


def list_examples(folder: P, kind: str | None = None) -> Iterator[P]:
    """Yield the files of a kind, or that may be of one, below a folder: sorted, hidden ones not.

    Each real folder once: links to folders are followed, but not to one that was listed or that
    holds the start.
    """
    above = () if isinstance(folder, Inside) else folder.resolve().parents
    is_wanted = may_be_example if kind is None else functools.partial(is_of, kind)
    seen = {identity(place) for place in above}
    places = _below(folder, seen)
    found = (at / name for at, listing in places for name in listing.files if is_wanted(at / name))
    yield from cast("Iterator[P]", found)


def has_examples(folder: Place, kind: str) -> bool:
    """Tell whether there is any file of a kind below a folder."""
    return next(list_examples(folder, kind), None) is not None


def subfolders(folder: Place) -> list[str]:
    """Name the folders in a folder, sorted, without those that are passed over."""
    return listing(folder).folders


def loose(folder: Place, kind: str) -> int:
    """Count the files of a kind that lie in a folder itself."""
    return sum(is_named(kind, name) for name in listing(folder).files)


def leftovers(folder: Place, kind: str) -> Leftovers:
    """Count what lies below a folder and is not of a kind."""
    found = Leftovers(Counter(), {})
    for at, listed in _below(folder, set()):
        unlike = (name for name in listed.files if not is_named(kind, name))
        found.endings.update(map(ending, unlike))
        for name, reason in listed.passed:
            found.passed.setdefault(reason, []).append(shown(relative(at / name, folder)))
    return found


def ending(name: str) -> str:
    """Return the ending by which a file is told, in lower case; "" where there is none.

    >>> ending("A.HEIC"), ending("b.jpg?w=640"), ending("c"), ending("d. e f")
    ('.heic', '.jpg?...', '', '')
    """
    plain, asked, _ = name.partition("?")
    suffix = PurePosixPath(plain).suffix.lower()
    return f"{shown(suffix)}{asked and '?...'}" if " " not in suffix and len(suffix) <= 16 else ""


def is_run(folder: Place) -> bool:
    """Tell whether a folder is a run of striate: what it holds are not the user's pictures."""
    return all(_holds(folder, name) for name in RUN)


def holds_runs_only(folder: Place) -> bool:
    """Tell whether a folder holds runs of striate, and nothing else that is seen."""
    count = 0
    for name, is_folder, _ in _entries(folder):
        if not _is_hidden(name):
            if not (is_folder and is_run(folder / name)):
                return False
            count += 1
    return count > 0


def refusals(opened: Archive) -> list[str]:
    """Say which members of an archive are refused, by reason, and what was guessed of the names."""
    reasons: dict[str, list[str]] = {}
    for file, reason in opened.refused:
        reasons.setdefault(reason, []).append(shown(file))
    lines = [f"{shown(opened.path)}: {note}" for note in opened.notes]
    for reason, files in reasons.items():
        many = f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]
        lines.append(f"left out: {many} ({reason})")
    return lines


def relative(path: Place, root: Place) -> str:
    """Return the path from a folder to what lies in it."""
    if isinstance(path, Inside):
        assert isinstance(root, Inside)
        return path.relative_to(root).as_posix()
    assert isinstance(root, Path)
    return path.relative_to(root).as_posix()


def identity(folder: Place) -> tuple[Any, ...]:
    """Return what two names of one folder have in common."""
    if isinstance(folder, Inside):
        return (folder.inner,)
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error
    return status.st_dev, status.st_ino


def listing(folder: Place) -> Listing:
    """List a folder."""
    found = Listing([], [], [])
    for name, is_folder, is_link in _entries(folder):
        if _is_hidden(name):
            continue
        if not is_folder:
            found.files.append(name)
        elif reason := _reason(folder / name, is_link=is_link):
            found.passed.append((name, reason))
        else:
            found.folders.append(name)
    return Listing(sorted(found.folders), sorted(found.files), sorted(found.passed))


def made(
    root: Place,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    layout: str,
    warnings: list[str],
) -> Data:
    """Make the data of a folder; a warning where classes look alike, DataError if they are one."""
    refuse_twins(root, classes)
    names = tuple(shown(name) for name in classes)
    place = root.archive.path if isinstance(root, Inside) else root
    assert isinstance(place, Path), "what lies elsewhere is shards"
    path = place.absolute()
    name = shown(path.name if path.name != ".." else path.resolve().name) or "root"
    kind = "archive" if isinstance(root, Inside) else "folder"
    alike = [f"classes look alike: {', '.join(map(repr, same))}" for same in look_alikes(names)]
    return Data(name, Origin(kind, shown(path)), names, splits, layout, (*warnings, *alike))


def refuse_twins(root: Place | str, names: Sequence[str]) -> None:
    """Raise DataError where two names of classes are the same in canonical form."""
    count = Counter(map(canonical, names))
    twins = [name for name in names if count[canonical(name)] > 1]
    if twins:
        raise DataError(
            f"{shown(root)} has class folders whose names differ only in blanks or in how accents "
            f"are coded ({', '.join(map(ascii, twins))}): rename one, or join them"
        )


def _below(folder: Place, seen: set[Any]) -> Iterator[tuple[Place, Listing]]:
    """Walk through the folders below one, and itself, each real one once."""
    if (own := identity(folder)) in seen:
        return
    seen.add(own)
    found = listing(folder)
    yield folder, found
    for name in found.folders:
        yield from _below(folder / name, seen)


def _entries(folder: Place) -> Iterator[tuple[str, bool, bool]]:
    """Yield each entry's name, and whether it is a folder, and a link."""
    if isinstance(folder, Inside):
        inner, within = folder.listing()
        yield from ((name, True, False) for name in inner)
        yield from ((name, False, False) for name in within)
        return
    try:
        with os.scandir(folder) as entries:
            yield from ((entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in LITTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where this user may not look
        return False


def _reason(folder: Place, *, is_link: bool) -> str:
    """Say why a folder is never looked into; nothing where it is."""
    if folder.name.startswith(_MARKS) or folder.name.casefold() in SYSTEM:
        return "system"
    if is_link and isinstance(folder, Path) and _leads_up(folder):
        return "link"
    if _holds(folder, "pyvenv.cfg"):  # of a virtual environment of Python
        return "system"
    return "run" if is_run(folder) else ""


def _holds(folder: Place, name: str) -> bool:
    if isinstance(folder, Inside):
        return name in folder.archive.files.get(folder.inner, ())
    with contextlib.suppress(OSError):  # a folder that may not be read is told of elsewhere
        return (folder / name).is_file()
    return False


def _leads_up(link: Path) -> bool:
    return link.parent.resolve().is_relative_to(link.resolve())


def _of_endings(endings: Counter[str], kind: str) -> list[str]:
    pictures = Counter({name: n for name, n in endings.items() if name in images.KNOWN})
    others, lines = endings, []
    if pictures and kind == "pictures":
        others = endings - pictures
        how = (
            f"{counted(pictures.total(), kind)} in formats that are not read: save as .jpg or .png"
        )
        lines.append(f"left out: {_listed(pictures)} ({how})")
    if others:
        by = (
            f"no {one(kind)} by its ending"
            if others.total() == 1
            else f"no {kind} by their endings"
        )
        lines.append(f"left out: {_listed(others)} ({counted(others.total(), 'files')}, {by})")
    return lines


def _listed(endings: Counter[str], most: int = 8) -> str:
    ranked = sorted(endings.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count} {name or 'without an ending'}" for name, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:])
    return ", ".join([*named, *([f"{rest} others"] if rest else [])])


def _of_passed(passed: dict[str, list[str]], most: int = 3) -> list[str]:
    lines = []
    for reason, folders in passed.items():
        one, several = _REASONS[reason]
        what = f"{len(folders)} {several}" if len(folders) > 1 else one
        dots = ", ..." if len(folders) > most else ""
        lines.append(f"left out: {', '.join(folders[:most])}{dots} ({what})")
    return lines
