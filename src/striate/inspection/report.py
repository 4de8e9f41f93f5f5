"""A data doctor: counts, sizes, means, damage, duplicates, and what is odd, in one pass."""

import contextlib
import dataclasses
import functools
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from striate import devices, images
from striate.data import Data
from striate.data.batches import Unreadable, part_of
from striate.data.preparation.preprocessing import Picture as Source
from striate.data.preparation.preprocessing import as_array
from striate.data.splits import is_stored
from striate.decoding import Failed, each
from striate.errors import DataError, UsageError
from striate.stopping import Poll, unheard
from striate.wording import counted, percent

from . import duplicates
from .leaks import copies_of, matters

IMBALANCE = 10  # times more pictures in the largest class than in the smallest
CONSTANT = 1  # levels of 255 between the darkest and the brightest pixel, at most
_LEVELS = np.arange(256)


class Seen(NamedTuple):
    """What one pass keeps of a picture."""

    digest: bytes  # of its pixels
    height: int
    width: int
    colour: bool
    constant: bool
    comparable: bool  # by more than equality
    pixels: int  # that were seen; of a JPEG that was scaled down fewer than it has
    sums: tuple[NDArray[np.int64], NDArray[np.int64]]  # (C,) each: of the levels, their squares
    thumb: NDArray[np.uint8]  # (256,)


class Picture(NamedTuple):
    """Where a readable picture stands, in the order in which all were read."""

    split: str
    name: str
    label: int


@dataclasses.dataclass(frozen=True)
class Copies:
    """Pictures that are there twice."""

    exact: list[list[str]]  # groups of names with equal pixels
    near: list[dict[str, Any]]  # pairs: first, second, similarity, mirrored
    across: dict[str, int]  # for each split but train: pictures with a copy in train
    near_across: dict[str, int]  # those of them of which no copy is identical
    conflicting: list[list[str]]  # copies with different labels


@dataclasses.dataclass(frozen=True)
class Report:
    """What `striate data` prints."""

    name: str
    layout: str
    classes: dict[str, dict[str, int]]  # counts of readable pictures by class, then split
    splits: dict[str, int]
    sizes: dict[str, Any]  # height and width: smallest, median, largest; and colour counts
    mean: list[float]  # of the training pictures' pixels, on [0, 1]: one or three channels
    std: list[float]
    unreadable: list[Unreadable]
    duplicates: Copies
    warnings: list[str]
    left_out: dict[str, int]  # ending -> files below the folder that are not used

    def to_json(self) -> dict[str, Any]:
        """Return the document that `striate data --json` prints."""
        document = dataclasses.asdict(self)
        document["unreadable"] = [entry._asdict() for entry in self.unreadable]
        return document


def inspect(
    data: Data,
    *,
    workers: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    poll: Poll = unheard,
) -> Report:
    """Decode every picture once, and look at all of them together."""
    if data.kind != "pictures":
        raise UsageError(f"the data doctor looks at pictures, and {data.name} has {data.kind}")
    pictures, seen, unreadable = _pass(data, workers, max_pixels, poll)
    if not seen:
        raise DataError(f"{data.name}: no picture can be read; the first: {unreadable[0]}")
    copies = _copies(pictures, seen, poll)
    mean, std = _moments([s for p, s in zip(pictures, seen, strict=True) if p.split == "train"])
    classes = {name: dict.fromkeys(data.splits, 0) for name in data.classes}
    for picture in pictures:
        classes[data.classes[picture.label]][picture.split] += 1
    return Report(
        data.name,
        data.layout,
        classes,
        dict(Counter(picture.split for picture in pictures)),
        _sizes(seen),
        mean,
        std,
        unreadable,
        copies,
        [*data.warnings, *_warnings(data, pictures, seen, classes, copies, unreadable)],
        dict(data.left_out),
    )


