"""Rows of tables as they are written: .csv, .tsv, .jsonl and .parquet."""

import codecs
import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from striate import tables
from striate.errors import DataError
from striate.wording import counted, shown

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_SEPARATORS = (",", ";", "\t", "|")
# A first line by which Excel is told the separator.
_TOLD = re.compile(r'"?sep=([,;\t|])"?\s*')
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what Excel's "Unicode text" begins with

Knows = Callable[[str], bool]
Row = Mapping[str, Any]


class Table(NamedTuple):
    """A table's columns as its header has them, and its rows."""

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, Row]]  # the line, from 1, and the cells by their columns


def read(path: Path, knows: Knows) -> Table:
    """Read a table. Of the separators of a .csv the one is taken whose header `knows` most of.

    DataError says which line is wrong.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            table = tables.read_parquet(path)
            return Table(path, tuple(table.column_names), list(enumerate(table.to_pylist(), 1)))
        if suffix in (".jsonl", ".ndjson"):
            rows = list(_json_lines(path))
            return Table(path, tuple(dict.fromkeys(key for _, row in rows for key in row)), rows)
        return _separated(path, "\t" if suffix == ".tsv" else ",", knows)
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8: {error}: save it as UTF-8") from error
    except (ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{shown(path)} is damaged: {' '.join(str(error).split())}") from error


def name(column: str) -> str:
    """Return a column's name as it is compared: without blanks around it and capitals."""
    return column.strip().lower()


def text(cell: Any) -> str | None:
    """Return a cell as a .csv has it; None where it is empty, or no single text or number.

    >>> text(True), text("0.0"), text(7), text(float("nan")), text([1])
    ('true', '0.0', '7', None, None)
    """
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, (str, int, float)) and (written := str(cell)).strip():
        return written
    return None


def brief(cell: Any) -> str:
    """Return a cell for a message: pictures may stand in tables as bytes."""
    written = " ".join(repr(cell)[:80].split())
    return written if len(written) <= 40 else f"{type(cell).__name__} {written[:30]}..."


def _separated(path: Path, usual: str, knows: Knows) -> Table:
    with _opened(path) as handle:
        told = _TOLD.fullmatch(handle.readline())
        start = handle.tell() if told else 0

        def reader(separator: str, *, blanks: bool = False) -> Any:
            handle.seek(start)
            return csv.reader(handle, delimiter=separator, skipinitialspace=blanks)

        def fits(separator: str) -> tuple[int, int]:
            header: list[str] = next(reader(separator), [])
            return sum(map(knows, header)), len(header)

        choices = [told[1]] if told else [usual, *_SEPARATORS]
        separator = max(choices, key=fits)  # of equals the first
        header: list[str] = next(reader(separator), [])
        # Blanks after the separators belong to them where the header has them as well.
        blanks = len(header) > 1 and all(cell.startswith(" ") for cell in header[1:])
        lines = reader(separator, blanks=blanks)
        header = next(lines, [])
        twice = sorted({cell for cell in header if header.count(cell) > 1 and knows(cell)})
        if twice:
            raise DataError(f"{shown(path)} has two columns named {twice[0]}")
        return Table(path, tuple(header), list(_cells(path, lines, header, int(bool(told)))))


def _cells(path: Path, lines: Any, header: list[str], before: int) -> Iterator[tuple[int, Row]]:
    for cells in lines:
        if not any(map(str.strip, cells)):
            continue
        line, count = lines.line_num + before, len(header)
        if len(cells) < count or any(map(str.strip, cells[count:])):
            what = counted(len(cells), "cells")
            raise DataError(f"{shown(path)}, line {line}: {what}, the header has {count}")
        yield line, dict(zip(header, cells, strict=False))


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as handle:
        wide = handle.read(2) in _UTF16
    return path.open(encoding="utf-16" if wide else "utf-8-sig", newline="")


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with _opened(path) as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                # Numbers with a point as they are written, as in a .csv; NaN stands for no value.
                record = json.loads(line, parse_float=str, parse_constant=lambda _: None)
            except ValueError as error:
                raise DataError(f"{shown(path)}, line {number} is no JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(f"{shown(path)}, line {number} is no object with names and values")
            yield number, record
