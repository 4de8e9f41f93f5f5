"""Filters from files: a matrix as text or .csv, nested lists as .json, an array as .npy."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError

SUFFIXES = (".txt", ".csv", ".json", ".npy")


def read(path: Path) -> NDArray[np.float64]:
    """Return the numbers of a filter, (e, e) or (C, e, e); DataError if the file holds none.

    In text, a row is a line of numbers with spaces, commas or semicolons between them, and an
    empty line stands before the next channel.
    """
    try:
        values = _parse(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, RecursionError) as error:
        raise DataError(f"{path} holds no filter: {' '.join(str(error).split())}") from error
    if not np.isfinite(values).all():
        raise DataError(f"{path} holds numbers that are not finite")
    return values


def _parse(path: Path) -> NDArray[np.float64]:
    if path.suffix.lower() == ".npy":
        with path.open("rb") as handle:
            array = np.lib.format.read_array(handle, allow_pickle=False)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"an array of {array.dtype}, not of numbers")
        return array.astype(np.float64)
    text = path.read_text(encoding="utf-8")
    return _array(json.loads(text) if path.suffix.lower() == ".json" else _rows(text))


def _rows(text: str) -> Any:
    channels: list[list[list[float]]] = [[]]
    for line in text.splitlines():
        cells = line.replace(",", " ").replace(";", " ").split()
        if cells:
            channels[-1].append([float(cell) for cell in cells])
        elif channels[-1]:
            channels.append([])
    channels = [rows for rows in channels if rows]
    return channels if len(channels) > 1 else (channels or [[]])[0]


def _array(nested: Any) -> NDArray[np.float64]:
    """Return nested lists of numbers as an array; ValueError names what does not fit."""

    def shape(value: Any) -> tuple[int, ...]:
        if isinstance(value, bool) or not isinstance(value, int | float | list):
            raise ValueError(f"{value!r} is not a number")
        if not isinstance(value, list):
            return ()
        inner = {shape(one) for one in value}
        if len(inner) > 1:
            raise ValueError("its rows are of unequal length")
        return (len(value), *(inner.pop() if inner else ()))

    sides = shape(nested)
    if math.prod(sides) == 0 or len(sides) < 2:
        raise ValueError("no matrix of numbers")
    return np.array(nested, dtype=np.float64)
