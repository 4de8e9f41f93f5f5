"""How long each level of a painting lasts: by steps, by the clock, or as an earlier one did."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from . import canvas
from .settings import Budget

# Steps at the coarsest level where no time is given, and what each level has of the one before.
# With these a picture of 256 pixels comes to a hundredth of its first style residual.
STEPS, FEWER, LEAST = 56, 0.72, 16
# Of a given time each level has this much of the one before; each step costs twice as much.
GROWTH = 1.25
# A level that could not make so many steps is not begun.
WORTH = 4
# A level ends where the loss fell by less than this share in so many steps.
SETTLED, WINDOW = 5e-3, 10
# What writing the file takes at the end: seconds, and seconds a pixel.
WRITING = (0.3, 1.2e-6)


class Stage(NamedTuple):
    """A level of a painting: its long side in pixels, and how many steps it made."""

    side: int
    steps: int


class Pace:
    """Says which level is next and when one is over."""

    def __init__(
        self,
        size: int,
        *,
        budget: Budget | None = None,
        since: float | None = None,
        replay: Sequence[Stage] | None = None,
        before: int = 0,
        stride: int = 1,
    ) -> None:
        """Plan for a long side in pixels; `since` is the time.monotonic() from which is counted.

        With `replay` the steps are those of an earlier painting, so that the same bytes come out;
        the first `before` of all stages were made before this one began. A step stands for `stride`
        runs of the network.
        """
        self.stride = stride
        self.sides = tuple(canvas.levels(size))
        self.replay = list(replay) if replay else None
        self.before = before
        self.budget = budget or Budget()
        self.began = time.monotonic() if since is None else since
        self.entered = self.began
        self.allowed = self.budget.seconds
        self.cost = 0.0  # of a step, in seconds for a square of side 1
        self.losses: list[float] = []

    def reserve(self, pixels: int) -> None:
        """Set aside the time that writing so many pixels takes."""
        if self.allowed is not None:
            self.allowed -= WRITING[0] + WRITING[1] * pixels

    def seconds(self) -> float:
        """Give the seconds since the painting began."""
        return time.monotonic() - self.began

    def left(self) -> float | None:
        """Give the seconds that are left for painting; None: no limit."""
        return None if self.allowed is None else self.allowed - self.seconds()

    def next_side(self, done: Sequence[Stage]) -> int | None:
        """Give the long side of the next level; None where the painting is done."""
        self.entered, self.losses = time.monotonic(), []
        if self.replay is not None:
            return self.replay[len(done)].side if len(done) < len(self.replay) else None
        if not done:
            return self.sides[0]
        # A level that was broken off is gone on with.
        again = len(done) == self.before
        later = [s for s in self.sides if s > done[-1].side or (again and s == done[-1].side)]
        if not later or (self.allowed is not None and later[0] > self._top(later)):
            return None
        return later[0]

    def over(self, done: Sequence[Stage], loss: float) -> bool:
        """Tell whether the level under way is over after this step."""
        side, steps = done[-1]
        self.losses.append(loss)
        if self.replay is not None:
            return steps >= self.replay[len(done) - 1].steps
        now = time.monotonic()
        self.cost = (now - self.entered) / (steps + 1) / side**2
        window = max(2, WINDOW // self.stride)
        earlier = self.losses[-window - 1] if len(self.losses) > window else None
        if earlier is not None and earlier - loss <= SETTLED * abs(earlier):
            return True
        if self.allowed is None:
            broken = sum(other.steps for other in done[:-1] if other.side == side)
            wanted = max(LEAST, round(STEPS * FEWER ** self.sides.index(side)))
            return (steps + broken) * self.stride >= wanted
        later = [other for other in self.sides if other >= side]
        top = self._top(later)
        parts = [GROWTH**place for place, other in enumerate(later) if other <= max(top, side)]
        share = (self.allowed - (self.entered - self.began)) / sum(parts)
        return now + self.cost * side**2 - self.entered > share

    def _top(self, sides: Sequence[int]) -> int:
        """Give the finest level that the time left is enough for."""
        assert self.allowed is not None
        left = self.allowed - (self.entered - self.began)
        top = 0
        for number, side in enumerate(sides):
            parts = sum(GROWTH**place for place in range(number + 1))
            if left * GROWTH**number / parts >= (WORTH + 1) * self.cost * side**2:
                top = side
        return top
