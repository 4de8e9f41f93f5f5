"""WebDataset's tar shards (https://github.com/webdataset/webdataset), read in place.

The members' places are listed once; then every picture is one read at a known offset, so shuffling
is over all of them and as exact to resume as it is for files.
"""

import dataclasses
import glob
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from striate.data.classes import class_order
from striate.data.splits import Data, Origin, Split, split_name
from striate.errors import DataError
from striate.wording import counted, shown

from . import samples
from .archives import Archive
from .folder import made, subfolders
from .samples import Grouped, Sample

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


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
    bare = opened.folders == {"": set()} and bool(opened.files[""])
    return bare or samples.has_labels(opened)


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
    refused: dict[str, list[str]] = {}
    found: list[Grouped] = []
    for file in files:
        opened = Archive(file)
        for name, reason in opened.refused:
            refused.setdefault(reason, []).append(shown(name))
        found.append(samples.grouped(opened))
        parts.setdefault(_split_of(file), []).extend(found[-1].samples)
    listed = [sample for part in parts.values() for sample in part]
    if not listed:
        raise DataError(f"{shown(path)} has no pictures in it")
    labels, where = samples.labels(listed)
    classes = class_order(labels)
    splits = _splits(parts, labels, classes)
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    layout = (
        f"{shown(path)}: {counted(len(files), 'tar shards')}, labels by {where}, "
        f"{counted(len(classes), 'classes')} ({sizes} pictures)"
    )
    whole = made(home, classes, splits, layout, [*_refusals(refused), *_left_out(found)])
    place = str(path.absolute())
    name = _BRACES.sub("", path.name).strip("*-_.").removesuffix(".tar").strip("*-_.")
    origin = Origin("shards", shown(place))
    return dataclasses.replace(whole, origin=origin, name=shown(name) or whole.name)


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


def _splits(
    parts: Mapping[str, Sequence[Sample]], labels: Sequence[str], classes: tuple[str, ...]
) -> dict[str, Split]:
    places = {name: place for place, name in enumerate(classes)}
    left = iter(labels)
    splits = {}
    for part, of in parts.items():
        numbers = np.array([places[next(left)] for _ in of], dtype=np.int64)
        pictures = [sample.picture for sample in of]
        names = [shown(f"{one.archive.path.name}/{one.inner}") for one in pictures]
        splits[part] = Split(pictures, numbers, names)
    return splits


def _refusals(refused: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{names[0]}: {reason}: left out"
        if len(names) == 1
        else f"{counted(len(names), 'members')}: {reason}: left out ({names[0]} for one)"
        for reason, names in refused.items()
    ]


def _left_out(found: Sequence[Grouped]) -> list[str]:
    said = []
    further = sum((one.further for one in found), Counter[str]())
    if further:
        endings = ", ".join(f"{count} {ending}" for ending, count in further.items())
        said.append(f"a sample has one picture: further ones are left out ({endings})")
    strays = [member for one in found for member in one.strays]
    if strays:
        said.append(
            f"beside no picture and left out: {len(strays)} of .json and .txt "
            f"({shown(str(strays[0]))} for one)"
        )
    return said
