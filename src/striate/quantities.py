"""Times and amounts of memory as people write them: 90s, 5m, 900M, 4G."""

import math
from collections.abc import Mapping

from .errors import UsageError


def seconds(text: str) -> float:
    """Read a time.

    >>> seconds("90"), seconds("1.5m"), seconds("2h")
    (90.0, 90.0, 7200.0)
    """
    value = _quantity(text, {"s": 1, "m": 60, "h": 3600})
    if not value > 0:
        raise UsageError(f"{text!r} is not a time like 60s, 5m or 1h")
    return value


def size_in_bytes(text: str) -> int:
    """Read an amount of memory; K, M and G are powers of 1024, as a process's limits are.

    >>> size_in_bytes("4G") == size_in_bytes("4 gb") == 4 * 1024**3, size_in_bytes("0")
    (True, 0)
    """
    value = _quantity(
        text.upper().removesuffix("B"), {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    )
    if not value >= 0:
        raise UsageError(f"{text!r} is not an amount of memory like 900M or 4G")
    return int(value)


def _quantity(text: str, units: Mapping[str, float]) -> float:
    """Read a finite number with its unit, if it has one; NaN for anything else."""
    known = text[-1:] in units if text else False
    try:
        value = float(text[:-1] if known else text)
    except ValueError:
        return math.nan
    return value * (units[text[-1]] if known else 1) if math.isfinite(value) else math.nan
