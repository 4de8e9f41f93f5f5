"""What a user can mend: a wrong request (exit 2), data that cannot be used (exit 1), a stop."""

import difflib
from collections.abc import Iterable

# Names in one message; a library has more than a thousand networks.
SHOWN = 40


class UsageError(Exception):
    """The request is wrong: an unknown name, a value out of range, a folder in the way."""


class DataError(Exception):
    """The request is right but what it reads or writes is not: files, disks, numbers."""


class Stopped(KeyboardInterrupt):
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
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(given).lower(), by_lower, n=3)
    hint = f"did you mean {' or '.join(by_lower[name] for name in close)}? " if close else ""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    listing = f"choose one of {', '.join(names[:SHOWN])}{more}" if names else "there is none"
    raise UsageError(f"unknown {kind} {given!r}: {hint}{listing}")
