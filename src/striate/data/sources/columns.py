"""Which columns of a table are the path, the label and the split, and which are not used."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from striate.data.splits import NAMES, split_name
from striate.errors import DataError, choose
from striate.images import is_picture
from striate.wording import shown

from . import records
from .records import Row, Table

PATHS = (
    *("file_name", "path", "file", "filename", "image", "filepath"),
    *("file_path", "filepaths", "image_path"),
)
LABELS = ("label", "class", "target", "category", "labels", "class_name")
SPLIT = "split"
_SETS = ("set", "subset", "partition")
# What says of each row whether it belongs to one split; the others are to train on.
_FLAGS = {
    "is_valid": "validation",
    "is_val": "validation",
    "is_validation": "validation",
    "is_test": "test",
}
_FOLDS = ("fold", "folds", "kfold", "k_fold")
_SUSPECTS = ("is_train", "is_training", "train", "valid", "val", "test", "phase", "usage")
_TRUE = ("true", "1", "1.0", "yes", "y", "t")
_FALSE = ("false", "0", "0.0", "no", "n", "f", "")
_SHOWN = 8


class Columns(NamedTuple):
    """The columns that a user names; None: they are found by their usual names."""

    path: str | None = None
    label: str | None = None

    def given(self) -> dict[str, str]:
        """Return those that are named, by their fields."""
        return {field: name for field, name in self._asdict().items() if name is not None}


USUAL = Columns()


class Chosen(NamedTuple):
    """The columns that are read of a table, by the names in its header."""

    path: str
    label: str
    split: str | None
    flags: Mapping[str, str]  # column -> the split of the rows in which it is true
    unused: tuple[str, ...]
    warnings: tuple[str, ...]


def read(path: Path, wanted: Columns) -> Table:
    """Read a table whose header has the wanted columns, or the usual ones."""
    usual = {*PATHS, *LABELS, SPLIT, *_SETS, *_FLAGS, *map(records.name, wanted.given().values())}
    table = records.read(path, lambda column: records.name(column) in usual)
    if not table.rows:
        raise DataError(f"{shown(path)} has no rows")
    return table


def has_label(table: Table, wanted: Columns) -> bool:
    """Tell whether a table has a column of labels, or one is asked for."""
    return wanted.label is not None or _known(table, LABELS) is not None


def chosen(table: Table, wanted: Columns) -> Chosen:
    """Find the columns; DataError lists those there are where one is missing."""
    picture = _column(table, wanted.path, PATHS, "the picture's path", "--path-column")
    label = _column(table, wanted.label, LABELS, "the label", "--label-column")
    others = [one for one in table.columns if one.strip() and one not in (picture, label)]
    split, warnings = _split(table, others)
    flags = {} if split else _flags(table, others)
    unused = tuple(one for one in others if one != split and one not in flags)
    if not split and not flags:
        warnings += _suspicious(table, unused)
    return Chosen(picture, label, split, flags, unused, tuple(warnings))


def path(table: Table) -> str:
    """Find the column of paths alone; DataError lists those there are where it is missing."""
    found = _known(table, PATHS)
    if found is None:
        there = ", ".join(shown(column) for column in table.columns)
        raise DataError(
            f"{shown(table.path)} has no column for the picture's path: name one "
            f"{' or '.join(PATHS)} (it has {there})"
        )
    return found


def split_of(row: Row, columns: Chosen, where: str) -> str | None:
    """Return the split that a row names, None where its cell is empty; DataError if it is none."""
    if columns.split is not None:
        word = records.text(row.get(columns.split))
        name = split_name(word.strip()) if word else None
        if word and name is None:
            raise DataError(f"{where}: {word!r} is no split: write {', '.join(NAMES)}")
        return name
    named = {split for flag, split in columns.flags.items() if _is_true(row.get(flag))}
    if len(named) > 1:
        raise DataError(f"{where} is both validation and test ({' and '.join(columns.flags)})")
    return next(iter(named), "train")


def not_used(columns: Sequence[str]) -> str:
    """Say which columns are not used; nothing where all are."""
    listed = ", ".join(shown(one.strip()) for one in columns[:_SHOWN])
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return f"not used: {listed}{more}" if columns else ""


def no_column(table: Table, known: Sequence[str], what: str, flag: str) -> DataError:
    """Return the error for a column that is missing."""
    there = ", ".join(shown(column) for column in table.columns)
    headless = any(is_picture(PurePath(column)) for column in table.columns)
    note = ": its first line must be a header" if headless else ""
    return DataError(
        f"{shown(table.path)} has no column for {what}: name one {' or '.join(known)}, or say "
        f"which it is with {flag} (it has {there}{note})"
    )


def _column(table: Table, wanted: str | None, known: Sequence[str], what: str, flag: str) -> str:
    if wanted is not None:
        by_name = {records.name(column): column for column in table.columns}
        if wanted in table.columns:
            return wanted
        found = by_name.get(records.name(wanted))
        return found or choose(f"column of {shown(table.path)}", wanted, table.columns)
    found = _known(table, known)
    if found is None:
        raise no_column(table, known, what, flag)
    return found


def _known(table: Table, known: Sequence[str]) -> str | None:
    by_name = {records.name(column): column for column in table.columns}
    return next((by_name[name] for name in known if name in by_name), None)


def _texts(table: Table, column: str) -> Iterator[str]:
    """Yield what stands in a column, without the empty cells."""
    cells = (records.text(row.get(column)) for _, row in table.rows)
    return (cell.strip() for cell in cells if cell)


def _split(table: Table, others: Sequence[str]) -> tuple[str | None, list[str]]:
    """Find the column that says the split: one of that name, else the one that names splits."""
    by_name = {records.name(column): column for column in others}
    if SPLIT in by_name:
        return by_name[SPLIT], []
    found = [one for one in others if _names_splits(table, one)]
    if len(found) < 2:
        return next(iter(found), None), []
    listed = ", ".join(map(shown, found))
    return None, [
        f"columns {listed} of {shown(table.path)} all name splits: none is used, call "
        f"the one to use {SPLIT}"
    ]


def _names_splits(table: Table, column: str) -> bool:
    named = set()
    for cell in _texts(table, column):
        if (name := split_name(cell)) is None:
            return False
        named.add(name)
    # One split alone may be a word for something else, where the column's name does not say it.
    return len(named) > (0 if records.name(column) in _SETS else 1)


def _flags(table: Table, others: Sequence[str]) -> dict[str, str]:
    return {
        column: _FLAGS[records.name(column)]
        for column in others
        if records.name(column) in _FLAGS and _is_flag(table, column)
    }


def _is_flag(table: Table, column: str) -> bool:
    """Tell a column of true and false; true in every row it says nothing about splits."""
    cells = {(records.text(row.get(column)) or "").strip().lower() for _, row in table.rows}
    return cells <= {*_TRUE, *_FALSE} and not cells <= {*_TRUE}


def _is_true(cell: object) -> bool:
    return (records.text(cell) or "").strip().lower() in _TRUE


def _suspicious(table: Table, unused: Sequence[str]) -> list[str]:
    """Warn of columns that look like splits and are not used."""
    said = []
    for column in unused:
        name = records.name(column)
        where = f"column {shown(column.strip())} of {shown(table.path)} is not used"
        if name in _FOLDS:
            said.append(
                f"{where}: to hold a fold out, add a column {SPLIT} that is validation (or test) "
                "in its rows and train in the others"
            )
        elif name in (*_SETS, *_FLAGS, *_SUSPECTS):
            said.append(
                f"{where}: if it says the splits, add a column {SPLIT} of {', '.join(NAMES)}"
            )
    return said
