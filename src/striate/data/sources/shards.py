"""WebDataset's tar shards (https://github.com/webdataset/webdataset), read in place.

The members' places are listed once; then every picture is one read at a known offset, here or over
a network, so shuffling is over all of them and as exact to resume as it is for files.
"""

import glob
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from striate.data.classes import class_order, look_alikes
from striate.data.splits import Data, Origin, Split, split_name
from striate.errors import DataError
from striate.wording import counted, shown

from . import indexes, remote, samples
from .archives import Archive
from .folder import refuse_twins, subfolders
from .indexes import Index, Place
from .members import Members, Names
from .remote import Remote

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
    texts = _numbered(str(path))
    found = [one for text in texts for one in (_globbed(Path(text)) or [Path(text)])]
    missing = [one for one in found if not one.is_file()]
    if missing:
        raise DataError(f"{path} stands for {len(found)} shards, and {missing[0]} is not there")
    return found


def shards(path: Path) -> Data:
    """Open shards; the split of each follows from its name: train-000.tar, val-000.tar."""
    home = path if path.is_dir() else path.parent
    return _opened(expand(path), Origin("shards", shown(path.absolute())), shown(path), home)


def at_address(address: str) -> Data:
    """Open shards over HTTP(S) or in S3: one, several with numbers in braces, or a folder's."""
    texts = _numbered(address)
    has_name = [
        text.partition("?")[0].lower().endswith(".tar") and "*" not in text for text in texts
    ]
    found = [
        [text] if one else remote.listed(text) for text, one in zip(texts, has_name, strict=True)
    ]
    addresses = [one for listed in found for one in listed]
    if not addresses:
        raise DataError(f"{shown(address)} holds no .tar files")
    with ThreadPoolExecutor(indexes.AT_ONCE) as pool:
        files = list(pool.map(Remote, addresses))
    for one in {urlsplit(file.address).netloc: file for file in files}.values():
        one.require_parts()
    return _opened(files, Origin("shards", shown(address)), shown(address), files[0])


def _opened(files: Sequence[Place], origin: Origin, said: str, home: Place) -> Data:
    by_split: dict[str, list[Place]] = {}
    for file in files:
        by_split.setdefault(_split_of(file), []).append(file)
    found = _Found({name: Members() for name in by_split})
    ordered = [(name, file) for name, listed in by_split.items() for file in listed]
    listing = indexes.indexes([file for _, file in ordered])
    for (name, file), index in zip(ordered, listing, strict=True):
        found.add(name, file, index)
    if not any(map(len, found.parts.values())):
        raise DataError(f"{said} has no pictures in it")
    labels, where = found.texts.labels(found.picture)
    classes = class_order(labels)
    refuse_twins(shown(str(home)), classes)
    splits = _splits(found.parts, labels, classes)
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    layout = (
        f"{said}: {counted(len(files), 'tar shards')}, labels by {where}, "
        f"{counted(len(classes), 'classes')} ({sizes} pictures)"
    )
    names = tuple(shown(name) for name in classes)
    alike = [f"classes look alike: {', '.join(map(repr, same))}" for same in look_alikes(names)]
    warnings = (*_refusals(found.refused), *_left_out(found), *alike)
    return Data(_name(origin, home), origin, names, splits, layout, warnings)


def _name(origin: Origin, home: Place) -> str:
    """Name the data after their folder or pattern, for the run's folder."""
    last = _BRACES.sub("", origin.text.partition("?")[0].rstrip("/").rpartition("/")[2])
    name = last.strip("*-_.").removesuffix(".tar").strip("*-_.")
    return name or (shown(home.absolute().name) if isinstance(home, Path) else "") or "shards"


class _Found:
    """What is found in shard after shard."""

    def __init__(self, parts: dict[str, Members]) -> None:
        self.parts = parts  # by split
        self.texts = samples.Texts()
        self.refused: dict[str, list[str]] = {}  # names by reason
        self.further: Counter[str] = Counter()
        self.strays: list[str] = []

    def add(self, split: str, file: Place, index: Index) -> None:
        self.parts[split].add(file, index)
        self.texts.add(index.said, index.broken)
        for inner in index.inner:
            self.texts.place(inner)
        for name, reason in index.refused:
            self.refused.setdefault(reason, []).append(name)
        self.further.update(index.further)
        self.strays += index.strays

    def picture(self, row: int) -> str:
        """Name a picture by its place among those of all splits."""
        for part in self.parts.values():
            if row < len(part):
                return shown(str(part[row]))
            row -= len(part)
        raise AssertionError("a place among all pictures")


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


def _numbered(text: str) -> list[str]:
    """Fill the numbers in braces in."""
    texts = [text]
    while any(_BRACES.search(one) for one in texts):
        texts = [one for text in texts for one in _filled(text)]
    return texts


def _split_of(file: Place) -> str:
    words = re.split(r"[^a-z]+", file.name.removesuffix(file.suffix).lower())
    return next((name for word in words if (name := split_name(word))), "train")


def _splits(
    parts: Mapping[str, Members], labels: Sequence[str], classes: tuple[str, ...]
) -> dict[str, Split]:
    places = {name: place for place, name in enumerate(classes)}
    numbers = np.fromiter((places[label] for label in labels), np.int64, len(labels))
    splits, start = {}, 0
    for name, part in parts.items():
        splits[name] = Split(part, numbers[start : start + len(part)], Names(part))
        start += len(part)
    return splits


def _refusals(refused: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{names[0]}: {reason}: left out"
        if len(names) == 1
        else f"{counted(len(names), 'members')}: {reason}: left out ({names[0]} for one)"
        for reason, names in refused.items()
    ]


def _left_out(found: _Found) -> list[str]:
    said = []
    if found.further:
        endings = ", ".join(f"{count} {ending}" for ending, count in found.further.items())
        said.append(f"a sample has one picture: further ones are left out ({endings})")
    if found.strays:
        said.append(
            f"beside no picture and left out: {len(found.strays)} of .json and .txt "
            f"({shown(found.strays[0])} for one)"
        )
    return said
