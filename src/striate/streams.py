"""Standard output and error that are full, closed or narrow: only results raise errors then."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from striate.errors import DataError


class UnreadError(Exception):
    """Whoever reads stdout has seen enough. No OSError: rich would end the process for those."""


def reserve() -> None:
    """Put something in the place of stdin, stdout or stderr where the process has none.

    The next file that it opens would get their numbers, and with them what is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Nothing can be written to the one in stdout's place: results that are lost are an
            # error. Progress may vanish.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Let what is printed here fail as it should.

    A stdout that takes no more is a DataError, but for a closed pipe, which is an UnreadError.
    A stderr that takes no more is passed over. Letters that stdout's encoding lacks are replaced.
    """
    before = sys.stdout, sys.stderr
    results, progress = _Results(before[0]), _Progress(before[1])
    sys.stdout, sys.stderr = cast(TextIO, results), cast(TextIO, progress)
    try:
        with _replacing(before[0]):
            yield
    finally:
        progress.flush()
        sys.stdout, sys.stderr = before


class _Guarded:
    """A stream, and what is not its writing as it was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _discard(self) -> None:
        """Send what is still held nowhere: the interpreter's last flush must not fail."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class _Results(_Guarded):
    def write(self, text: str) -> int:
        with self._said():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._said():
            self._stream.flush()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            self._discard()
            raise UnreadError from error
        except (OSError, ValueError) as error:  # ValueError: closed from within
            if isinstance(error, UnicodeError):
                raise
            self._discard()
            is_closed = isinstance(error, OSError) and error.errno == errno.EBADF
            reason = "it is closed" if is_closed else getattr(error, "strerror", None) or error
            raise DataError(f"cannot write to stdout: {reason}") from error


class _Progress(_Guarded):
    def write(self, text: str) -> int:
        # RuntimeError: a signal's answer, in the middle of another write.
        try:
            return self._stream.write(text)
        except RuntimeError:
            return 0
        except (OSError, ValueError):
            self._discard()
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except RuntimeError:
            return
        except (OSError, ValueError):
            self._discard()


@contextlib.contextmanager
def _replacing(stream: TextIO) -> Iterator[None]:
    """Write `?` for a letter that the stream's encoding lacks."""
    if not isinstance(stream, io.TextIOWrapper) or stream.errors != "strict":
        yield
        return
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors="strict")
