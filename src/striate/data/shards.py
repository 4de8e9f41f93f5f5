"""WebDataset's tar shards (https://github.com/webdataset/webdataset), read in place.

A sample is the members whose names agree up to the first dot of their last part: a picture, and its
label in `.cls` or `.json`, or in the folder it lies in. The members' places are listed once; then
every picture is one read at a known offset, so shuffling is over all of them and as exact to resume
as it is for files.
"""

import dataclasses
import glob
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from striate.errors import DataError
from striate.images import PictureError, is_picture
from striate.wording import counted, shown

from .archives import Archive, Inside
from .folder import made, subfolders
from .splits import Data, Origin, Split, class_order, split_name

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LABEL_KEYS = ("label", "class", "cls", "category", "target")


class Sample(NamedTuple):
    """A picture in a shard, and its label as it is written there."""

    picture: Inside
    label: str | None


def is_pattern(path: Path) -> bool:
    """Tell whether a path stands for several shards: train-{000..009}.tar, train-*.tar."""
    text = str(path)
    marked = _BRACES.search(text) or glob.has_magic(text)
    return bool(marked) and text.lower().endswith(".tar") and not path.exists()


def is_folder_of_shards(folder: Path) -> bool:
    """Tell whether a folder holds tar files and no folders."""
    return not subfolders(folder) and next(_tars(folder), None) is not None


def is_shard(opened: Archive) -> bool:
    """Tell a shard from a tar file of class folders: it has labels, or no folders."""
    within = itertools.chain.from_iterable(opened.files.values())
    return opened.folders == {"": set()} or any(name.endswith(".cls") for name in within)


def expand(path: Path) -> list[Path]:
    """List the shards that a file, a folder or a pattern stands for, sorted."""
    if path.is_dir():
        return list(_tars(path))
    if not is_pattern(path):
        return [path]
    texts = [str(path)]
    while any(_BRACES.search(text) for text in texts):
        texts = [one for text in texts for one in _filled(text)]
    found = [one for text in texts for one in (_globbed(Path(text)) or [Path(text)])]
    missing = [one for one in found if not one.is_file()]
    if missing:
        raise DataError(f"{path} stands for {len(found)} shards, and {missing[0]} is not there")
    return found


def shards(path: Path) -> Data:
    """Open shards; the split of each follows from its name: train-000.tar, val-000.tar."""
    files = expand(path)
    home = path if path.is_dir() else path.parent
    parts: dict[str, list[Sample]] = {}
    warnings: list[str] = []
    for file in files:
        opened = Archive(file)
        warnings += [f"{shown(name)}: {reason}: left out" for name, reason in opened.refused]
        parts.setdefault(_split_of(file), []).extend(_samples(opened))
    if not any(parts.values()):
        raise DataError(f"{shown(path)} has no pictures in it")
    unlabelled = [s for samples in parts.values() for s in samples if s.label is None]
    if unlabelled:
        raise DataError(
            f"{shown(str(unlabelled[0].picture))} has no label ({len(unlabelled)} such): a picture "
            "in a shard has one in NAME.cls or NAME.json, or lies in a folder of its class"
        )
    classes = class_order(str(s.label) for samples in parts.values() for s in samples)
    splits = {name: _split(samples, classes) for name, samples in parts.items()}
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    layout = (
        f"{shown(path)}: {counted(len(files), 'tar shards')} with labels, "
        f"{counted(len(classes), 'classes')} ({sizes} pictures)"
    )
    found = made(home, classes, splits, layout, warnings)
    place = str(path.absolute())
    name = _BRACES.sub("", path.name).strip("*-_.").removesuffix(".tar").strip("*-_.")
    origin = Origin("shards", shown(place))
    return dataclasses.replace(found, origin=origin, name=shown(name) or found.name)


def _tars(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".tar" and not path.name.startswith(".") and path.is_file():
            yield path


def _globbed(path: Path) -> list[Path]:
    return sorted(path.parent.glob(path.name)) if glob.has_magic(path.name) else []


def _filled(text: str) -> list[str]:
    match = _BRACES.search(text)
    if match is None:
        return [text]
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    return [f"{text[: match.start()]}{n:0{len(first)}d}{text[match.end() :]}" for n in numbers]


def _split_of(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next((name for word in words if (name := split_name(word))), "train")


def _samples(opened: Archive) -> list[Sample]:
    groups: dict[str, dict[str, Inside]] = {}
    for folder, names in opened.files.items():
        place = Inside(opened, folder)
        for name in names:
            key, _, ending = name.partition(".")
            groups.setdefault(f"{folder}/{key}", {})[ending.lower()] = place / name
    return [
        Sample(picture, _label(group, picture))
        for group in groups.values()
        for picture in (one for one in group.values() if is_picture(one))
    ]


def _label(group: Mapping[str, Inside], picture: Inside) -> str | None:
    """Give the name in the .json before the number in the .cls, and both before the folder."""
    if "json" in group:
        found = _from_json(group["json"])
        if found is not None:
            return found
    if "cls" in group:
        return _text(group["cls"]).strip()
    parent = PurePosixPath(picture.inner).parent.name
    return parent or None


def _from_json(member: Inside) -> str | None:
    try:
        found: Any = json.loads(_text(member))
    except ValueError as error:
        raise DataError(f"{member} is no JSON: {error}") from error
    if not isinstance(found, dict):
        return None
    return next((str(found[key]) for key in _LABEL_KEYS if key in found), None)


def _text(member: Inside) -> str:
    try:
        return member.read().decode()
    except (PictureError, UnicodeDecodeError) as error:
        raise DataError(f"{member} cannot be read as text: {error}") from error


def _split(samples: Sequence[Sample], classes: tuple[str, ...]) -> Split:
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[str(sample.label)] for sample in samples], dtype=np.int64)
    names = [
        shown(f"{sample.picture.archive.path.name}/{sample.picture.inner}") for sample in samples
    ]
    return Split([sample.picture for sample in samples], labels, names)
