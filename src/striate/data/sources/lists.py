"""Tables of paths and labels, alone or beside the pictures, and pairs of them from Python.

`metadata.csv` (or .jsonl, .parquet) in a folder of pictures is the "imagefolder" layout of
https://huggingface.co/docs/datasets/image_load; a split folder may have one of its own.
"""

import csv
import dataclasses
import io
import operator
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from striate.data.classes import canonical, class_order
from striate.data.filekinds import is_of, recognised
from striate.data.splits import NAMES, Data, Origin, Split, split_name
from striate.errors import DataError
from striate.wording import counted, original, shown

from . import columns, records
from .columns import LABELS, USUAL, Chosen, Columns
from .folder import ending, leftovers, list_examples, made, subfolders
from .layouts import folder
from .records import SUFFIXES, Table

METADATA = tuple(f"metadata{suffix}" for suffix in SUFFIXES)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LONGEST = 100  # letters of a cell in a message
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Entry(NamedTuple):
    """A picture's file, its label and its split."""

    path: Path
    label: str
    split: str  # one of NAMES
    text: str  # the path as it is written
    home: Path  # from which it starts
    where: str  # for messages: the table's file and line


class Listed(NamedTuple):
    """What a table lists."""

    entries: list[Entry]
    columns: Chosen
    warnings: list[str]


def table(path: Path, wanted: Columns = USUAL) -> Data:
    """Open a table; paths in it start from its folder. DataError says which line is wrong."""
    listed = _listed(columns.read(path, wanted), wanted)
    found, kind = listed.columns, _kind(listed.entries)
    beside = _not_listed(listed.entries, _beside(listed.entries, kind))
    layout = _spoken(
        f"{shown(path)}: a table of {counted(len(listed.entries), kind)} (columns "
        f"{shown(found.path)} and {shown(found.label)}; {_sizes(listed.entries)}",
        columns.not_used(found.unused),
        f"{counted(len(beside), kind)} beside them in no row" if beside else "",
    )
    opened = _data(path.parent, listed.entries, layout, listed.warnings)
    place = Origin("table", shown(path.absolute()), arguments=wanted.given())
    return dataclasses.replace(opened, origin=place, name=shown(path.stem))


def named(path: Path) -> list[tuple[str, Path]]:
    """List what a table names, as it is written and where it is; labels are not looked at."""
    table = columns.read(path, USUAL)
    column = columns.path(table)
    cells = (
        _text(row.get(column), column, f"{shown(path)}, line {line}") for line, row in table.rows
    )
    return [(text, place(path.parent, text)) for text in cells]


def has_metadata(root: Path) -> bool:
    """Tell whether a folder, or one of its split folders, has a table of its pictures."""
    return bool(_tables(root))


def metadata(root: Path, wanted: Columns = USUAL) -> Data:
    """Open a folder by the metadata tables in it and in its split folders.

    Tables without labels, of captions say, leave it to the class folders.
    """
    tables = [(columns.read(path, wanted), split) for path, split in _tables(root)]
    names = ", ".join(shown(table.path.relative_to(root)) for table, _ in tables)
    if not any(columns.has_label(table, wanted) for table, _ in tables):
        return _by_folders(root, tables[0][0], names)
    listed = [_listed(table, wanted, split) for table, split in tables]
    entries = [entry for one in listed for entry in one.entries]
    warnings = [warning for one in listed for warning in one.warnings]
    kind = _kind(entries)
    loose = _not_listed(entries, list_examples(root, kind))
    if loose:
        warnings.append(
            f"{counted(len(loose), kind)} in {shown(root)}, not in {names}: "
            f"{shown(loose[0])} for one"
        )
    unused = dict.fromkeys(column for one in listed for column in one.columns.unused)
    layout = _spoken(
        f"{shown(root)}: a folder with {names} ({_sizes(entries)} {kind}",
        columns.not_used(tuple(unused)),
    )
    rest = leftovers(root, kind)
    rest.endings.subtract(ending(table.path.name) for table, _ in tables)
    left_out = +rest.endings
    opened = _data(root, entries, layout, warnings + rest._replace(endings=left_out).lines(kind))
    origin = opened.origin._replace(arguments=wanted.given())
    return dataclasses.replace(opened, origin=origin, left_out=dict(left_out))


