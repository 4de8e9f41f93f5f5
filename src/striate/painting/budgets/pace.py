"""Levels and steps of a painting: so many of each, or as many as a time allows, or as before."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from striate.painting import descent
from striate.painting.pictures import canvas
from striate.painting.settings import Budget

# To enter a level takes as long as so many runs of the network with its gradient.
ENTERING = 3
# A level ends where the loss fell by less than this share in so many steps.
SETTLED, WINDOW = 5e-3, 10
# What writing the file takes at the end: seconds, and seconds a pixel.
WRITING = (0.3, 1.2e-6)


class Stage(NamedTuple):
    """A level of a painting: its long side in pixels, and how many steps it made."""

    side: int
    steps: int


class Rhythm(NamedTuple):
    """How an optimiser's steps are spread over levels, in runs of the network with its gradient."""

    stride: int  # runs a step
    # Where no time is given: at the coarsest level, what each next has of that, at least, and at
    # the last level at least.
    first: int
    fewer: float
    least: int
    last: int
    # Of a given time: what each level has of the one before, where each step costs twice as much;
    # the least that a level between the first and the last is worth; and the last one.
    growth: float
    between: int
    worth: int

    def runs(self, level: int, levels: int) -> int:
        """Return the runs of one of so many levels, where no time is given."""
        least = self.last if level == levels - 1 else self.least
        return max(least, round(self.first * self.fewer**level))


# What is coarse L-BFGS paints at any level, by its first guess of the inverse curvature: it is
# best used at the finest one. Adam needs the levels.
RHYTHMS = {
    "lbfgs": Rhythm(
        stride=1, first=12, fewer=1.0, least=12, last=40, growth=2.0, between=24, worth=8
    ),
    "adam": Rhythm(
        stride=descent.STRIDE,
        first=56,
        fewer=0.72,
        least=16,
        last=16,
        growth=1.25,
        between=0,
        worth=20,
    ),
}


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
        optimiser: str = "lbfgs",
    ) -> None:
        """Plan for a long side in pixels; `since` is the time.monotonic() from which is counted.

        With `replay` the steps are those of an earlier painting, so that the same bytes come out;
        the first `before` of all stages were made before this one began.
        """
        self.rhythm = RHYTHMS[optimiser]
        self.sides = tuple(canvas.levels(size))
        self.replay = list(replay) if replay else None
        self.before = before
        self.budget = budget or Budget()
        self.began = time.monotonic() if since is None else since
        self.entered = self.began
        self.allowed = self.budget.seconds
        self.cost = 0.0  # of a step, in seconds for a pixel of a square, beside what is fixed
        self.fixed = 0.0  # seconds of a step at any size
        self.losses: list[float] = []
        self.times: list[float] = []  # when each step of the level was made

    def reserve(self, pixels: int) -> None:
        """Set aside the time that writing so many pixels takes."""
        if self.allowed is not None:
            self.allowed -= WRITING[0] + WRITING[1] * pixels

    def seconds(self) -> float:
        """Return the seconds since the painting began."""
        return time.monotonic() - self.began

    def left(self) -> float | None:
        """Return the seconds that are left for painting; None: no limit."""
        return None if self.allowed is None else self.allowed - self.seconds()

    def next_side(self, done: Sequence[Stage]) -> int | None:
        """Return the long side of the next level; None where the painting is done."""
        self.entered, self.losses, self.times = time.monotonic(), [], []
        if self.replay is not None:
            return self.replay[len(done)].side if len(done) < len(self.replay) else None
        if not done:
            return self.sides[0]
        # A level that was broken off is continued.
        again = len(done) == self.before
        later = [s for s in self.sides if s > done[-1].side or (again and s == done[-1].side)]
        if self.allowed is not None:
            top = self._top(later)
            later = [side for side in later if side <= top]
            while len(later) > 1 and self._hurries(later):
                del later[0]
        return later[0] if later else None

    def over(self, done: Sequence[Stage], loss: float, fixed: float) -> bool:
        """Tell whether the level under way is over after this step.

        `fixed` are the seconds of a run that would be the same at another size.
        """
        side, steps = done[-1]
        self.losses.append(loss)
        if self.replay is not None:
            return steps >= self.replay[len(done) - 1].steps
        now = time.monotonic()
        self.times.append(now)
        # The second one makes kernels and evaluates the start once more: what follows is the rule.
        # Until then: to enter took two runs at the least.
        known = (
            (now - self.times[1]) / (steps - 2)
            if steps > 2
            else (now - self.entered) / (steps - 1 + 2 / self.rhythm.stride)
        )
        self.fixed = min(fixed * self.rhythm.stride, known)
        self.cost = (known - self.fixed) / _pixels(side)
        window = max(2, WINDOW // self.rhythm.stride)
        earlier = self.losses[-window - 1] if len(self.losses) > window else None
        if earlier is not None and earlier - loss <= SETTLED * abs(earlier):
            return True
        if self.allowed is None:
            broken = sum(other.steps for other in done[:-1] if other.side == side)
            runs = self.rhythm.runs(self.sides.index(side), len(self.sides))
            return (steps + broken) * self.rhythm.stride >= runs
        later = [other for other in self.sides if other >= side]
        top = self._top(later)
        levels = sum(other <= max(top, side) for other in later)
        return now + self._step(side) - self.entered > self._share(levels)

    def _top(self, sides: Sequence[int]) -> int:
        """Find the finest level that the time left is enough for."""
        top = 0
        runs = self.rhythm.worth + ENTERING
        for number, side in enumerate(sides, 1):
            levels = 1 if self.rhythm.between else number  # those between can be left out
            last = self._share(levels) * self.rhythm.growth ** (levels - 1)
            if last >= runs / self.rhythm.stride * self._step(side):
                top = side
        return top

    def _hurries(self, sides: Sequence[int]) -> bool:
        """Tell whether the first of these levels would be too short, if all others follow it."""
        least = self.rhythm.between / self.rhythm.stride
        return self._share(len(sides)) < least * self._step(sides[0])

    def _step(self, side: int) -> float:
        """Return the seconds that a step takes at this long side."""
        return self.fixed + self.cost * _pixels(side)

    def _share(self, levels: int) -> float:
        """Return the seconds that the first of so many levels has."""
        assert self.allowed is not None
        left = self.allowed - (self.entered - self.began)
        return left / sum(self.rhythm.growth**place for place in range(levels))


def _pixels(side: int) -> int:
    """Count what is painted for a square of this side."""
    return (side + 2 * canvas.BLEED) ** 2
