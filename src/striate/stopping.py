"""Ctrl-C and SIGTERM, remembered until the work can be stopped with its state saved."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NamedTuple, Protocol

from striate.errors import Stopped


class Reading(NamedTuple):
    """How far the reading of some examples, or another work on them, has come."""

    done: int
    total: int
    kind: str  # pictures, sounds or clips
    work: str = "reading"


class Poll(Protocol):
    """Called between two batches, with how far a reading has come; what it raises ends the work."""

    def __call__(self, reading: Reading | None = None, /) -> None: ...


# The signal that came to this process, or None -> the one that came to any.
Agree = Callable[[int | None], int | None]


def unheard(_: Reading | None = None, /) -> None:
    """Poll for nothing."""


class Halt:
    """Remembers that SIGINT or SIGTERM came; a second one ends the process at once.

    `answer` is called at once, in the middle of whatever is done: with False, then with True.
    `watch` is told how far a reading has come. While processes work as one, `agreeing`, all of
    them stop where one was told to, and a second signal changes nothing: a scheduler and torchrun
    may both send one.
    """

    def __init__(
        self,
        answer: Callable[[bool], None] = lambda _: None,
        watch: Callable[[Reading], None] = lambda _: None,
    ) -> None:
        self.signal: int | None = None
        self.answer, self.watch = answer, watch
        self._agree: Agree | None = None

    def poll(self, reading: Reading | None = None, /) -> None:
        """Raise Stopped if a signal came."""
        if reading is not None:
            self.watch(reading)
        number = self._agree(self.signal) if self._agree else self.signal
        if number is not None:
            raise Stopped("stopped", number)

    @contextlib.contextmanager
    def agreeing(self, agree: "Agree | None") -> Iterator[None]:
        """Poll here for what all processes agree on, where there is more than one."""
        before, self._agree = self._agree, agree
        try:
            yield
        finally:
            self._agree = before

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.signal is not None:
            if self._agree:
                return
            self.answer(True)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number
        self.answer(False)

    @contextlib.contextmanager
    def listening(self) -> Iterator["Halt"]:
        """Catch the signals here; elsewhere than in the main thread Python has none to catch."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        caught = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._note) for number in caught]
        try:
            yield self
        finally:
            for number, handler in zip(caught, before, strict=True):
                signal.signal(number, handler)
