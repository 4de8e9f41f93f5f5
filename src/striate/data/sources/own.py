"""A user's own torch Dataset, or a `file.py:function` that gives one."""

import contextlib
import itertools
import operator
import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import usercode
from striate.data.classes import canonical, class_order, look_alikes
from striate.data.filekinds import recognised
from striate.data.splits import NAMES, Data, Origin, Split, split_name
from striate.errors import DataError, UsageError, choose
from striate.images import PictureError
from striate.sounds import Sound
from striate.usercode import NO_CONSENT, Consent, Reference
from striate.wording import counted

from . import lists

# A label above this is a mistake (a year, a number of a person), not a class.
MOST_CLASSES = 100_000


def from_reference(reference: Reference, consent: Consent = NO_CONSENT) -> Data:
    """Call the user's function: it gives a Dataset, or a dict of splits to Datasets."""
    made = usercode.call(reference, {}, consent)
    origin = Origin("file", reference.name, reference.source, reference.arguments)
    return _data(made, reference.name, origin)


def from_object(given: Any) -> Data:
    """Take a Dataset or a dict of Datasets from Python; a run cannot open it again by itself."""
    name = "data" if isinstance(given, Mapping) else type(given).__name__.lower()
    return _data(given, name, Origin("object", name))


class Part(NamedTuple):
    """A split's pictures with their labels as the Dataset has them."""

    pictures: "_Pictures"
    labels: list[int | str]
    names: tuple[str, ...] | None  # of the classes that whole numbers stand for


def _data(given: Any, name: str, origin: Origin) -> Data:
    parts = _parts(given) if isinstance(given, Mapping) else {"train": given}
    if any(map(lists.is_pairs, parts.values())):
        return lists.pairs(parts, name, origin)
    parts = {part: _zipped(dataset) for part, dataset in parts.items()}
    labelled = {part: _labelled(dataset, part) for part, dataset in parts.items()}
    classes, warnings = _classes(labelled)
    splits = {part: _split(one, part, classes) for part, one in labelled.items()}
    sizes = ", ".join(f"{part} {len(split)}" for part, split in splits.items())
    kind = next(iter(splits.values())).kind if splits else "pictures"
    layout = f"{name}: own data set, {counted(len(classes), 'classes')} ({sizes} {kind})"
    return Data(Path(name).stem, origin, classes, splits, layout, tuple(warnings))


def _parts(given: Mapping[Any, Any]) -> dict[str, Any]:
    parts = {}
    for word, dataset in given.items():
        name = split_name(str(word)) or choose("split", str(word), NAMES)
        if name in parts:
            raise UsageError(f"the data have two splits for {name}: {', '.join(map(str, given))}")
        parts[name] = dataset
    return parts


def _zipped(given: Any) -> Any:
    """Return pictures (N, ...) and labels (N,), a tuple of two arrays, as pairs."""
    if not isinstance(given, tuple) or len(given) != 2:
        return given
    pictures: tuple[int, ...]
    labels: tuple[int, ...]
    pictures, labels = (tuple(getattr(one, "shape", ())) for one in given)
    if len(pictures) < 3 or len(labels) != 1:
        return given
    if pictures[0] != labels[0]:
        raise DataError(
            f"the data have {counted(pictures[0], 'pictures')} and {counted(labels[0], 'labels')}"
        )
    return list(zip(*given, strict=True))


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
        """Return the picture and the label at a place; whatever fails is a PictureError."""
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
        picture = Path(found[0]) if isinstance(found[0], str) else found[0]
        if place == 0:
            self._first = picture, found[1]
        return picture, found[1]


def _labelled(dataset: Any, part: str) -> Part:
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
    kinds = {type(label) for label in labels}
    if len(kinds) > 1:
        row = next(row for row in rows if isinstance(labels[row], str))
        raise DataError(
            "labels are whole numbers or names, not both: "
            f"{_name(part, row)} has {_brief(labels[row])}"
        )
    return Part(pictures, labels, _class_names(dataset, part))


def _split(part: Part, word: str, classes: tuple[str, ...]) -> Split:
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[_class_of(label, part.names)] for label in part.labels], np.int64)
    names = [_name(word, row) for row in range(len(labels))]
    return Split(part.pictures, labels, names, _kind(part.pictures))


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
    """Return the labels that torchvision's Datasets list, where they are what the pairs have."""
    targets = _listed(dataset)
    if targets is None or not len(dataset):
        return None
    try:
        ends = [(pictures.pair(row)[1], targets[row]) for row in (0, len(dataset) - 1)]
        same = all(operator.index(one) == operator.index(other) for one, other in ends)
    except (KeyError, TypeError, DataError):
        return None
    return targets if same else None


