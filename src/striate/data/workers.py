"""Decoding ahead of its use; files in guarded processes, as no decoder is proof against all bytes.

A file that crashes its process, hangs it, or wants more memory than it may have is one failed
picture; the process is replaced and all others go on.
"""

import contextlib
import faulthandler
import io
import itertools
import mmap
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.images import PictureError

from .splits import is_stored

# Decoded pictures that wait for their turn, in chunks: enough to hide an uneven decoder.
AHEAD = 3
# A picture of 50 megapixels takes the slowest format four seconds and 0.9 GB.
SECONDS = 30
BYTES = 2 << 30
_PIECE = 16  # pictures in one question to a process
_AREA = 32 << 20  # bytes of results that pass through shared memory, 30 times a pipe's speed
_PATIENCE = 5  # seconds between two looks whether the parent still lives

_FORKING = threading.Lock()

Work = Callable[[Any], Any]
Pictures = Sequence[Any] | NDArray[np.uint8]


class Failed(NamedTuple):
    """What stands for the result of a picture that cannot be used."""

    reason: str


def ahead(
    work: Work,
    pictures: Pictures,
    chunks: Sequence[Sequence[int]],
    workers: int,
    *,
    allowance: float = 1.0,
) -> Generator[list[Any], None, None]:
    """Do `work` on the pictures at these places, a few chunks ahead; results keep their order.

    A picture that cannot be used gives Failed. With workers, those stored in files are decoded in
    as many guarded processes (Linux), any others in threads: they hold no foreign bytes, or a
    user's own Dataset, which need not survive a fork. A process may take `allowance` times the
    usual memory and time: 2 where pictures may be twice as large.
    """

    def attempt(place: int) -> Any:
        try:
            return work(pictures[place])
        except PictureError as error:
            return Failed(error.reason)

    if workers < 1:
        yield from ([attempt(place) for place in chunk] for chunk in chunks)
        return
    forks = sys.platform == "linux" and is_stored(pictures)
    count = min(workers, sum(map(len, chunks)) or 1)
    started = _processes(attempt, count, allowance) if forks else _threads(attempt, count)
    with started as (pool, done):
        pending: deque[list[Future[list[Any]]]] = deque()
        for chunk in chunks:
            pieces = [chunk[start : start + _PIECE] for start in range(0, len(chunk), _PIECE)]
            pending.append([pool.submit(done, list(piece)) for piece in pieces])
            if len(pending) > AHEAD:
                yield _joined(pending.popleft())
        while pending:
            yield _joined(pending.popleft())


def _joined(futures: Sequence[Future[list[Any]]]) -> list[Any]:
    return [result for future in futures for result in future.result()]


Started = tuple[ThreadPoolExecutor, Callable[[list[int]], list[Any]]]


@contextlib.contextmanager
def _threads(attempt: Work, workers: int) -> Iterator[Started]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="striate-decode")
    try:
        yield pool, lambda places: [attempt(place) for place in places]
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _processes(attempt: Work, workers: int, allowance: float) -> Iterator[Started]:
    """Give a pool whose threads each ask one of as many processes."""
    idle: SimpleQueue[_Process] = SimpleQueue()

    def done(places: list[int]) -> list[Any]:
        process = idle.get()
        try:
            return process.ask(places)
        except _Lost as lost:
            process.end()
            process = _Process(attempt, allowance)
            if len(places) == 1:
                return [Failed(str(lost))]
        finally:
            idle.put(process)
        # One of them did it: each is asked for alone.
        return [result for place in places for result in done([place])]

    # Forked before there are threads, whose locks a child would inherit as they stand.
    for _ in range(workers):
        idle.put(_Process(attempt, allowance))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="striate-decode")
    try:
        yield pool, done
    finally:
        pool.shutdown(cancel_futures=True)
        for _ in range(workers):
            idle.get().end()


class _Lost(Exception):  # noqa: N818 -- it is no error of ours
    """A process gave no answer."""


class _Process:
    """A forked process that answers questions, seen from its parent."""

    def __init__(self, attempt: Work, allowance: float) -> None:
        self._seconds = SECONDS * allowance
        self._area = mmap.mmap(-1, _AREA)
        parent = os.getpid()
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
                    _answer(attempt, theirs, self._area, parent)
                finally:
                    os._exit(1)
            theirs.close()

    def ask(self, places: list[int]) -> list[Any]:
        """Give the results of these places, or raise what the work raised, or _Lost."""
        try:
            self._link.send(places)
            if not self._link.poll(self._seconds):
                raise _Lost(f"its decoder took more than {self._seconds:g} seconds")
            content, sizes = self._link.recv()
        except (EOFError, OSError) as error:
            raise _Lost("its decoder crashed") from error
        ends = np.cumsum([0, *sizes]).tolist()
        buffers = [bytearray(self._area[a:b]) for a, b in itertools.pairwise(ends)]
        answer = pickle.loads(content, buffers=buffers)
        if isinstance(answer, BaseException):
            raise answer
        return list(answer)

    def end(self) -> None:
        """Stop the process, whatever it does."""
        os.kill(self._number, signal.SIGKILL)
        os.waitpid(self._number, 0)
        self._link.close()
        self._area.close()


def _restrict(more: int) -> None:
    import resource

    # The parent decides when to stop. A signal to the whole group must not look like a crash.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Decoders written in C speak to stderr.
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.set_num_threads(1)  # OpenMP's threads did not come along
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    allowed = held + more if most == resource.RLIM_INFINITY else min(held + more, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


def _answer(attempt: Work, link: Connection, area: mmap.mmap, parent: int) -> None:
    while True:
        while not link.poll(_PATIENCE):
            if os.getppid() != parent:
                return
        try:
            places = link.recv()
        except EOFError:
            return
        answer: Any
        try:
            answer = [attempt(place) for place in places]
        except Exception as error:  # the parent raises it
            answer = _sendable(error)
        link.send(_packed(answer, area))


def _sendable(error: Exception) -> Exception:
    """Give the error with its traceback as a note, in words where it cannot be pickled."""
    said = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a user's own kinds of errors may fail in any way
        return RuntimeError(said)
    error.add_note(said)
    return error


def _packed(answer: Any, area: mmap.mmap) -> tuple[bytes, list[int]]:
    """Give an answer's pickle and the sizes of the buffers that stand in the area."""
    buffers: list[pickle.PickleBuffer] = []
    content = io.BytesIO()
    _Pickler(content, protocol=5, buffer_callback=buffers.append).dump(answer)
    parts = [buffer.raw() for buffer in buffers]
    if sum(part.nbytes for part in parts) > len(area):
        content = io.BytesIO()
        _Pickler(content, protocol=5).dump(answer)
        return content.getvalue(), []
    area.seek(0)
    for part in parts:
        area.write(part)
    return content.getvalue(), [part.nbytes for part in parts]


class _Pickler(pickle.Pickler):
    def reducer_override(self, found: Any) -> Any:
        # As an array, a tensor's numbers stay out of the pickle.
        return (torch.from_numpy, (found.numpy(),)) if isinstance(found, Tensor) else NotImplemented
