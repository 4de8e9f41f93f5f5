"""Tables of paths and labels: .csv, .tsv, .jsonl and .parquet, alone or beside the pictures.

`metadata.csv` (or .jsonl, .parquet) in a folder of pictures is the "imagefolder" layout of
https://huggingface.co/docs/datasets/image_load; a split folder may have one of its own.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import tables
from striate.errors import DataError
from striate.images import is_picture
from striate.wording import counted, shown

from .folder import made, subfolders
from .kinds import recognised
from .splits import NAMES, Data, Origin, Split, class_order, split_name

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
METADATA = tuple(f"metadata{suffix}" for suffix in SUFFIXES)
PATHS = ("file_name", "path", "file", "filename", "image", "filepath")
LABELS = ("label", "class", "target", "category")


class Row(NamedTuple):
    """A line of a table."""

    path: Path
    label: str
    split: str  # one of NAMES
    where: str  # for messages: the table's file and line


def table(path: Path) -> Data:
    """Open a table; paths in it start from its folder. DataError says which line is wrong."""
    rows, columns = _rows(path, path.parent, None)
    splits = ", ".join(sorted({row.split for row in rows}, key=NAMES.index))
    note = f"columns {columns[0]} and {columns[1]}"
    layout = f"{shown(path)}: a table of {counted(len(rows), _kind(rows))} ({note}; {splits})"
    found = _data(path.parent, rows, layout, [])
    place = Origin("table", shown(path.absolute()))
    return dataclasses.replace(found, origin=place, name=shown(path.stem))


def has_metadata(root: Path) -> bool:
    """Tell whether a folder, or one of its split folders, has a table of its pictures."""
    return bool(_tables(root))


def metadata(root: Path) -> Data:
    """Open a folder by the metadata tables in it and in its split folders."""
    rows: list[Row] = []
    warnings: list[str] = []
    tables = _tables(root)
    for path, split in tables:
        more, _ = _rows(path, path.parent, split)
        rows += more
        listed = {row.path for row in more}
        loose = [one for one in path.parent.iterdir() if is_picture(one) and one not in listed]
        if loose:
            warnings.append(
                f"{counted(len(loose), 'pictures')} in {shown(path.parent)}, not in {path.name}"
            )
    names = ", ".join(shown(path.relative_to(root)) for path, _ in tables)
    layout = f"{shown(root)}: a folder with {names} ({counted(len(rows), _kind(rows))})"
    return _data(root, rows, layout, warnings)


def as_csv(rows: Iterable[tuple[Path, str, str]], home: Path) -> bytes:
    """Give a table of paths, labels and splits, to be written into the folder `home`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "split"])
    above = home.absolute()
    for path, label, split in rows:
        whole = path.absolute()
        inside = whole.is_relative_to(above)
        writer.writerow([whole.relative_to(above) if inside else whole, label, split])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _tables(root: Path) -> list[tuple[Path, str | None]]:
    """List the metadata files of a folder, and the split that each is of."""
    tops = [(root / top, split) for top in subfolders(root) if (split := split_name(top))]
    found = []
    for place, split in [(root, None), *tops]:
        path = next((place / name for name in METADATA if (place / name).is_file()), None)
        if path is not None:
            found.append((path, split))
    return found


def _rows(path: Path, home: Path, split: str | None) -> tuple[list[Row], tuple[str, str]]:
    records = list(_records(path))
    if not records:
        raise DataError(f"{shown(path)} has no rows")
    columns = {str(key).strip().lower(): str(key) for key in records[0][1]}
    picture = _column(columns, PATHS, path, "the picture's path")
    label = _column(columns, LABELS, path, "the label")
    rows: dict[Path, Row] = {}
    for line, record in records:
        where = f"{shown(path)}, line {line}"
        row = Row(
            home / _text(record.get(picture), picture, where),
            _text(record.get(label), label, where),
            split or _split(record.get(columns.get("split", "split")), where),
            where,
        )
        before = rows.setdefault(row.path, row)
        if (before.label, before.split) != (row.label, row.split):
            raise DataError(
                f"{where}: {shown(row.path)} is {row.label} in {row.split} here, and "
                f"{before.label} in {before.split} in {before.where.rpartition(', ')[2]}"
            )
    return list(rows.values()), (picture, label)


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give each row with its number; the first row of a .csv is its header, line 1."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from enumerate(tables.read_parquet(path).to_pylist(), 1)
        elif suffix in (".jsonl", ".ndjson"):
            yield from _json_lines(path)
        else:
            yield from _separated(path, "\t" if suffix == ".tsv" else ",")
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8: {error}") from error
    except (ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{shown(path)} is damaged: {' '.join(str(error).split())}") from error


def _separated(path: Path, separator: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter=separator)
        header = next(reader, [])
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise DataError(
                    f"{shown(path)}, line {reader.line_num}: {len(cells)} cells, the header has "
                    f"{len(header)}"
                )
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{shown(path)}, line {number} is no JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(f"{shown(path)}, line {number} is no object with names and values")
            yield number, record


def _column(columns: Mapping[str, str], known: Sequence[str], path: Path, what: str) -> str:
    found = next((columns[name] for name in known if name in columns), None)
    if found is None:
        raise DataError(
            f"{shown(path)} has no column for {what}: name one {' or '.join(known)} "
            f"(it has {', '.join(columns.values())})"
        )
    return found


def _text(value: Any, column: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise DataError(f"{where}: {column} is {value!r}, not a text or a whole number")
    return str(value)


def _split(value: Any, where: str) -> str:
    if value is None or value == "":
        return "train"
    name = split_name(str(value))
    if name is None:
        raise DataError(f"{where}: {value!r} is no split: write {', '.join(NAMES)}")
    return name


def _data(root: Path, rows: Sequence[Row], layout: str, warnings: list[str]) -> Data:
    labels = {row.label for row in rows}
    classes = class_order(labels)
    if len(classes) < 2:
        raise DataError(f"{layout}: one class only, {shown(classes[0])}: nothing to tell apart")
    places = {label: place for place, label in enumerate(classes)}
    splits, kind = {}, _kind(rows)
    for name in NAMES:
        of = [row for row in rows if row.split == name]
        if of:
            numbers = np.array([places[row.label] for row in of], dtype=np.int64)
            names = [_name(row, root) for row in of]
            splits[name] = Split([row.path for row in of], numbers, names, kind)
    if "train" in splits:
        unknown = set(labels) - {row.label for row in rows if row.split == "train"}
        if unknown:
            raise DataError(f"class {shown(min(unknown))!r} has no {kind} to train on: {layout}")
    return made(root, classes, splits, layout, warnings)


def _kind(rows: Sequence[Row]) -> str:
    return recognised(row.path for row in rows)


def _name(row: Row, root: Path) -> str:
    inside = row.path.is_relative_to(root)
    return shown(row.path.relative_to(root).as_posix() if inside else row.path)
