"""Folders of examples, and archives read as folders: root/class/* and root/split/class/*."""

import dataclasses
import functools
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from striate.errors import DataError
from striate.wording import counted, shown

from .archives import Archive, Inside
from .kinds import is_example, is_of, recognised
from .splits import Data, Origin, Split, split_name

Place = Path | Inside
P = TypeVar("P", bound=Place)

# What systems and notebooks leave in folders; torchvision would take the first for a class.
LITTER = ("__MACOSX", "$RECYCLE.BIN", "lost+found")


def folder(root: Place) -> Data:
    """Recognise the layout of a folder and list its files; classes sort as torchvision's do.

    Most of them say whether they are pictures, sounds or clips. A single folder between the root
    and the class folders is passed through.
    """
    kind = recognised(list_examples(root))
    while len(tops := subfolders(root)) == 1 and not split_name(tops[0]):
        if not _has_classes(root / tops[0], kind, least=2):
            break
        root = root / tops[0]
    if not tops:
        raise DataError(f"{shown(root)} has no subfolders: put the {kind} of each class into one")
    splits = {
        top: name for top in tops if (name := split_name(top)) and _has_classes(root / top, kind)
    }
    if "train" in splits.values() or (splits and all(split_name(top) for top in tops)):
        return _with_splits(root, tops, splits, kind)
    return _flat(root, tops, kind)


def list_examples(folder: P, kind: str | None = None) -> Iterator[P]:
    """Give the files of a kind, or of any, below a folder, sorted, without hidden ones.

    Each real folder once: links to folders are followed, but not to one that was listed or that
    holds the start.
    """
    above = () if isinstance(folder, Inside) else folder.resolve().parents
    is_wanted = is_example if kind is None else functools.partial(is_of, kind)
    found = _below(folder, {_identity(place) for place in above}, is_wanted)
    yield from cast("Iterator[P]", found)


def subfolders(folder: Place) -> list[str]:
    """Name the folders in a folder, sorted, without hidden ones and what systems leave there."""
    return _listing(folder)[0]


def _flat(root: Place, tops: list[str], kind: str) -> Data:
    classes, warnings = _classes(root, tops, kind)
    split = _read(root, root, classes, kind)
    layout = (
        f"{shown(root)}: {counted(len(split), kind)} in {counted(len(classes), 'class folders')}, "
        "no splits"
    )
    return made(root, classes, {"train": split}, layout, warnings + _loose(root, kind))


def _with_splits(root: Place, tops: list[str], splits: dict[str, str], kind: str) -> Data:
    warnings = _left_out(root, [top for top in tops if top not in splits], splits, kind)
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{shown(root)} has two folders for one split: {', '.join(splits)}")
    # Without a training split (pictures to evaluate on, say) all the class folders are classes.
    known = [top for top, name in splits.items() if name == "train"] or list(splits)
    found = [_classes(root / top, subfolders(root / top), kind) for top in known]
    classes = tuple(sorted({name for names, _ in found for name in names}))
    for top in splits:
        _refuse_unknown(root / top, classes, kind)
    parts = {name: _read(root, root / top, classes, kind) for top, name in splits.items()}
    sizes = ", ".join(f"{name} {len(split)}" for name, split in parts.items())
    layout = (
        f"{shown(root)}: split folders of {counted(len(classes), 'class folders')} ({sizes} {kind})"
    )
    for base, (_, empty) in zip(known, found, strict=True):
        warnings += empty + _loose(root / base, kind)
    return made(root, classes, parts, layout, warnings + _loose(root, kind))


def _left_out(
    root: Place, strays: Sequence[str], splits: Mapping[str, str], kind: str
) -> list[str]:
    """Warn of folders beside the splits that hold no class; refuse one that may be a class."""
    warnings = []
    for stray in strays:
        has_examples = _has_examples(root / stray, kind)
        if has_examples and not split_name(stray):
            raise DataError(
                f"{shown(root)} has splits ({', '.join(splits)}) and, beside them, "
                f"{shown(stray)}: move it away, or rename the splits if they are classes"
            )
        what = "no class folders" if has_examples else f"no {kind}"
        warnings.append(f"{shown(root / stray)} has {what}: left out")
    return warnings


