"""Folders of pictures: root/class/* and root/split/class/*."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from striate.errors import DataError
from striate.images import is_picture

from .splits import SYNONYMS, Data, Origin, Split

# What systems and notebooks leave in folders; torchvision would take the first for a class.
LITTER = ("__MACOSX", "$RECYCLE.BIN", "lost+found")


def folder(root: Path) -> Data:
    """Recognise the layout of a folder and list its pictures; classes sort as torchvision's do."""
    tops = _subfolders(root)
    if not tops:
        raise DataError(f"{root} has no subfolders: put the pictures of each class into one")
    splits = {top: name for top in tops for name in [_split_name(top)] if name}
    if "train" in splits.values() and _subfolders(root / _first(splits, "train")):
        return _with_splits(root, tops, splits)
    return _flat(root, tops)


def list_pictures(folder: Path) -> Iterator[Path]:
    """Give the pictures below a folder, sorted, without hidden ones."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if _visible(f))
        yield from (path for name in sorted(files) if is_picture(path := Path(place, name)))


def _flat(root: Path, tops: list[str]) -> Data:
    classes, warnings = _classes(root, tops)
    split = _read(root, root, classes)
    layout = f"{root}: {len(split)} pictures in {len(classes)} class folders, no splits"
    return _data(root, classes, {"train": split}, layout, warnings)


def _with_splits(root: Path, tops: list[str], splits: dict[str, str]) -> Data:
    stray = [top for top in tops if top not in splits]
    if stray:
        raise DataError(
            f"{root} has splits ({', '.join(splits)}) and, beside them, {stray[0]}: "
            "move it away, or rename the splits if they are classes"
        )
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{root} has two folders for one split: {', '.join(splits)}")
    train = root / _first(splits, "train")
    classes, warnings = _classes(train, _subfolders(train))
    for top in tops:
        _refuse_unknown(root / top, classes)
    found = {name: _read(root, root / top, classes) for top, name in splits.items()}
    sizes = ", ".join(f"{name} {len(split)}" for name, split in found.items())
    layout = f"{root}: split folders of {len(classes)} class folders ({sizes} pictures)"
    return _data(root, classes, found, layout, warnings)


def _classes(base: Path, names: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Give the class folders that have pictures, and a warning for each that has none."""
    classes = tuple(name for name in names if _has_pictures(base / name))
    if not classes:
        raise DataError(f"{base} has no pictures in its subfolders ({', '.join(names[:5])})")
    return classes, [
        f"class folder {base / name} has no pictures" for name in names if name not in classes
    ]


def _refuse_unknown(base: Path, classes: tuple[str, ...]) -> None:
    for name in _subfolders(base):
        if name not in classes and _has_pictures(base / name):
            raise DataError(f"class {name!r} is in {base} but has no pictures to train on")


def _read(root: Path, base: Path, classes: tuple[str, ...]) -> Split:
    listing = [list(list_pictures(base / name)) for name in classes]
    paths = [path for pictures in listing for path in pictures]
    labels = np.repeat(np.arange(len(classes)), [len(pictures) for pictures in listing])
    names = [path.relative_to(root).as_posix() for path in paths]
    return Split(paths, labels.astype(np.int64), names)


def _has_pictures(folder: Path) -> bool:
    return next(list_pictures(folder), None) is not None


def _data(
    root: Path,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    layout: str,
    warnings: list[str],
) -> Data:
    if len(classes) < 2:
        raise DataError(f"{root} has one class only ({classes[0]}): nothing can be told apart")
    path = root.absolute()
    return Data(path.name or "root", Origin("folder", str(path)), classes, splits, layout,
                tuple(warnings))


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(e.name for e in os.scandir(folder) if e.is_dir() and _visible(e.name))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in LITTER


def _split_name(folder: str) -> str | None:
    found = (name for name, words in SYNONYMS.items() if folder.lower() in words)
    return next(found, None)


def _first(splits: dict[str, str], name: str) -> str:
    return next(top for top, split in splits.items() if split == name)
