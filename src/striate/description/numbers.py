"""Counts and bytes as people read them."""

import math

UNITS = ("", " k", " M", " G", " T")


def short(number: float, digits: int = 3) -> str:
    """Write a count with a few digits; nothing for none.

    >>> short(0), short(999), short(1792), short(15470264320)
    ('', '999', '1.79 k', '15.5 G')
    """
    if not number:
        return ""
    power = min(int(math.log10(number) / 3), len(UNITS) - 1)
    scaled = float(f"{number / 1000**power:.{digits}g}")
    if scaled >= 1000 and power < len(UNITS) - 1:
        power, scaled = power + 1, scaled / 1000
    if not power:
        return f"{number:.0f}"
    return f"{scaled:.{max(0, digits - 1 - int(math.log10(scaled)))}f}{UNITS[power]}"


def size(number: int | None, digits: int = 3) -> str:
    """Write bytes; 1 MB is a million.

    >>> size(61050784), size(788), size(None)
    ('61.1 MB', '788 B', '-')
    """
    if number is None:
        return "-"
    written = short(number, digits)
    return f"{written}{'' if ' ' in written else ' '}B" if written else ""
