"""How many pictures wait for an answer, how fast they are answered, and who is turned away."""

import math
import threading
import time

_WEIGHT = 0.05  # of each answer in the mean time between two


class Line:
    """A bounded line: what would wait for longer than the deadline is refused at once."""

    def __init__(self, longest: int, deadline: float) -> None:
        self.longest, self.deadline = longest, deadline
        self.waiting = 0
        self.pace = 0.0  # seconds between two answers, while some wait
        self._since = 0.0  # when the last answer was given, or the line ceased to be empty
        self._lock = threading.Lock()

    def refusal(self, count: int = 1) -> int | None:
        """Return after how many seconds to come again; None where there is room for so many."""
        wait = self.waiting * self.pace
        if self.waiting + count <= self.longest and wait <= self.deadline:
            return None
        return max(1, math.ceil(min(wait, self.deadline)))

    def enter(self, count: int) -> int | None:
        """Take a place for each, unless they are refused, as `refusal` says it."""
        with self._lock:
            wait = self.refusal(count)
            if wait is None:
                if not self.waiting:
                    self._since = time.monotonic()
                self.waiting += count
            return wait

    def leave(self, count: int = 1) -> None:
        """Free places in the queue, of requests that are answered or no longer waited for."""
        with self._lock:
            now = time.monotonic()
            each = min((now - self._since) / count, self.deadline)
            self.pace += (1 - (1 - _WEIGHT) ** count) * (each - self.pace)
            self._since = now
            self.waiting -= count
