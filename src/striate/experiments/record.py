"""The folder of an experiment: what it is of, its rows as they are measured, figure and page."""

import json
from pathlib import Path
from typing import Any

from striate import files
from striate.errors import DataError, UsageError
from striate.wording import shown

from .claim import Cell, Row

DOCUMENT, ROWS, LOCK = "experiment.json", "rows.jsonl", ".lock"
FIGURE, DRAWING, PAGE, BROWSED = "figure.png", "figure.svg", "page.md", "page.html"


def begin(folder: Path, document: dict[str, Any]) -> list[Row]:
    """Open a folder, new or begun, and return its rows; UsageError where it is of something else.

    `document` says of which experiment, form and settings the rows are.
    """
    path = folder / DOCUMENT
    if path.exists():
        _require_same(folder, _read(path), document)
        return read_rows(folder / ROWS)
    if folder.exists() and any(p.name != LOCK for p in folder.iterdir()):
        raise UsageError(f"{shown(folder)} is there and holds no experiment: name another -o")
    files.make_folder(folder)
    files.write(path, files.json_bytes(document))
    return []


def read_rows(path: Path) -> list[Row]:
    """Read rows; DataError names the line that is none."""
    if not path.exists():
        return []
    found: list[Row] = []
    for number, line in enumerate(files.read(path).decode("utf-8", "replace").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("seed"), int):
            raise DataError(f"line {number} of {shown(path)} is no row: remove it to measure anew")
        found.append(row)
    return found


def write_rows(folder: Path, rows: list[Row]) -> None:
    """Write all rows, durably."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    files.write(folder / ROWS, "".join(f"{line}\n" for line in lines).encode())


def of_cell(rows: list[Row], cell: Cell) -> list[Row]:
    """Return the rows that were measured of a cell."""
    return [row for row in rows if all(row.get(key) == value for key, value in cell.items())]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(files.read(path))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{shown(path)} is damaged: remove it, or name another -o")
    return found


def _require_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key in ("experiment", "form", "settings"):
        if found.get(key) != wanted[key]:
            was = found.get(key) if key != "settings" else "other sizes"
            raise UsageError(
                f"{shown(folder)} holds rows of {was}, not of {wanted['experiment']} "
                f"({wanted['form']} form): name another -o"
            )