def is_pairs(given: Any) -> bool:
    """Tell a list whose first item is a file's path and a label."""
    first = given[0] if isinstance(given, (list, tuple)) and given else None
    return (
        isinstance(first, (list, tuple)) and len(first) == 2 and isinstance(first[0], (str, Path))
    )


def pairs(parts: Mapping[str, Sequence[Any]], name: str, origin: Origin) -> Data:
    """Open pairs (path, label) of each split; paths start from the folder that one works in."""
    entries: dict[Path, Entry] = {}
    for part, given in parts.items():
        for row, pair in enumerate(given):
            where = f"{part}, pair {row}"
            if not is_pairs([pair]):
                raise DataError(f"{where} is {records.brief(pair)}, not a path and a label")
            path = Path(pair[0]).expanduser()
            label = _python_label(pair[1], where)
            _add(entries, Entry(path, label, part, str(path), Path(), where))
    listed = list(entries.values())
    kind = _kind(listed)
    layout = (
        f"{name}: {counted(len(listed), 'pairs')} of a path and a label ({_sizes(listed)} {kind})"
    )
    opened = _data(Path(), listed, layout, [])
    return dataclasses.replace(opened, origin=origin, name=name)


def as_csv(rows: Iterable[tuple[Path, str, str]], home: Path) -> bytes:
    """Return a table of paths, labels and splits, to be written into the folder `home`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "split"])
    above = home.absolute()
    for path, label, split in rows:
        whole = path.absolute()
        inside = whole.is_relative_to(above)
        name = shown(whole.relative_to(above) if inside else whole)
        writer.writerow([name, label, split])
    return text.getvalue().encode()


def _tables(root: Path) -> list[tuple[Path, str | None]]:
    """List the metadata files of a folder, and the split that each is of."""
    tops = [(root / top, split) for top in subfolders(root) if (split := split_name(top))]
    found = []
    for place, split in [(root, None), *tops]:
        path = next((place / name for name in METADATA if (place / name).is_file()), None)
        if path is not None:
            found.append((path, split))
    return found


def _by_folders(root: Path, first: Table, names: str) -> Data:
    error = columns.no_column(first, LABELS, "the label", "--label-column")
    try:
        found = folder(root)
    except DataError:  # what is missing is the label, not a folder
        raise error from None
    note = f"{names} has no column for the label: the class folders say it"
    return dataclasses.replace(found, warnings=(*found.warnings, note))


def _listed(table: Table, wanted: Columns, split: str | None = None) -> Listed:
    found = columns.chosen(table, wanted)
    home = table.path.parent
    entries: dict[Path, Entry] = {}
    urls, no_split = [], 0
    for line, row in table.rows:
        where = f"{shown(table.path)}, line {line}"
        text = _text(row.get(found.path), found.path, where)
        label = canonical(_text(row.get(found.label), found.label, where))
        part = split or columns.split_of(row, found, where)
        no_split += part is None
        if _URL.match(text) and not text.lower().startswith("file://"):
            urls.append(f"line {line}: {_as_written(text)}")
            continue
        _add(entries, Entry(place(home, text), label, part or "train", text, home, where))
    listed = list(entries.values())
    warnings = [*found.warnings, *_of_urls(urls, table, len(listed))]
    if no_split:
        warnings.append(
            f"{counted(no_split, 'rows')} of {shown(table.path)} without a split: to train on"
        )
    return Listed(listed, found, warnings)


def _add(entries: dict[Path, Entry], entry: Entry) -> None:
    before = entries.setdefault(entry.path, entry)
    if (before.label, before.split) != (entry.label, entry.split):
        raise DataError(
            f"{entry.where}: {shown(entry.path)} is {entry.label} in {entry.split} here, and "
            f"{before.label} in {before.split} in {before.where.rpartition(', ')[2]}"
        )


def _text(cell: Any, column: str, where: str) -> str:
    text = records.text(cell)
    if text is None:
        raise DataError(f"{where}: {column} is {records.brief(cell)}, not a text or a number")
    return text


def _python_label(label: Any, where: str) -> str:
    """Return a label from Python as a class's name; a float is none."""
    if isinstance(label, str) and label.strip():
        return canonical(label)
    try:
        return str(operator.index(label))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the label is a text or a whole number, not {records.brief(label)}"
        ) from error