def _classes(base: Place, names: list[str], kind: str) -> tuple[tuple[str, ...], list[str]]:
    """Give the class folders that hold something, and a warning for each that does not."""
    classes = tuple(name for name in names if _has_examples(base / name, kind))
    if not classes:
        listed = ", ".join(shown(name) for name in names[:5])
        raise DataError(f"{shown(base)} has no {kind} in its subfolders ({listed})")
    return classes, [
        f"class folder {shown(base / name)} has no {kind}: left out"
        for name in names
        if name not in classes
    ]


def _refuse_unknown(base: Place, classes: tuple[str, ...], kind: str) -> None:
    for name in subfolders(base):
        if name not in classes and _has_examples(base / name, kind):
            raise DataError(
                f"class {shown(name)!r} is in {shown(base)} but has no {kind} to train on"
            )


def _read(root: Place, base: Place, classes: tuple[str, ...], kind: str) -> Split:
    listing = [list(list_examples(base / name, kind)) for name in classes if (base / name).is_dir()]
    present = [place for place, name in enumerate(classes) if (base / name).is_dir()]
    paths = [path for files in listing for path in files]
    labels = np.repeat(present, [len(files) for files in listing])
    names = [shown(_relative(path, root)) for path in paths]
    return Split(paths, labels.astype(np.int64), names, kind)


def _relative(path: Place, root: Place) -> str:
    if isinstance(path, Inside):
        assert isinstance(root, Inside)
        return path.relative_to(root).as_posix()
    assert isinstance(root, Path)
    return path.relative_to(root).as_posix()


def _has_examples(folder: Place, kind: str) -> bool:
    return next(list_examples(folder, kind), None) is not None


def _has_classes(folder: Place, kind: str, *, least: int = 1) -> bool:
    named = (name for name in subfolders(folder) if _has_examples(folder / name, kind))
    return len(list(itertools.islice(named, least))) == least


def _loose(folder: Place, kind: str) -> list[str]:
    count = sum(is_of(kind, folder / name) for name in _listing(folder)[1])
    return [f"{counted(count, kind)} in {shown(folder)} itself: left out"] if count else []


def made(
    root: Place,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    layout: str,
    warnings: list[str],
) -> Data:
    """Give the data of a folder; DataError where its classes cannot be told apart."""
    names = tuple(shown(name) for name in classes)
    if len(names) < 2:
        raise DataError(f"{shown(root)} has one class only ({names[0]}): nothing can be told apart")
    composed = [unicodedata.normalize("NFC", name) for name in names]
    twins = [name for name in names if composed.count(unicodedata.normalize("NFC", name)) > 1]
    if twins:
        raise DataError(
            f"{shown(root)} has class folders whose names differ only in how accents are coded "
            f"({', '.join(map(ascii, twins))}): rename one, or join them"
        )
    place = root.archive.path if isinstance(root, Inside) else root
    path = place.absolute()
    name = shown(path.name if path.name != ".." else path.resolve().name) or "root"
    kind = "archive" if isinstance(root, Inside) else "folder"
    return Data(name, Origin(kind, shown(path)), names, splits, layout, tuple(warnings))


def archive(opened: Archive) -> Data:
    """Open a zip or tar file that holds class folders, by themselves or below one folder."""
    found = folder(Inside(opened))
    refused = [f"{shown(file)}: {reason}: left out" for file, reason in opened.refused]
    return dataclasses.replace(found, warnings=(*found.warnings, *refused))


def _below(folder: Place, seen: set[Any], is_wanted: Callable[[Place], bool]) -> Iterator[Place]:
    if (identity := _identity(folder)) in seen:
        return
    seen.add(identity)
    folders, files = _listing(folder)
    yield from (path for name in files if is_wanted(path := folder / name))
    for name in folders:
        yield from _below(folder / name, seen, is_wanted)


def _listing(folder: Place) -> tuple[list[str], list[str]]:
    """Name the folders and the other entries in a folder, each sorted, without what is hidden."""
    if isinstance(folder, Inside):
        inner, within = folder.listing()
        return sorted(filter(_counts, inner)), sorted(filter(_counts, within))
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _counts(entry.name):
                    (folders if _is_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error
    return sorted(folders), sorted(files)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in LITTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where this user may not look
        return False


def _identity(folder: Place) -> tuple[Any, ...]:
    if isinstance(folder, Inside):
        return (folder.inner,)
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error
    return status.st_dev, status.st_ino
