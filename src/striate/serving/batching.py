"""One thread that runs networks over what waits: several pictures at once, each answered apart."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol


class Network(Protocol):
    """What answers for several pictures at once."""

    def answer(self, pixels: Sequence[Any]) -> Any:
        """Return the probabilities (N, K) of N pictures' pixels."""


class Waiting(NamedTuple):
    """A picture that waits for a network."""

    network: Network
    pixels: Any
    future: "Future[Any]"  # of its probabilities (K,)
    since: float


Ran = Callable[[Network, int, float], None]  # network, pictures, seconds


class Batcher:
    """The thread and what waits for it; the oldest comes first, with others of its network."""

    def __init__(self, *, most: int, delay: float, ran: Ran = lambda *_: None) -> None:
        self._most, self._delay, self._ran = most, delay, ran
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="striate-network", daemon=True)
        self._thread.start()

    def submit(self, network: Network, pixels: Any, future: "Future[Any]") -> None:
        """Put a picture into the line; its future gets the probabilities, or what went wrong."""
        with self._changed:
            self._waiting.append(Waiting(network, pixels, future, time.monotonic()))
            self._changed.notify()

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._taken():
            wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _answer(self, batch: list[Waiting]) -> None:
        begun = time.perf_counter()
        network = batch[0].network
        try:
            shares = list(network.answer([one.pixels for one in batch]))
        # Of any kind: memory that is lacking, a fault of a user's network. The server goes on.
        except Exception as error:
            for one in batch:
                one.future.set_exception(error)
            return
        self._ran(network, len(batch), time.perf_counter() - begun)
        for one, share in zip(batch, shares, strict=True):
            one.future.set_result(share)

    def _taken(self) -> list[Waiting]:
        """Wait for pictures, and a little for more of them; none once all is done and closed."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if not self._waiting:
                return []
            network, until = self._waiting[0].network, self._waiting[0].since + self._delay
            while self._count(network) < self._most and not self._ended:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._take(network)

    def _count(self, network: Network) -> int:
        return sum(one.network is network for one in self._waiting)

    def _take(self, network: Network) -> list[Waiting]:
        taken: list[Waiting] = []
        left: deque[Waiting] = deque()
        for one in self._waiting:
            is_next = one.network is network and len(taken) < self._most
            (taken if is_next else left).append(one)
        self._waiting = left
        return taken