def place(home: Path, text: str) -> Path:
    r"""Return the file that a cell names.

    Where there is none, a name that `shown` wrote is read back, and backslashes are folders.
    """
    if text.lower().startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    at = home / text
    if "\\" in text and not _is_file(at):
        if _is_file(home / original(text)):
            return home / original(text)
        return home / text.replace("\\", "/")
    return at


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a folder that may not be read, a zero byte
        return False


def _of_urls(urls: Sequence[str], table: Table, others: int) -> list[str]:
    if not urls:
        return []
    rows = counted(len(urls), "rows")
    what = f"{shown(table.path)} has URLs in {rows} ({urls[0]}): URLs are not fetched"
    if not others:
        raise DataError(f"{what}, download the pictures and write their paths")
    return [f"{what}, they are left out"]


def _missing(entries: Sequence[Entry]) -> list[str]:
    """Count the files that are not there; DataError where that is each of them."""
    gone = [entry for entry in entries if not _is_file(entry.path)]
    if not gone:
        return []
    first = f"{gone[0].where}: {_as_written(gone[0].text)}"
    if len(gone) < len(entries):
        return [f"{len(gone)} of {counted(len(entries), 'listed files')} not there ({first})"]
    raise DataError(
        f"none of {counted(len(entries), 'listed files')} is there ({first}): "
        f"{_advice(gone[0].text, gone[0].home)}"
    )


def _as_written(text: str) -> str:
    """Write a cell for a message: short, in one line, its backslashes as they are."""
    line = shown(text).replace("\\x5c", "\\")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _advice(text: str, home: Path) -> str:
    """Say why a file may not be where a table looks for it."""
    start = f"paths start from {shown(home.absolute())}"
    plain = text.replace("\\", "/")
    if _DRIVE.match(text) or plain.startswith("/"):
        return (
            "it is a whole path, of another computer perhaps: write paths from the table's folder"
        )
    if _is_file(Path(plain)):
        return f"{start}, and it is there from {Path.cwd()}: move the table"
    within = next((top for top in subfolders(home) if _is_file(home / top / plain)), None)
    if within is not None:
        return f"{start}, and it is in {shown(within)} there: write {shown(within)}/ before it"
    if not Path(plain).suffix:
        return f"{start}, and names need their ending, such as .jpg"
    return start


def _beside(entries: Sequence[Entry], kind: str) -> Iterable[Path]:
    """Yield the files of a kind in the folders in which listed ones are."""
    for place in sorted({entry.path.parent for entry in entries}):
        if place.is_dir():
            yield from (one for one in sorted(place.iterdir()) if is_of(kind, one))


def _not_listed(entries: Sequence[Entry], there: Iterable[Path]) -> list[Path]:
    listed = {os.path.normpath(entry.path) for entry in entries}
    return [path for path in there if os.path.normpath(path) not in listed]


def _spoken(begun: str, *more: str) -> str:
    return "; ".join([begun, *filter(None, more)]) + ")"


def _sizes(entries: Sequence[Entry]) -> str:
    counts = {name: sum(entry.split == name for entry in entries) for name in NAMES}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def _data(root: Path, entries: Sequence[Entry], layout: str, warnings: list[str]) -> Data:
    classes = class_order(entry.label for entry in entries)
    places = {label: place for place, label in enumerate(classes)}
    splits, kind = {}, _kind(entries)
    for name in NAMES:
        of = [entry for entry in entries if entry.split == name]
        if of:
            numbers = np.array([places[entry.label] for entry in of], dtype=np.int64)
            names = [_name(entry, root) for entry in of]
            splits[name] = Split([entry.path for entry in of], numbers, names, kind)
    if "train" in splits:
        unknown = set(classes) - {entry.label for entry in entries if entry.split == "train"}
        if unknown:
            raise DataError(f"class {shown(min(unknown))!r} has no {kind} to train on: {layout}")
    return made(root, classes, splits, layout, [*warnings, *_missing(entries)])


def _kind(entries: Sequence[Entry]) -> str:
    return recognised(entry.path for entry in entries)


def _name(entry: Entry, root: Path) -> str:
    inside = entry.path.is_relative_to(root)
    return shown(entry.path.relative_to(root).as_posix() if inside else entry.path)
