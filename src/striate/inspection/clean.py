"""Which pictures stay when damage, copies and leaks are left out; the files are not touched."""

from pathlib import Path
from typing import NamedTuple

from striate.data import Data
from striate.errors import UsageError

from .report import Report


class Row(NamedTuple):
    """A picture that stays."""

    path: Path
    label: str
    split: str


class Cleaned(NamedTuple):
    """What stays, and how many pictures were left out for which reason."""

    kept: list[Row]
    left_out: dict[str, int]  # unreadable, conflicting, copies, leaks


def clean(data: Data, report: Report) -> Cleaned:
    """Leave out unreadable pictures, all but one of equal ones, and training's copies of the test.

    Of copies with different labels none stays: nobody knows which is right. Of a copy in two splits
    the one in training goes, so that the test stays as it was. UsageError for pictures that are no
    files of their own.
    """
    places: dict[str, Row] = {}
    for split, part in data.splits.items():
        for picture, label, name in zip(part.pictures, part.labels, part.names, strict=True):
            if not isinstance(picture, Path):
                raise UsageError(f"{data.name} is not made of files: there is no list to clean")
            places[name] = Row(picture, data.classes[label], split)
    gone: dict[str, set[str]] = {
        "unreadable": {entry.file for entry in report.unreadable},
        "conflicting": {name for group in report.duplicates.conflicting for name in group},
    }
    gone["leaks"] = _leaks(report, places)
    gone["copies"] = {name for group in report.duplicates.exact for name in _copies(group, places)}
    left_out: dict[str, int] = {}
    already: set[str] = set()
    for reason in ("unreadable", "conflicting", "leaks", "copies"):
        left_out[reason] = len(gone[reason] - already)
        already |= gone[reason]
    return Cleaned([kept for name, kept in places.items() if name not in already], left_out)


def _leaks(report: Report, places: dict[str, Row]) -> set[str]:
    pairs = [(pair["first"], pair["second"]) for pair in report.duplicates.near]
    groups = [*report.duplicates.exact, *map(list, pairs)]
    return {
        name
        for group in groups
        if len({places[member].split for member in group}) > 1
        for name in group
        if places[name].split == "train"
    }


def _copies(group: list[str], places: dict[str, Row]) -> list[str]:
    """Return all but one of each split; the leaks are seen to elsewhere."""
    found = []
    for split in {places[name].split for name in group}:
        found += [name for name in group if places[name].split == split][1:]
    return found
