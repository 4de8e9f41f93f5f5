"""Labelled pictures in splits, and the splits that are made where the data bring none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError, choose
from striate.usercode import Reference
from striate.wording import counted

from .classes import canonical_path
from .classes import places as placed

NAMES = ("train", "validation", "test")
SYNONYMS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


# Between the share that was asked for and the one that is taken, before it is said.
_SHARE_TOLERANCE = 0.02


def split_name(word: str) -> str | None:
    """Return the split that a word stands for, in any case.

    >>> split_name("Valid"), split_name("cats")
    ('validation', None)
    """
    return next((name for name, words in SYNONYMS.items() if word.lower() in words), None)


@dataclass(frozen=True)
class Split:
    """Pictures, or sounds or clips, with a label and a name each; whatever preprocessing takes."""

    pictures: Sequence[Any] | NDArray[np.uint8]
    labels: NDArray[np.int64]  # (N,), places in the list of classes
    names: Sequence[str]  # unique in the data: a relative path, or split/number
    kind: str = "pictures"  # or sounds, or clips

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Split":
        """Keep the pictures at these places, in this order."""
        pictures = self.pictures
        chosen = pictures[rows] if isinstance(pictures, np.ndarray) else Chosen(pictures, rows)
        names = self.names
        if isinstance(names, list):
            return Split(chosen, self.labels[rows], [names[row] for row in rows], self.kind)
        return Split(chosen, self.labels[rows], Chosen(names, rows), self.kind)


class Chosen(Sequence[Any]):
    """Some items of a sequence, fetched from it when they are asked for."""

    def __init__(self, items: Sequence[Any], rows: NDArray[np.int64]) -> None:
        self.items, self._rows = items, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self.items[int(self._rows[place])]

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether they are fetched over a network."""
        return getattr(self.items, "is_elsewhere", False)

    def fetch(self, places: Sequence[int]) -> list[Any]:
        """Fetch some of them side by side."""
        found: list[Any] = self.items.fetch([int(self._rows[place]) for place in places])  # type: ignore[attr-defined]
        return found


def is_stored(pictures: Any) -> bool:
    """Tell files, and members of shards, from an array in memory and from a user's own Dataset."""
    if isinstance(pictures, Chosen):
        return is_stored(pictures.items)
    return type(pictures) is list or getattr(pictures, "is_stored", False)


class Origin(NamedTuple):
    """Where data came from: what a run saves, so that it can open them again."""

    kind: str  # named, folder, file, or object
    text: str  # the name, the folder's path, the function's name
    source: str | None = None  # the text of a user's file
    arguments: Mapping[str, Any] = {}

    @property
    def code(self) -> Reference | None:
        """The user's code that gives the data, where there is such."""
        if self.source is None:
            return None
        return Reference(self.source, self.text, dict(self.arguments))


@dataclass(frozen=True)
class Data:
    """What DATA on the command line stands for."""

    name: str  # short, for the run's folder
    origin: Origin
    classes: tuple[str, ...]
    splits: Mapping[str, Split]  # of NAMES; a folder of classes has them all in `train`
    layout: str  # one line that says what was recognised, and why
    warnings: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)  # ending -> files that are not used

    @property
    def kind(self) -> str:
        """What the data are: pictures, sounds or clips."""
        return next((split.kind for split in self.splits.values()), "pictures")

    def split(self, name: str) -> Split:
        """Return a split by name; UsageError lists those there are."""
        return self.splits[choose("split", name, self.splits)]


def complete(
    data: Data, *, validation_share: float, test_share: float, seed: int
) -> dict[str, Split]:
    """Make the splits that the data lack: stratified by class, the same for the same seed.

    The test is cut only where the data have no splits at all; validation is cut from train, and
    not where no class has two pictures left: `taken` says so.
    """
    require_training(data)
    splits = dict(data.splits)
    if set(splits) == {"train"} and test_share:
        splits["train"], splits["test"] = cut(splits["train"], test_share, seed=[seed, 1])
    if "validation" not in splits and validation_share and _can_be_cut(splits["train"]):
        splits["train"], splits["validation"] = cut(
            splits["train"], validation_share, seed=[seed, 2]
        )
    return {name: splits[name] for name in NAMES if name in splits}


def require_training(data: Data) -> None:
    """Raise DataError for data of one class, or without a training split."""
    if len(data.classes) < 2:
        only = ", ".join(data.classes)
        raise DataError(
            f"{data.origin.text} has one class only ({only}): nothing can be told apart"
        )
    if len(data.splits.get("train", ())) == 0:
        raise DataError(f"{data.name} has no training pictures (splits: {', '.join(data.splits)})")


def require_taught(data: Data, train: Split, reasons: Mapping[str, str] | None = None) -> None:
    """Raise DataError for a class of which there are pictures, but none among these of training.

    A class that has no pictures at all is the data's own affair. `reasons` say why pictures, by
    name, were left out.
    """
    labels = [split.labels for split in data.splits.values()]
    untaught = np.setdiff1d(np.concatenate(labels), train.labels).tolist()
    if not untaught:
        return
    shown = ", ".join(repr(data.classes[label]) for label in untaught[:5])
    more = f" and {len(untaught) - 5} more" if len(untaught) > 5 else ""
    what = f"class {shown} has" if len(untaught) == 1 else f"classes {shown}{more} have"
    raise DataError(
        f"{data.name}: {what} no {data.kind} to train on"
        f"{_first_reason(data, untaught, reasons or {})}: add some, or take the class away"
    )


