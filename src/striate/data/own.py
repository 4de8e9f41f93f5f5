"""A user's own torch Dataset, or a `file.py:function` that gives one."""

import contextlib
import dataclasses
import itertools
import operator
import threading
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from striate import usercode
from striate.errors import DataError, UsageError, choose
from striate.images import PictureError
from striate.sounds import Sound
from striate.usercode import Reference
from striate.wording import counted

from .kinds import recognised
from .splits import NAMES, Data, Origin, Split, split_name

# A label above this is a mistake (a year, a number of a person), not a class.
MOST_CLASSES = 100_000


def from_reference(reference: Reference, *, kind: str = "file") -> Data:
    """Call the user's function: it gives a Dataset, or a dict of splits to Datasets."""
    made = usercode.call(reference, {})
    origin = Origin(kind, reference.name, reference.source, reference.arguments)
    return _data(made, reference.name, origin)


def from_object(given: Any) -> Data:
    """Take a Dataset or a dict of Datasets from Python; a run cannot open it again by itself."""
    name = "data" if isinstance(given, Mapping) else type(given).__name__.lower()
    return _data(given, name, Origin("object", name))


def _data(given: Any, name: str, origin: Origin) -> Data:
    parts = _parts(given) if isinstance(given, Mapping) else {"train": given}
    splits = {part: _split(dataset, part) for part, dataset in parts.items()}
    classes, splits = _named(parts, splits)
    sizes = ", ".join(f"{part} {len(split)}" for part, split in splits.items())
    kind = next(iter(splits.values())).kind if splits else "pictures"
    layout = f"{name}: own data set, {counted(len(classes), 'classes')} ({sizes} {kind})"
    return Data(Path(name).stem, origin, classes, splits, layout)


def _parts(given: Mapping[Any, Any]) -> dict[str, Any]:
    parts = {}
    for word, dataset in given.items():
        name = split_name(str(word)) or choose("split", str(word), NAMES)
        if name in parts:
            raise UsageError(f"the data have two splits for {name}: {', '.join(map(str, given))}")
        parts[name] = dataset
    return parts


class _Pictures(Sequence[Any]):
    """The pictures of a Dataset of (picture, label) pairs, fetched by one thread at a time."""

    def __init__(self, dataset: Any, part: str) -> None:
        self._dataset = dataset
        self._part = part
        self._lock = threading.Lock()  # a user's Dataset need not be ready for threads
        self._first: tuple[Any, Any] | None = None  # by which the data's kind is told

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):  # what ends a loop over a sequence
            raise IndexError(place)
        return self.pair(int(place))[0]

    def pair(self, place: int) -> tuple[Any, Any]:
        """Give the picture and the label at a place; whatever fails is a PictureError."""
        if place == 0 and self._first is not None:
            return self._first
        name = _name(self._part, place)
        try:
            with self._lock:
                found = self._dataset[place]
        except Exception as error:  # a user's Dataset may raise anything
            said = " ".join(str(error).split())
            raise PictureError(
                name, f"cannot be fetched: {type(error).__name__}: {said}"
            ) from error
        if not isinstance(found, (tuple, list)) or len(found) < 2:
            kind = type(found).__name__
            raise DataError(f"{name} is a {kind}: a Dataset gives pairs (picture, label)")
        if place == 0:
            self._first = found[0], found[1]
        return found[0], found[1]


def _split(dataset: Any, part: str) -> Split:
    if isinstance(dataset, (str, bytes)) or not (
        hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    ):
        raise UsageError(
            "data is a name, a folder, file.py:function or a torch Dataset with __len__ and "
            f"__getitem__ (or a dict of them), not {type(dataset).__name__}"
        )
    pictures = _Pictures(dataset, part)
    rows = range(len(dataset))
    targets = _targets(pictures, dataset)
    given = targets if targets is not None else (pictures.pair(row)[1] for row in rows)
    labels = [_label(label, part, row) for row, label in zip(rows, given, strict=True)]
    names = [_name(part, row) for row in rows]
    return Split(pictures, np.array(labels, dtype=np.int64), names, _kind(pictures))


def _kind(pictures: Sequence[Any]) -> str:
    """Tell sounds and clips by the first one: a Sound, an array (T, H, W, C), or a file's name."""
    with contextlib.suppress(PictureError):  # it is reported when it is read
        first = pictures[0] if len(pictures) else None
        if isinstance(first, Sound):
            return "sounds"
        if isinstance(first, np.ndarray) and first.ndim == 4:
            return "clips"
        if isinstance(first, Path):
            return recognised([first])
    return "pictures"


def _targets(pictures: _Pictures, dataset: Any) -> Any:
    """Give the labels that torchvision's Datasets list, where they are what the pairs have."""
    targets: Any = getattr(dataset, "targets", None)
    if not hasattr(targets, "__len__") or len(targets) != len(dataset) or not len(dataset):
        return None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    try:
        ends = [(pictures.pair(row)[1], targets[row]) for row in (0, len(dataset) - 1)]
        same = all(operator.index(one) == operator.index(other) for one, other in ends)
    except (KeyError, TypeError, DataError):
        return None
    return targets if same else None


def _label(label: Any, part: str, row: int) -> int:
    try:
        number = operator.index(label)  # no rounding: 1.5 is no class
    except (TypeError, ValueError) as error:
        raise DataError(
            f"labels are whole numbers 0, 1, 2, ...: {_name(part, row)} has {_brief(label)}"
        ) from error
    if not 0 <= number < MOST_CLASSES:
        raise DataError(f"labels are 0, 1, 2, ...: {_name(part, row)} has {number}")
    return number


def _named(
    parts: Mapping[str, Any], splits: Mapping[str, Split]
) -> tuple[tuple[str, ...], dict[str, Split]]:
    """Give the classes, and the splits with labels by them: two Datasets may number them apart."""
    lists = {part: found for part, data in parts.items() if (found := _listed(data, part))}
    count = 1 + max((int(s.labels.max()) for s in splits.values() if len(s)), default=-1)
    first = next(iter(lists.values()), tuple(map(str, range(count))))
    # Where one names more than another, all of them are classes.
    classes = tuple(dict.fromkeys([*first, *itertools.chain.from_iterable(lists.values())]))
    place = {name: number for number, name in enumerate(classes)}
    named = {}
    for part, split in splits.items():
        own = lists.get(part, first)
        highest = int(split.labels.max()) if len(split) else -1
        if highest >= len(own):
            raise DataError(
                f"the data set names {counted(len(own), 'classes')} but has the label {highest}"
            )
        places = np.array([place[name] for name in own])
        named[part] = dataclasses.replace(split, labels=places[split.labels].astype(np.int64))
    if len(classes) < 2:
        raise DataError(
            f"the data set has {counted(len(classes), 'classes')}: nothing can be told apart"
        )
    return classes, named


def _listed(dataset: Any, part: str) -> tuple[str, ...]:
    """Give the classes that a Dataset names, in the order of its labels."""
    found = getattr(dataset, "classes", ())
    if isinstance(found, Set):
        raise DataError(f"the classes of {part} are a set, which has no order: give a list")
    classes = tuple(str(name) for name in found)
    if len(set(classes)) < len(classes):
        raise DataError("the data set has two classes of one name")
    return classes


def _name(part: str, row: int) -> str:
    return f"{part}/{row:05d}"


def _brief(label: Any) -> str:
    text = " ".join(repr(label).split())
    return text if len(text) <= 40 else f"{type(label).__name__} {text[:30]}..."