def _pass(
    data: Data, workers: int | None, max_pixels: int, poll: Poll
) -> tuple[list[Picture], list[Seen], list[Unreadable]]:
    pictures: list[Picture] = []
    seen: list[Seen] = []
    unreadable: list[Unreadable] = []
    count = devices.processors() if workers is None else workers
    look = functools.partial(_look, max_pixels=max_pixels)
    more = max(1.0, max_pixels / images.MAX_PIXELS)
    for name, split in data.splits.items():
        found = each(
            look,
            split.pictures,
            workers=count,
            guarded=is_stored(split.pictures),
            allowance=more,
            poll=part_of(data.splits, name, poll),
        )
        with contextlib.closing(found):
            for row, result in found:
                if isinstance(result, Failed):
                    unreadable.append(Unreadable(split.names[row], result.reason))
                    continue
                pictures.append(Picture(name, split.names[row], int(split.labels[row])))
                seen.append(Seen._make(result))
    return pictures, seen, unreadable


def _look(picture: Source, max_pixels: int) -> Seen:
    stated = images.header(picture) if isinstance(picture, Path | images.Stored) else None
    # A JPEG beyond the limit is seen as a training sees it: scaled down.
    beyond = stated is not None and stated[0] * stated[1] > max_pixels
    pixels = as_array(picture, max_pixels, least=1 if beyond else None)
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    image = Image.fromarray(pixels)
    levels = np.array(image.histogram(), dtype=np.int64).reshape(-1, 256)
    planes = torch.from_numpy(pixels.reshape(1, *pixels.shape[:2], -1)).permute(0, 3, 1, 2)
    large = duplicates.is_large(image.height, image.width)
    enlarged = bool(duplicates.are_blocks(planes)[0])
    ranges = [np.ptp(np.flatnonzero(channel)) for channel in levels]
    return Seen(
        digest.digest(),
        *(stated[:2] if stated and beyond else (image.height, image.width)),
        image.mode == "RGB",
        bool(max(ranges) <= CONSTANT),
        bool(large and max(ranges) > CONSTANT and not enlarged),
        image.height * image.width,
        (levels @ _LEVELS, levels @ _LEVELS**2),
        duplicates.thumbnail(image),
    )