def _first_reason(data: Data, labels: Sequence[int], reasons: Mapping[str, str]) -> str:
    lost = [
        name
        for split in data.splits.values()
        for name, label in zip(split.names, split.labels, strict=True)
        if label in labels and name in reasons
    ]
    if not lost:
        return ""
    return f" ({len(lost)} cannot be read, the first: {lost[0]}: {reasons[lost[0]]})"


def taken(
    data: Data, splits: Mapping[str, Split], *, validation_share: float, test_share: float
) -> list[str]:
    """Say where the splits that were made have another share than was asked for."""
    made = {"test": test_share if set(data.splits) == {"train"} else 0.0}
    made["validation"] = 0.0 if "validation" in data.splits else validation_share
    lines = []
    for name, share in made.items():
        if share and name not in splits:
            lines.append(
                f"no {name} split: no class has two {data.kind} left; the last epoch is kept"
            )
        if not share or name not in splits:
            continue
        part = len(splits[name])
        whole = part + len(splits["train"])
        if name == "test":  # it was cut first
            whole += len(splits.get("validation", ()))
        if abs(part / whole - share) >= _SHARE_TOLERANCE:
            lines.append(
                f"{name}: {100 * share:.0f} % was asked for, but each class gives whole "
                f"{data.kind}, at least one: {100 * part / whole:.0f} % ({part} of {whole})"
            )
    return lines


def _can_be_cut(split: Split) -> bool:
    return bool((np.bincount(split.labels) > 1).any())


def cut(split: Split, share: float, *, seed: Sequence[int]) -> tuple[Split, Split]:
    """Cut a share off each class, at least one picture of each that has two or more."""
    random = np.random.default_rng(seed)
    held: list[NDArray[np.int64]] = []
    for label in np.unique(split.labels):
        rows = random.permutation(np.flatnonzero(split.labels == label))
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held.append(rows[:count])
    out = np.sort(np.concatenate(held))
    stay = np.setdiff1d(np.arange(len(split)), out)
    if not len(out):
        raise DataError(
            "no class has two pictures left: none can be held out; give more pictures, or "
            "--validation-share 0 or --test-share 0"
        )
    return split.take(stay), split.take(out)


def by_name(data: Data, split: Split, classes: Sequence[str]) -> Split:
    """Return a split of the data with its labels as places in `classes`: by name, never by order.

    Raises DataError for a class that is not among them.
    """
    places = np.array(placed(data.classes, classes))
    present = np.unique(split.labels).tolist()
    unknown = [data.classes[label] for label in present if places[label] < 0]
    if unknown:
        shown = ", ".join(repr(name) for name in unknown[:5])
        raise DataError(
            f"{data.name} has {counted(len(unknown), 'classes')} that this network does not know "
            f"({shown}); it knows {', '.join(classes)}"
        )
    return replace(split, labels=places[split.labels].astype(np.int64))


def assigned(
    data: Data, table: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> dict[str, Split]:
    """Put the data's pictures into the splits that a run saved, by name and in its order.

    Labels become places in the run's `classes`, whatever classes the data have today. Raises
    DataError if a picture of the run is gone, or is of a class that the run does not know.
    """
    where: dict[str, tuple[str, int]] = {}
    for form in (canonical_path, str):  # the very name last: it comes before another form of it
        for name, split in data.splits.items():
            where |= {form(picture): (name, row) for row, picture in enumerate(split.names)}
    formed = {p: p if p in where else canonical_path(p) for names in table.values() for p in names}
    missing = [p for p, form in formed.items() if form not in where]
    if missing:
        raise DataError(
            f"{len(missing):,} of this run's pictures are gone from {data.origin.text}, "
            f"the first is {missing[0]}: put them back, or note their new place with "
            "`striate train NEW --resume RUN`"
        )
    found = {}
    for name, names in table.items():
        split = by_name(data, gathered(data, [where[formed[p]] for p in names]), classes)
        found[name] = replace(split, names=list(names))
    return found


def relabelled(
    split: Split, classes: Sequence[str], recorded: Mapping[str, str]
) -> dict[str, Any] | None:
    """Count the pictures whose class is not the one that a run recorded, with an example.

    The document has `pictures` and `example`: a name, its class then, its class now. None if all
    are as they were.
    """
    today = zip(split.names, (classes[label] for label in split.labels), strict=True)
    others = [(name, recorded[name], now) for name, now in today if recorded[name] != now]
    return {"pictures": len(others), "example": list(others[0])} if others else None


def relabelled_line(found: Mapping[str, Any]) -> str:
    """Say in one line what `relabelled` found."""
    name, then, now = found["example"]
    return (
        f"{found['pictures']} of these have another class now than when the training began: "
        f"{name} was {then}, and is {now}"
    )


def gathered(data: Data, places: Sequence[tuple[str, int]]) -> Split:
    """Return the examples at these places, each a split's name and a row."""
    origins = {name for name, _ in places} or {next(iter(data.splits))}
    if len(origins) == 1:
        return data.splits[origins.pop()].take(np.array([r for _, r in places], dtype=np.int64))
    parts = [(data.splits[name], row) for name, row in places]
    labels = np.array([part.labels[row] for part, row in parts], dtype=np.int64)
    names = [part.names[row] for part, row in parts]
    return Split([part.pictures[row] for part, row in parts], labels, names, parts[0][0].kind)
