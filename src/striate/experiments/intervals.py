"""Means over seeds and differences between settings, with 95 % intervals."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from striate.wording import counted

from .claim import Row, Rows, Shown

Z = 1.959963984540054  # of the normal distribution, for 95 %


class Interval(NamedTuple):
    """A mean with its 95 % interval: Student's t over seeds; of one seed, of its test examples."""

    mean: float
    low: float
    high: float
    seeds: int

    def text(self, scale: float = 100, unit: str = "points", digits: int = 1) -> str:
        """Write mean and interval.

        >>> Interval(0.021, 0.01, 0.032, 3).text()
        '+2.1 points (95 % interval +1.0 to +3.2, 3 seeds)'
        """
        mean, low, high = (f"{scale * x:+.{digits}f}" for x in self[:3])
        if not math.isfinite(self.low):
            return f"{mean} {unit} (of one seed: how sure that is, is not known)"
        several = counted(self.seeds, "seeds")
        return f"{mean} {unit} (95 % interval {low} to {high}, {several})"

    def level(self, scale: float = 100, unit: str = "%", digits: int = 1) -> str:
        """Write a level, which has no sign.

        >>> Interval(0.984, 0.98, 0.988, 3).level()
        '98.4 % (98.0 to 98.8)'
        """
        mean, low, high = (f"{scale * x:.{digits}f}" for x in self[:3])
        return f"{mean} {unit} ({low} to {high})"


def above(found: Interval, value: float = 0.0) -> Shown:
    """Return whether a mean is above a value, where the interval says; None where it holds both.

    >>> above(Interval(2, 1, 3, 3)), above(Interval(-2, -3, -1, 3)), above(Interval(1, -1, 3, 3))
    (True, False, None)
    """
    return True if found.low > value else False if found.high <= value else None


def below(found: Interval, value: float = 0.0) -> Shown:
    """Return whether a mean is below a value, where the interval says; None where it holds both."""
    return True if found.high < value else False if found.low >= value else None


def select(rows: Iterable[Row], **where: Any) -> list[Row]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in where.items())]


def over(values: Iterable[float]) -> Interval:
    """Return the mean of values, one a seed; of one value the interval is not known: infinite.

    >>> over([1.0]).low
    -inf
    """
    from scipy.stats import t

    found = np.array(list(values), dtype=float)
    mean, count = float(found.mean()), len(found)
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    reach = float(t.ppf(0.975, count - 1) * found.std(ddof=1) / math.sqrt(count))
    return Interval(mean, mean - reach, mean + reach, count)


def level(rows: Rows, key: str) -> Interval:
    """Return the mean of a share over seeds, within 0 and 1; of one seed, of its `n` examples."""
    found = over(float(row[key]) for row in rows)
    if len(rows) == 1 and "n" in rows[0]:
        reach = _reach(rows[0], key)
        found = found._replace(low=found.mean - reach, high=found.mean + reach)
    return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))


def gap(rows: Rows, key: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Interval:
    """Return a share in the second setting less that in the first, paired by seed."""
    by_seed = [
        {row["seed"]: row for row in select(rows, **where)} for where in (dict(first), dict(second))
    ]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    pairs = [(by_seed[0][seed], by_seed[1][seed]) for seed in seeds]
    found = over(float(b[key]) - float(a[key]) for a, b in pairs)
    if len(pairs) > 1 or "n" not in pairs[0][0]:
        return found
    reach = math.hypot(*(_reach(row, key) for row in pairs[0]))
    return found._replace(low=found.mean - reach, high=found.mean + reach)


def _reach(row: Row, key: str) -> float:
    """Return half the 95 % interval of a share of n examples; 0 and 1 count as half an example."""
    n = int(row["n"])
    share = min(max(float(row[key]), 0.5 / n), 1 - 0.5 / n)
    return Z * math.sqrt(share * (1 - share) / n)
