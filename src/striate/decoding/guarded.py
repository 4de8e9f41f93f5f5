"""A guarded process: forked, allowed little memory and time, asked for a few pictures at once."""

import contextlib
import faulthandler
import mmap
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from striate.errors import DataError, UsageError

from .wire import WireError, packed, unpacked

# A picture of 50 megapixels takes the slowest format four seconds and 0.9 GB.
SECONDS = 30
BYTES = 2 << 30
_AREA = 32 << 20  # bytes that pass through shared memory at once, 30 times a pipe's speed
_MOST = 2 * BYTES  # bytes of one answer
_PATIENCE = 5  # seconds between two looks whether the parent still lives

# What a process says in its link, before the number of bytes that stand in the area.
_MORE, _END, _RAISED = b"m", b"e", b"r"
_SIGNAL = 9  # bytes: one of these, and the number

_FORKING = threading.Lock()
# Errors that are raised again in the parent as what they were; any other is a RuntimeError.
_RAISED_AGAIN: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (DataError, UsageError, ValueError, TypeError, KeyError, MemoryError, OSError)
}


class LostError(Exception):
    """A process gave no answer."""


class Process:
    """A forked process that answers questions, seen from its parent."""

    def __init__(
        self, attempt: Callable[[Any], Any], allowance: float = 1.0, seconds: float | None = None
    ) -> None:
        self._seconds = (SECONDS if seconds is None else seconds) * allowance
        self._area = mmap.mmap(-1, _AREA)
        self._owner = parent = os.getpid()
        # One at a time: a sibling that inherits the far end would keep it open after a crash.
        with _FORKING, warnings.catch_warnings():
            self._link, theirs = Pipe()
            # Python 3.12 warns of forks beside threads: this child takes none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._number = os.fork()
            if not self._number:
                # Nothing of the parent's may run here: no handler, no `finally`, no exit hook.
                try:
                    self._link.close()
                    _restrict(round(BYTES * allowance))
                    _serve(attempt, theirs, self._area, parent)
                finally:
                    os._exit(1)
            theirs.close()

    def ask(self, question: list[Any]) -> list[Any]:
        """Return the results of these items, or raise what the work raised, or LostError."""
        try:
            self._link.send(question)
            kind, content = self._answer()
            found = unpacked(content)
        except (EOFError, OSError) as error:
            raise LostError("its decoder crashed") from error
        except WireError as error:
            raise LostError(f"its decoder answered with {error}") from error
        if kind == _RAISED:
            raise _raised(found)
        if not isinstance(found, list) or len(found) != len(question):
            raise LostError("its decoder answered something else")
        return found

    def _answer(self) -> tuple[bytes, memoryview]:
        """Return what kind of answer there is, and its bytes: in the area where they fit there."""
        whole, deadline = bytearray(), time.monotonic() + self._seconds
        while True:
            kind, size = self._signal(max(0.0, deadline - time.monotonic()))
            known = kind in (_END, _RAISED) or (kind == _MORE and size == _AREA)
            if not known or size > _AREA or len(whole) + size > _MOST:
                raise LostError("its decoder answered something else")
            content = memoryview(self._area)[:size]
            if kind != _MORE and not whole:
                return kind, content
            whole += content
            if kind != _MORE:
                return kind, memoryview(whole)
            self._link.send(None)  # the area is free again

    def _signal(self, seconds: float) -> tuple[bytes, int]:
        if not self._link.poll(seconds):
            raise LostError(f"its decoder took more than {self._seconds:g} seconds")
        # So few bytes are there at once, or another has written them: nothing can block here.
        found = os.read(self._link.fileno(), _SIGNAL)
        if len(found) != _SIGNAL:
            raise EOFError
        return found[:1], int.from_bytes(found[1:], "little")

    def end(self) -> None:
        """Stop the process, whatever it does; in a fork of its parent it is not ours to stop."""
        if os.getpid() == self._owner:
            os.kill(self._number, signal.SIGKILL)
            os.waitpid(self._number, 0)
        self._link.close()
        with contextlib.suppress(BufferError):  # an answer that was refused still looks at it
            self._area.close()


def _raised(found: Any) -> Exception:
    kind, text, said = found if isinstance(found, tuple) and len(found) == 3 else ("", "", "")
    if kind not in _RAISED_AGAIN:
        return RuntimeError(str(said))
    error = _RAISED_AGAIN[kind](str(text))
    error.add_note(str(said))
    return error


def _restrict(more: int) -> None:
    import resource

    # The parent decides when to stop. A signal to the whole group must not look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Decoders written in C speak to stderr.
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _leave_network()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # OpenMP's threads did not come along
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    allowed = held + more if most == resource.RLIM_INFINITY else min(held + more, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


def _leave_network() -> None:
    """Close a server's connections: here they would stay open after the server has closed them."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        number = int(entry.name)
        try:
            found = socket.socket(fileno=number)
        except OSError:  # no socket, or that of the listing itself
            continue
        if found.family in (socket.AF_INET, socket.AF_INET6):
            found.close()
        else:
            found.detach()


def _serve(attempt: Callable[[Any], Any], link: Connection, area: mmap.mmap, parent: int) -> None:
    while True:
        while not link.poll(_PATIENCE):
            if os.getppid() != parent:
                return
        try:
            question = link.recv()
        except EOFError:
            return
        try:
            kind, parts = _END, packed([attempt(item) for item in question])
        except Exception as error:  # the parent raises it
            said = (type(error).__name__, str(error), traceback.format_exc())
            kind, parts = _RAISED, packed(said)
        for size, is_last in _poured(parts, area):
            _tell(link, kind if is_last else _MORE, size)
            if not is_last:
                link.recv()


def _tell(link: Connection, kind: bytes, size: int) -> None:
    os.write(link.fileno(), kind + size.to_bytes(_SIGNAL - 1, "little"))


def _poured(parts: list[memoryview], area: mmap.mmap) -> Iterator[tuple[int, bool]]:
    """Write an answer into the area, and again where it is longer; yields sizes, and the last."""
    filled = 0
    for part in parts:
        while part.nbytes:
            taken = min(part.nbytes, len(area) - filled)
            if not taken:
                yield filled, False
                filled = 0
                continue
            area[filled : filled + taken] = part[:taken]
            part, filled = part[taken:], filled + taken
    yield filled, True
