"""Folders of pictures: root/class/* and root/split/class/*."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from striate.errors import DataError
from striate.images import is_picture

from .splits import Data, Origin, Split, split_name

# What systems and notebooks leave in folders; torchvision would take the first for a class.
LITTER = ("__MACOSX", "$RECYCLE.BIN", "lost+found")

# Bytes that are no UTF-8 (as Python holds them), control characters, and the escape itself.
_ODD = re.compile(r"[\udc80-\udcff\x00-\x1f\x7f\\]")


def folder(root: Path) -> Data:
    """Recognise the layout of a folder and list its pictures; classes sort as torchvision's do."""
    tops = subfolders(root)
    if not tops:
        raise DataError(f"{shown(root)} has no subfolders: put the pictures of each class into one")
    splits = {top: name for top in tops if (name := split_name(top)) and _has_classes(root / top)}
    if "train" in splits.values() or (splits and all(split_name(top) for top in tops)):
        return _with_splits(root, tops, splits)
    return _flat(root, tops)


def list_pictures(folder: Path) -> Iterator[Path]:
    """Give the pictures below a folder, sorted, without hidden ones; each real folder once.

    Links to folders are followed, but not to one that was listed or that holds the start.
    """
    start = folder.resolve()
    yield from _below(folder, {_identity(place) for place in start.parents})


def shown(path: Path | str) -> str:
    r"""Give a path as one line of text that UTF-8 can hold; `original` undoes it.

    >>> shown("caf\udce9/new\nline.png")
    'caf\\xe9/new\\x0aline.png'
    """
    return _ODD.sub(lambda odd: f"\\x{ord(odd[0]) & 0xFF:02x}", str(path))


def original(text: str) -> str:
    """Give the path that `shown` wrote."""
    codes = re.compile(r"\\x([0-9a-f]{2})")
    return codes.sub(lambda code: os.fsdecode(bytes([int(code[1], 16)])), text)


def subfolders(folder: Path) -> list[str]:
    """Name the folders in a folder, sorted, without hidden ones and what systems leave there."""
    return _listing(folder)[0]


def _flat(root: Path, tops: list[str]) -> Data:
    classes, warnings = _classes(root, tops)
    split = _read(root, root, classes)
    layout = f"{shown(root)}: {len(split)} pictures in {len(classes)} class folders, no splits"
    return _data(root, classes, {"train": split}, layout, warnings + _loose(root))


def _with_splits(root: Path, tops: list[str], splits: dict[str, str]) -> Data:
    warnings = _left_out(root, [top for top in tops if top not in splits], splits)
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{shown(root)} has two folders for one split: {', '.join(splits)}")
    # Without a training split (pictures to evaluate on, say) all the class folders are classes.
    known = [top for top, name in splits.items() if name == "train"] or list(splits)
    found = [_classes(root / top, subfolders(root / top)) for top in known]
    classes = tuple(sorted({name for names, _ in found for name in names}))
    for top in splits:
        _refuse_unknown(root / top, classes)
    parts = {name: _read(root, root / top, classes) for top, name in splits.items()}
    sizes = ", ".join(f"{name} {len(split)}" for name, split in parts.items())
    layout = f"{shown(root)}: split folders of {len(classes)} class folders ({sizes} pictures)"
    for base, (_, empty) in zip(known, found, strict=True):
        warnings += empty + _loose(root / base)
    return _data(root, classes, parts, layout, warnings + _loose(root))


def _left_out(root: Path, strays: Sequence[str], splits: Mapping[str, str]) -> list[str]:
    """Warn of folders beside the splits that hold no class; refuse one that may be a class."""
    warnings = []
    for stray in strays:
        has_pictures = _has_pictures(root / stray)
        if has_pictures and not split_name(stray):
            raise DataError(
                f"{shown(root)} has splits ({', '.join(splits)}) and, beside them, "
                f"{shown(stray)}: move it away, or rename the splits if they are classes"
            )
        what = "no class folders" if has_pictures else "no pictures"
        warnings.append(f"{shown(root / stray)} has {what}: left out")
    return warnings


def _classes(base: Path, names: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Give the class folders that have pictures, and a warning for each that has none."""
    classes = tuple(name for name in names if _has_pictures(base / name))
    if not classes:
        listed = ", ".join(shown(name) for name in names[:5])
        raise DataError(f"{shown(base)} has no pictures in its subfolders ({listed})")
    return classes, [
        f"class folder {shown(base / name)} has no pictures: left out"
        for name in names
        if name not in classes
    ]


def _refuse_unknown(base: Path, classes: tuple[str, ...]) -> None:
    for name in subfolders(base):
        if name not in classes and _has_pictures(base / name):
            raise DataError(
                f"class {shown(name)!r} is in {shown(base)} but has no pictures to train on"
            )


def _read(root: Path, base: Path, classes: tuple[str, ...]) -> Split:
    listing = [list(list_pictures(base / name)) for name in classes if (base / name).is_dir()]
    present = [place for place, name in enumerate(classes) if (base / name).is_dir()]
    paths = [path for pictures in listing for path in pictures]
    labels = np.repeat(present, [len(pictures) for pictures in listing])
    names = [shown(path.relative_to(root).as_posix()) for path in paths]
    return Split(paths, labels.astype(np.int64), names)


def _has_pictures(folder: Path) -> bool:
    return next(list_pictures(folder), None) is not None


def _has_classes(folder: Path) -> bool:
    return any(_has_pictures(folder / name) for name in subfolders(folder))


def _loose(folder: Path) -> list[str]:
    count = sum(is_picture(folder / name) for name in _listing(folder)[1])
    return [f"{count} pictures lie in {shown(folder)} itself: left out"] if count else []


def _data(
    root: Path,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    layout: str,
    warnings: list[str],
) -> Data:
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
    path = root.absolute()
    name = shown(path.name if path.name != ".." else path.resolve().name) or "root"
    return Data(name, Origin("folder", shown(path)), names, splits, layout, tuple(warnings))


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    if (identity := _identity(folder)) in seen:
        return
    seen.add(identity)
    folders, files = _listing(folder)
    yield from (path for name in files if is_picture(path := folder / name))
    for name in folders:
        yield from _below(folder / name, seen)


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """Name the folders and the other entries in a folder, each sorted, without what is hidden."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name not in LITTER:
                    (folders if _is_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error
    return sorted(folders), sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where this user may not look
        return False


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"cannot read {shown(folder)}: {error.strerror or error}") from error
    return status.st_dev, status.st_ino
