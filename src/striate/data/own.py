"""A user's own torch Dataset, or a `file.py:function` that gives one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate import usercode
from striate.errors import DataError, UsageError, choose
from striate.usercode import Reference

from .splits import NAMES, Data, Origin, Split


def from_reference(reference: Reference, *, kind: str = "file") -> Data:
    """Call the user's function: it gives a Dataset, or a dict of splits to Datasets."""
    made = usercode.load(reference)(**reference.arguments)
    origin = Origin(kind, reference.name, reference.source, reference.arguments)
    return _data(made, reference.name, origin)


def from_object(given: Any) -> Data:
    """Take a Dataset or a dict of Datasets from Python; a run cannot open it again by itself."""
    name = "data" if isinstance(given, Mapping) else type(given).__name__.lower()
    return _data(given, name, Origin("object", name))


def _data(given: Any, name: str, origin: Origin) -> Data:
    parts = dict(given) if isinstance(given, Mapping) else {"train": given}
    for part in parts:
        choose("split", part, NAMES)
    splits = {part: _split(dataset, part) for part, dataset in parts.items()}
    classes = _classes(parts, splits)
    sizes = ", ".join(f"{part} {len(split)}" for part, split in splits.items())
    layout = f"{name}: own data set, {len(classes)} classes ({sizes} pictures)"
    return Data(Path(name).stem, origin, classes, splits, layout)


class _Pictures(Sequence[Any]):
    """The pictures of a Dataset of (picture, label) pairs."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: Any) -> Any:
        return self._dataset[int(place)][0]


def _split(dataset: Any, part: str) -> Split:
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise UsageError(f"data is a name, a folder, file.py:function or a torch Dataset with "
                         f"__len__ and __getitem__, not {type(dataset).__name__}")
    targets = getattr(dataset, "targets", None)
    if targets is None or len(targets) != len(dataset):
        targets = [dataset[place][1] for place in range(len(dataset))]
    labels = np.asarray([int(label) for label in targets], dtype=np.int64)
    if len(labels) and labels.min() < 0:
        raise DataError(f"labels are 0, 1, 2, ...: the {part} split has {labels.min()}")
    return Split(_Pictures(dataset), labels, [f"{part}/{row:05d}" for row in range(len(labels))])


def _classes(parts: Mapping[str, Any], splits: Mapping[str, Split]) -> tuple[str, ...]:
    count = 1 + max((int(s.labels.max()) for s in splits.values() if len(s)), default=-1)
    named = next((d.classes for d in parts.values() if hasattr(d, "classes")), None)
    if named is None:
        return tuple(str(label) for label in range(count))
    if len(named) < count:
        raise DataError(f"the data set names {len(named)} classes but has the label {count - 1}")
    return tuple(str(name) for name in named)
