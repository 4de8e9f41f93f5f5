"""Decoding ahead of its use; files in guarded processes, as no decoder is proof against all bytes.

A file that crashes its process, hangs it, or wants more memory than it may have is one failed
picture; the process is replaced and all others go on.
"""

import contextlib
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from striate.images import PictureError
from striate.stopping import Poll, Reading, unheard

from .guarded import LostError, Process
from .wire import Failed

__all__ = ["AHEAD", "Decoders", "Failed", "ahead", "each", "fetching"]

# Decoded pictures that wait for their turn, in chunks: enough to hide an uneven decoder. Of large
# chunks fewer wait, as they are memory: no more than so many pictures, but always one chunk.
AHEAD = 3
_MOST_AHEAD = 512
_PIECE = 16  # pictures in one question to a process
_LEAST_PIECES = 4  # of a chunk, where all pictures are looked at once

Work = Callable[[Any], Any]
Fetch = Callable[[Sequence[Any]], list[Any]]
# Threads that fetch what is elsewhere, beside those that wait for a process.
_FETCHING = 4


class Decoders:
    """Decoders that are opened once and asked any number of times.

    Guarded ones are forked processes (Linux): a fork inherits `work`, and what it gives comes back
    as plain data (`wire`), named tuples as plain ones. A process may take `allowance` times the
    usual memory and time: 2 where pictures may be twice as large. Others are threads: for what
    holds no foreign bytes, or for a user's own Dataset, which need not survive a fork. With no
    workers the work is done where it is asked for. `seconds` is another time than the usual.

    With `fetch`, items are first exchanged for what it gives, several at once, in threads of this
    process: what is read over a network. What it raises, `ask` raises.
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        *,
        guarded: bool,
        allowance: float = 1.0,
        seconds: float | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._work = work
        self._fetch = fetch
        self.workers = workers
        self._guarded = guarded and sys.platform == "linux"
        self._allowance = allowance
        self._seconds = seconds
        self._opening = threading.Lock()  # of processes: they may be asked from several threads
        self._opened: _Opened | None = None
        self._close: Callable[[], Any] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and threads; asked again, they are opened again."""
        self._close()
        self._opened = None

    def ask(self, chunks: Iterable[Sequence[Any]], most: int | None = None) -> Generator[list[Any]]:
        """Do the work on each item of the chunks, a few chunks ahead; yields lists, in order.

        An item that cannot be used gives Failed. No more processes are opened than `most` items
        have work for.
        """
        if self.workers < 1:
            yield from ([self._attempt(item) for item in self._here(chunk)] for chunk in chunks)
            return
        opened = self._open(min(self.workers, self.workers if most is None else most or 1))
        pending: deque[list[Future[list[Any]]]] = deque()
        try:
            for chunk in chunks:
                pieces = [chunk[start : start + _PIECE] for start in range(0, len(chunk), _PIECE)]
                pending.append(
                    [opened.threads.submit(self._fetched, opened, list(piece)) for piece in pieces]
                )
                if len(pending) > max(1, min(AHEAD, _MOST_AHEAD // max(len(chunk), 1))):
                    yield _joined(pending.popleft())
            while pending:
                yield _joined(pending.popleft())
        finally:
            for future in (future for futures in pending for future in futures):
                future.cancel()

    def submit(self, item: Any) -> "Future[Any]":
        """Begin the work on one item, beside others; its future gives what `ask` gives of it."""
        if self.workers < 1:
            done: Future[Any] = Future()
            done.set_result(self._attempt(item))
            return done
        opened = self._open(self.workers)
        return opened.threads.submit(lambda: self._done(opened, [item])[0])

    def open(self) -> None:
        """Start all processes now, not when they are first asked."""
        if self.workers > 0:
            self._open(self.workers)

    def _open(self, wanted: int) -> "_Opened":
        """Have as many processes as are wanted, and a thread to ask each."""
        with self._opening:
            if self._opened is None:
                many = self.workers + (_FETCHING if self._fetch else 0)
                threads = ThreadPoolExecutor(many, thread_name_prefix="striate-decode")
                self._opened = _Opened(threads, [], SimpleQueue())
                self._close = weakref.finalize(self, _end, self._opened)
            opened = self._opened
            # Forked before they are asked: a thread holds locks, which a child inherits as they
            # stand.
            for _ in range(wanted - len(opened.processes) if self._guarded else 0):
                opened.add(self._process())
            return opened

    def _process(self) -> Process:
        return Process(self._attempt, self._allowance, self._seconds)

    def _attempt(self, item: Any) -> Any:
        try:
            return self._work(item)
        except PictureError as error:
            return Failed(error.reason)

    def _here(self, items: Sequence[Any]) -> Sequence[Any]:
        return self._fetch(items) if self._fetch else items

    def _fetched(self, opened: "_Opened", items: list[Any]) -> list[Any]:
        return self._done(opened, list(self._here(items)))

    def _done(self, opened: "_Opened", items: list[Any]) -> list[Any]:
        if not self._guarded:
            return [self._attempt(item) for item in items]
        process = opened.idle.get()
        try:
            found = process.ask(items)
        except LostError as lost:
            with self._opening:
                opened.processes.remove(process)
                process.end()
                opened.add(self._process())
            if len(items) == 1:
                return [Failed(str(lost))]
            # One of them did it: each is asked for alone.
            return [result for item in items for result in self._done(opened, [item])]
        except BaseException:
            opened.idle.put(process)
            raise
        opened.idle.put(process)
        return found


class _Opened(NamedTuple):
    """The threads that ask, the processes, and which of those are idle."""

    threads: ThreadPoolExecutor
    processes: list[Process]
    idle: "SimpleQueue[Process]"

    def add(self, process: Process) -> None:
        self.processes.append(process)
        self.idle.put(process)


def _end(opened: _Opened) -> None:
    opened.threads.shutdown(cancel_futures=True)
    for process in opened.processes:
        process.end()


def fetching(pictures: Any) -> Fetch | None:
    """Return what fetches pictures by their places, where they are elsewhere."""
    if not getattr(pictures, "is_elsewhere", False):
        return None
    fetch: Fetch = pictures.fetch
    return fetch


def ahead(
    work: Work,
    pictures: Sequence[Any] | NDArray[Any],
    chunks: Sequence[Sequence[int]],
    workers: int,
    *,
    guarded: bool,
    allowance: float = 1.0,
) -> Generator[list[Any]]:
    """Do `work` on the pictures at these places with decoders of its own, as `Decoders.ask`."""
    fetch = fetching(pictures)

    def at(place: int) -> Any:
        return work(pictures[place])

    with Decoders(
        work if fetch else at, workers, guarded=guarded, allowance=allowance, fetch=fetch
    ) as decoders:
        yield from decoders.ask(chunks, sum(map(len, chunks)))


def each(
    work: Work,
    pictures: Sequence[Any] | NDArray[Any],
    *,
    workers: int,
    guarded: bool,
    allowance: float = 1.0,
    poll: Poll = unheard,
) -> Generator[tuple[int, Any]]:
    """Do `work` on every picture, once; yields places and results in order.

    `poll` is called between chunks of pictures, of as many as keep all workers busy.
    """
    rows = range(len(pictures))
    size = _PIECE * max(_LEAST_PIECES, workers)
    chunks = [rows[start : start + size] for start in rows[::size]]
    found = ahead(work, pictures, chunks, workers, guarded=guarded, allowance=allowance)
    # Closed whatever is raised: processes and threads must not be left to the collector.
    with contextlib.closing(found):
        poll(Reading(0, len(rows), "pictures"))
        for chunk, results in zip(chunks, found, strict=True):
            poll(Reading(chunk.stop, len(rows), "pictures"))
            yield from zip(chunk, results, strict=True)


def _joined(futures: Sequence[Future[list[Any]]]) -> list[Any]:
    return [result for future in futures for result in future.result()]
