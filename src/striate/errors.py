"""What a user can mend: a wrong request (exit 2), data that cannot be used (exit 1), a stop."""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """The request is wrong: an unknown name, a value out of range, a folder in the way."""


class DataError(Exception):
    """The request is right but what it reads or writes is not: files, disks, numbers."""


class Stopped(KeyboardInterrupt):  # noqa: N818 - a stop is asked for, it is no error
    """A signal ended the work after its state was saved; `signal` is its number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def choose(kind: str, given: str, allowed: Iterable[str]) -> str:
    """Return `given` if it is allowed; else say which names are near, or which there are.

    >>> choose("filter", "box", ["box", "bilinear"])
    'box'
    """
    names = list(allowed)
    if given in names:
        return given
    near = difflib.get_close_matches(given, names, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"unknown {kind} {given!r}: {hint}choose one of {', '.join(names)}")