def _listed(dataset: Any) -> Any:
    """Return the targets of a Dataset, or of what it is a part of; None if not all list them."""
    from torch.utils.data import ConcatDataset, Subset

    if isinstance(dataset, Subset):
        whole = _listed(dataset.dataset)
        return None if whole is None else [whole[row] for row in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        found = [_listed(one) for one in dataset.datasets]
        return None if any(one is None for one in found) else list(itertools.chain(*found))
    targets: Any = getattr(dataset, "targets", None)
    if not hasattr(targets, "__len__") or len(targets) != len(dataset):
        return None
    return None if getattr(dataset, "target_transform", None) is not None else targets


def _label(label: Any, part: str, row: int) -> int | str:
    if isinstance(label, str) and label.strip():
        return canonical(label)
    try:
        number = operator.index(label)  # no rounding: 1.5 is no class
    except (TypeError, ValueError) as error:
        raise DataError(
            "labels are whole numbers 0, 1, 2, ... or names: "
            f"{_name(part, row)} has {_brief(label)}"
        ) from error
    if not 0 <= number < MOST_CLASSES:
        raise DataError(f"labels are 0, 1, 2, ...: {_name(part, row)} has {number}")
    return number


def _class_names(dataset: Any, part: str) -> tuple[str, ...] | None:
    """Return the names that a Dataset, or what it is a part or a row of, has for its classes."""
    from torch.utils.data import ConcatDataset, Subset

    if isinstance(dataset, Subset):
        return _class_names(dataset.dataset, part)
    if isinstance(dataset, ConcatDataset):
        found = {_class_names(one, part) for one in dataset.datasets}
        if len(found) > 1:
            raise DataError(
                "the data sets that are joined have other names for their classes "
                f"({'; '.join(', '.join(names[:5]) if names else 'none' for names in found)}): one "
                "label would stand for two classes"
            )
        return next(iter(found), None)
    named = getattr(dataset, "classes", None)
    if isinstance(named, Set):
        raise DataError(f"the classes of {part} are a set, which has no order: give a list")
    if isinstance(named, Mapping):  # of names to numbers, or the other way round
        by_number = all(isinstance(key, int) for key in named)
        named = (
            [named[key] for key in sorted(named)]
            if by_number
            else sorted(named, key=lambda name: int(named[name]))
        )
    if isinstance(named, (str, bytes)) or not isinstance(named, Iterable):
        return None
    names = tuple(canonical(str(name)) for name in named)
    if len(set(names)) < len(names):
        raise DataError("the data set has two classes of one name")
    return names


def _class_of(label: int | str, names: tuple[str, ...] | None) -> str:
    """Return the name of a label's class; a name that is not listed stays what it is."""
    if isinstance(label, str) or names is None:
        return str(label)
    if label >= len(names):
        raise DataError(
            f"the data set names {counted(len(names), 'classes')} but has the label {label}"
        )
    return names[label]


def _classes(parts: dict[str, Part]) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that have pictures, in the order of their names or numbers, and warnings.

    Splits without names of their own have those of the others.
    """
    first = next((part.names for part in parts.values() if part.names), None)
    for word, part in parts.items():
        parts[word] = part._replace(names=part.names or first)
    used = {_class_of(label, part.names) for part in parts.values() for label in set(part.labels)}
    named = dict.fromkeys(itertools.chain(*(part.names or () for part in parts.values())))
    classes = (*(name for name in named if name in used), *class_order(used - set(named)))
    if not classes:
        raise DataError("the data set has no classes: nothing can be told apart")
    warnings = [
        f"classes look alike: {', '.join(map(repr, same))}" for same in look_alikes(classes)
    ]
    empty = [name for name in named if name not in used]
    if empty:
        listed = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        warnings.append(
            f"{len(empty)} of {counted(len(named), 'classes')} left out, without pictures: {listed}"
        )
    if not named and all(map(str.isdecimal, classes)) and int(classes[-1]) >= len(classes):
        listed = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        warnings.append(
            f"labels are {listed}, not 0 to {len(classes) - 1}: each that occurs is a class, named "
            "by it"
        )
    return classes, warnings


def _name(part: str, row: int) -> str:
    return f"{part}/{row:05d}"


def _brief(label: Any) -> str:
    text = " ".join(repr(label).split())
    return text if len(text) <= 40 else f"{type(label).__name__} {text[:30]}..."
