"""Networks by name, each with its decoders: loaded, asked, and exchanged while it is asked."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.decoding import Decoders, Failed
from striate.errors import DataError, UsageError, choose
from striate.runs import folder
from striate.wording import shown

from .batching import Batcher
from .opening import SUFFIX, Loading, is_file, open_network, stamp
from .waiting import Line

LOG = logging.getLogger("striate.serving")
# A decoder's time for one picture: half of what a training waits for.
DECODING_SECONDS = 15.0


class Served:
    """A network under its name, with decoders that stay open."""

    def __init__(self, name: str, path: Path, loading: Loading) -> None:
        self.name, self.path = name, path
        self.stamp = stamp(path)
        self.opened = open_network(path, loading)
        self.users = 0
        network = self.opened.network
        self.decoders = Decoders(
            network.pixels,
            loading.workers,
            guarded=True,
            allowance=network.allowance,
            seconds=DECODING_SECONDS,
        )
        self.decoders.open()
        # Run before anyone asks: the first run of a size takes the longest.
        for count in {1, loading.batch}:
            self.answer([self.opened.blank] * count)

    @property
    def version(self) -> str:
        """A checksum of all that the network is made of."""
        return self.opened.version

    @property
    def kind(self) -> str:
        """Pictures, sounds or clips."""
        return self.opened.network.kind

    @property
    def classes(self) -> Sequence[str]:
        """The classes' names, in the order of the probabilities."""
        return self.opened.network.classes

    @property
    def has_neighbours(self) -> bool:
        """Tell whether similar training pictures can be shown."""
        return self.opened.explanations is not None and self.opened.explanations.has_neighbours

    def answer(self, pixels: Sequence[Any]) -> NDArray[np.float64]:
        """Return the probabilities (N, K) of N examples' pixels."""
        return self.opened.network.probabilities(pixels)

    def prepare(self) -> None:
        """Make ready what explains, which takes seconds."""
        if self.opened.explanations:
            self.opened.explanations.prepare()

    def close(self) -> None:
        """End the decoders, and the thread that explains."""
        self.decoders.close()
        if self.opened.explanations:
            self.opened.explanations.close()


class Networks:
    """The networks that are served; each may be exchanged for a newer one of its run."""

    def __init__(self, places: Sequence[Path], loading: Loading) -> None:
        self._loading = loading
        self._lock = threading.Lock()
        self._served: dict[str, Served] = {}
        for name, path in named(places).items():
            self._served[name] = Served(name, path, loading)

    def __iter__(self) -> Iterator[Served]:
        """Yield the networks, in the order in which they were named."""
        return iter(list(self._served.values()))

    @contextlib.contextmanager
    def using(self, name: str | None) -> Iterator[Served]:
        """Hold a network while it is asked, the first where none is named.

        UsageError for an unknown name.
        """
        with self._lock:
            chosen = next(iter(self._served)) if name is None else name
            found = self._served[choose("model", chosen, self._served)]
            found.users += 1
        try:
            yield found
        finally:
            with self._lock:
                found.users -= 1
                is_over = found.users == 0 and self._served.get(found.name) is not found
            if is_over:
                threading.Thread(target=found.close, name="striate-close").start()

    def reload(self, *, changed_only: bool = False) -> list[tuple[str, str]]:
        """Load networks again and put those in place that have changed; list names and versions.

        What cannot be loaded stays as it was, and the log says so.
        """
        found = []
        for old in self:
            now = stamp(old.path)
            if changed_only and now == old.stamp:
                continue
            old.stamp = now  # a damaged one is complained of once
            try:
                new = Served(old.name, old.path, self._loading)
            except (DataError, UsageError) as error:
                LOG.warning("%s stays as it was: %s", old.name, error)
                continue
            if new.version == old.version:
                new.close()
                continue
            new.prepare()
            self._exchange(new)
            found.append((new.name, new.version))
        return found

    def close(self) -> None:
        """Let go of all."""
        for served in self:
            served.close()

    def _exchange(self, new: Served) -> None:
        with self._lock:
            old = self._served[new.name]
            self._served[new.name] = new
            is_over = old.users == 0
        if is_over:
            old.close()


def named(places: Sequence[Path]) -> dict[str, Path]:
    """Name runs by their folders, and exported files as they are called."""
    found: dict[str, Path] = {}
    for place in places:
        given = place.expanduser()
        path = (given if is_file(given) else folder.require(given)).absolute()
        name = shown(path.resolve().name.removesuffix(SUFFIX))
        if name in found:
            raise UsageError(
                f"{found[name]} and {path} would both be called {name}: rename one of the folders"
            )
        found[name] = path
    return found


def ask(
    served: Served, content: bytes, *, batcher: Batcher, line: Line
) -> "Future[NDArray[np.float64] | Failed]":
    """Begin to answer for the bytes of a picture, for which a place in the line was taken.

    Gives its probabilities (K,), or why it cannot be read. The place is given up when nothing works
    on the picture any more: a decoder that has begun is not stopped.
    """
    answer: Future[Any] = Future()
    decoding = served.decoders.submit(content)
    answer.add_done_callback(lambda done: decoding.cancel() if done.cancelled() else None)
    decoding.add_done_callback(partial(_decoded, served, answer, batcher, line))
    return answer


def _decoded(
    served: Served,
    answer: "Future[Any]",
    batcher: Batcher,
    line: Line,
    decoding: "Future[Any]",
) -> None:
    if decoding.cancelled() or answer.cancelled():
        line.leave()
    elif (error := decoding.exception()) is not None or isinstance(decoding.result(), Failed):
        line.leave()
        if answer.set_running_or_notify_cancel():
            answer.set_exception(error) if error else answer.set_result(decoding.result())
    else:
        answer.add_done_callback(lambda _: line.leave())
        batcher.submit(served, decoding.result(), answer)