def _moments(seen: Sequence[Seen]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel over all pixels, from exact sums."""
    if not seen:
        return [], []
    channels = 3 if any(one.colour for one in seen) else 1
    pixels = sum(one.pixels for one in seen)
    # A grey picture counts for all three channels.
    first, second = (
        np.sum([np.broadcast_to(one.sums[power], channels) for one in seen], axis=0) / pixels
        for power in (0, 1)
    )
    deviation = np.sqrt(np.maximum(second - first**2, 0))
    return (first / 255).tolist(), (deviation / 255).tolist()


def _sizes(seen: Sequence[Seen]) -> dict[str, Any]:
    def spread(values: list[int]) -> dict[str, int]:
        return {"smallest": min(values), "median": int(np.median(values)), "largest": max(values)}

    return {
        "height": spread([one.height for one in seen]),
        "width": spread([one.width for one in seen]),
        "grey": sum(not one.colour for one in seen),
        "colour": sum(one.colour for one in seen),
    }


def _copies(pictures: Sequence[Picture], seen: Sequence[Seen], poll: Poll) -> Copies:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, one in enumerate(seen):
        groups[one.digest].append(place)
    exact = [group for group in groups.values() if len(group) > 1]
    # A constant picture is like every other one (it has its own warning); a tiny one like many.
    single = [group[0] for group in groups.values() if seen[group[0]].comparable]
    pairs = [
        pair._replace(first=single[pair.first], second=single[pair.second])
        for pair in duplicates.near(_thumbs([seen[place] for place in single]), poll=poll)
    ]
    joined = _joined(len(seen), [*exact, *([p.first, p.second] for p in pairs)])
    across, exactly = (_across(pictures, some) for some in (joined, exact))
    conflicting = []
    for group in joined:
        if len({pictures[place].label for place in group}) > 1:
            conflicting.append([pictures[place].name for place in group])
    near = [
        {
            "first": pictures[pair.first].name,
            "second": pictures[pair.second].name,
            "similarity": round(pair.similarity, 5),
            "mirrored": pair.mirrored,
        }
        for pair in pairs
    ]
    names = [[pictures[place].name for place in group] for group in exact]
    near_across = {split: count - exactly.get(split, 0) for split, count in across.items()}
    return Copies(names, near, across, near_across, conflicting)


def _across(pictures: Sequence[Picture], groups: Sequence[Sequence[int]]) -> dict[str, int]:
    """Count, of each split but train, the pictures that are in a group with one of train."""
    found = [
        pictures[place].split
        for group in groups
        if any(pictures[place].split == "train" for place in group)
        for place in group
        if pictures[place].split != "train"
    ]
    return dict(Counter(found))


def _thumbs(seen: Sequence[Seen]) -> duplicates.Thumbs:
    grey = np.array([one.thumb for one in seen], dtype=np.uint8).reshape(-1, duplicates.SIDE**2)
    colours = np.array([_colour(one) for one in seen]).reshape(-1, 3)
    return duplicates.thumbs(torch.from_numpy(grey), torch.from_numpy(colours))


def _colour(one: Seen) -> list[float]:
    levels = one.sums[0] / one.pixels
    return [float(level) for level in np.broadcast_to(levels, 3)]


def _joined(count: int, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """Join the groups that share a picture (union-find)."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for group in groups:
        for place in group[1:]:
            parent[root(place)] = root(group[0])
    found: dict[int, list[int]] = defaultdict(list)
    for place in {place for group in groups for place in group}:
        found[root(place)].append(place)
    return [sorted(group) for group in found.values()]


def _warnings(
    data: Data,
    pictures: Sequence[Picture],
    seen: Sequence[Seen],
    classes: dict[str, dict[str, int]],
    copies: Copies,
    unreadable: Sequence[Unreadable],
) -> list[str]:
    said = []
    if len(classes) < 2:
        said.append(f"one class only ({_some(list(classes))}): nothing can be told apart")
    said += _of_leaks(pictures, copies)
    if unreadable:
        said.append(f"{counted(len(unreadable), 'pictures')} cannot be read")
    if copies.exact or copies.near:
        said.append(
            f"{counted(sum(len(group) - 1 for group in copies.exact), 'exact copies')}, "
            f"{counted(len(copies.near), 'pairs')} of near-copies"
        )
    if copies.conflicting:
        first = copies.conflicting[0]
        said.append(
            f"{counted(len(copies.conflicting), 'groups')} of copies with different labels, "
            f"{first[0]} and {first[1]} for one"
        )
    said += _of_classes(classes, list(data.splits))
    constant = [p.name for p, one in zip(pictures, seen, strict=True) if one.constant]
    if constant:
        said.append(
            f"{counted(len(constant), 'pictures')} of one colour only, {constant[0]} for one"
        )
    odd = [p for p in pictures if _names_another(p, data.classes)]
    if odd:
        said.append(
            f"{counted(len(odd), 'file names')} with another class in it: {odd[0].name} is in "
            f"{data.classes[odd[0].label]}"
        )
    return said


def _of_leaks(pictures: Sequence[Picture], copies: Copies) -> list[str]:
    said = []
    sizes = Counter(picture.split for picture in pictures)
    for split, count in copies.across.items():
        near = copies.near_across[split]
        if matters(count, near, sizes[split]):
            said.append(
                f"leak: {count:,} of {counted(sizes[split], split + ' pictures')} "
                f"({percent(count / sizes[split])}) with a {copies_of(count, near)} in train: "
                "an accuracy on them is too high"
            )
    return said


def _of_classes(classes: dict[str, dict[str, int]], splits: Sequence[str]) -> list[str]:
    said = []
    for split in splits:
        counts = {name: by_split[split] for name, by_split in classes.items()}
        empty = [name for name, count in counts.items() if count == 0]
        single = [name for name, count in counts.items() if count == 1]
        if empty:
            said.append(
                f"{counted(len(empty), 'classes')} without pictures in {split}: {_some(empty)}"
            )
        if single:
            said.append(
                f"{counted(len(single), 'classes')} with one picture in {split}: {_some(single)}"
            )
        least = min((count for count in counts.values() if count), default=0)
        if least and max(counts.values()) >= IMBALANCE * least:
            small = next(name for name, count in counts.items() if count == least)
            large = max(counts, key=counts.__getitem__)
            said.append(f"{split} is unbalanced: {counts[large]} of {large}, {least} of {small}")
    return said


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _names_another(picture: Picture, classes: Sequence[str]) -> bool:
    """Tell whether a file's name has another class's name as a word, and not its own."""
    words = set(re.split(r"[^a-z]+", picture.name.rpartition("/")[2].rpartition(".")[0].lower()))
    named = {at for at, name in enumerate(classes) if name.isalpha() and name.lower() in words}
    return bool(named) and picture.label not in named
