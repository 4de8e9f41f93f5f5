"""The choices of an activity as fields of a dataclass: their help, their ranges, their flags."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from striate.errors import UsageError


def choice(default: Any, text: str, *, shown: str = "", word: str = "") -> Any:
    """Return a field with its help text; `shown` says what the default follows from.

    Its flag also takes the `word`, which stands for a value that is found out.
    """
    return field(default=default, metadata={"help": text, "shown": shown, "word": word})


def flag(name: str) -> str:
    """Write a field's name as its flag on the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def check_ranges(choices: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise UsageError for a field that lies outside of its range; None lies in each."""
    for name, (low, high) in ranges.items():
        value = getattr(choices, name)
        if value is not None and not low <= value <= high:  # NaN is in no range
            raise UsageError(f"{flag(name)} lies in {low:g} to {high:g}, not {value:g}")
