"""Rows to lines with bands and bars with intervals, as experiments draw them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from striate.figures import Bar, ChartLine

from .claim import Row, Rows
from .intervals import Interval, level, over, select


def line(rows: Rows, x: str, y: str, *, scale: float = 1) -> ChartLine:
    """Draw the mean over seeds of one number against another, with the 95 % band where known."""
    known = [row for row in rows if row.get(y) is not None]
    where = sorted({row[x] for row in known})
    found = [over(row[y] for row in select(known, **{x: place})) for place in where]
    return _line(where, found, scale)


def curve(rows: Rows, key: str = "curve", *, scale: float = 1, column: int = 1) -> ChartLine:
    """Draw the mean over seeds of curves, each a list of points [x, y, ...], where all have x."""
    points: dict[float, list[float]] = {}
    for row in rows:
        for point in row[key]:
            if point[column] is not None:
                points.setdefault(point[0], []).append(point[column])
    shared = sorted(x for x, values in points.items() if len(values) == len(rows))
    return _line(shared, [over(points[x]) for x in shared], scale)


def _line(x: Sequence[Any], found: Sequence[Interval], scale: float) -> ChartLine:
    """Draw intervals; shares, which are in per cent, stay within 0 and 100."""
    if scale == 100:
        found = [f._replace(low=max(0.0, f.low), high=min(1.0, f.high)) for f in found]
    return ChartLine(x, [scale * f.mean for f in found], *_band(found, scale))


def _band(found: Sequence[Interval], scale: float) -> tuple[list[float], list[float]]:
    """Return the ends of the intervals; none of fewer than three seeds, which fill the panel."""
    if any(f.seeds < 3 for f in found):
        return [], []
    return [scale * f.low for f in found], [scale * f.high for f in found]


def bars(groups: Mapping[str, Iterable[Row]], key: str) -> dict[str, Bar]:
    """Draw the mean over seeds of a share in per cent, by group; empty groups are left out."""
    there = {name: found for name, rows in groups.items() if (found := list(rows))}
    return {name: bar(level(found, key)) for name, found in there.items()}


def bar(found: Interval) -> Bar:
    """Draw an interval of shares in per cent."""
    return Bar(*(100 * x for x in found[:3]))


def grouped(rows: Rows, names: Mapping[Any, str], key: str) -> dict[str, list[Row]]:
    """Group rows by the values of a key, in the order of their names."""
    return {name: select(rows, **{key: value}) for value, name in names.items()}
