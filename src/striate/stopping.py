"""SIGINT and SIGTERM, remembered until the work can be stopped with its state saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from striate.errors import Stopped


class Halt:
    """Remembers that SIGINT or SIGTERM came; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def poll(self) -> None:
        """Raise Stopped if a signal came."""
        if self.signal is not None:
            raise Stopped("stopped", self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number

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
