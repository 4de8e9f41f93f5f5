"""Sliding windows over a picture at many sizes, and the cascade's answer at each."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.errors import UsageError

from .cascade import Cascade, Depth, Reals, Stage, Windows, add, depth, vote
from .integral import Pixels, Whole, deviation, integral, squares

BAND = 1 << 18  # pixels looked at together: their sums stay in cache, and fit in 32 bits


class Grid(NamedTuple):
    """Where windows lie: sizes from `smallest` to `largest` pixels, each `scale` times the last."""

    smallest: int = 0  # side of a window in the picture; 0 is the detector's own
    largest: int = 0  # 0 is the picture's side
    scale: float = 1.25
    step: int = 1  # pixels of the shrunk picture between windows

    def check(self, side: int) -> "Grid":
        """Refuse what has no windows; the smallest is then a number."""
        if self.scale <= 1:
            raise UsageError(f"--scale is more than 1, not {self.scale:g}")
        if self.step < 1:
            raise UsageError(f"--step is 1 or more pixels, not {self.step}")
        if self.smallest and self.smallest < side:
            raise UsageError(
                f"--smallest is {side} or more, the side of the detector's window, "
                f"not {self.smallest}"
            )
        if self.largest and self.largest < max(self.smallest, side):
            raise UsageError(f"--largest is {max(self.smallest, side)} or more, not {self.largest}")
        return self._replace(smallest=self.smallest or side)


class Level(NamedTuple):
    """A shrunk picture, and how many of the picture's pixels one of its own is (down, across)."""

    pixels: NDArray[np.uint8]  # (h, w) or (h, w, 3)
    factors: tuple[float, float]


class Hits(NamedTuple):
    """Windows of a picture that a detector takes for what it looks for."""

    boxes: NDArray[np.float64]  # (M, 4): left, top, width, height in the picture's pixels
    scores: NDArray[np.float64]  # (M,)


NONE = Hits(np.empty((0, 4)), np.empty(0))


def levels(picture: NDArray[np.uint8], window: tuple[int, int], grid: Grid) -> Iterator[Level]:
    """Yield a picture shrunk so that windows of one size meet ever larger things in it."""
    # The paper enlarges the features instead; a shrunk picture is smoothed, as training faces are.
    factor = grid.smallest / min(window)
    sides = picture.shape[:2]
    most = grid.largest / min(window) if grid.largest else float("inf")
    while factor <= most * (1 + 1e-9):
        small = [round(side / factor) for side in sides]
        if small[0] < window[0] or small[1] < window[1]:
            return
        image = Image.fromarray(picture)
        if factor > 1:
            image = image.resize((small[1], small[0]), Image.Resampling.BILINEAR)
        factors = sides[0] / small[0], sides[1] / small[1]
        yield Level(np.asarray(image), factors)
        factor *= grid.scale


def count(sides: tuple[int, ...], window: tuple[int, int], grid: Grid) -> int:
    """Return how many windows a picture (height, width) has."""
    total, factor = 0, grid.smallest / min(window)
    most = grid.largest / min(window) if grid.largest else float("inf")
    while factor <= most * (1 + 1e-9):
        room = [round(side / factor) - own for side, own in zip(sides[:2], window, strict=True)]
        if min(room) < 0:
            break
        total += (room[0] // grid.step + 1) * (room[1] // grid.step + 1)
        factor *= grid.scale
    return total


def scan(cascade: Cascade, picture: Pixels, grid: Grid) -> Iterator[Hits]:
    """Yield the windows of a grey picture (H, W) that pass all stages, band by band."""
    for level in levels(picture, cascade.window, grid):
        for top, band in _bands(level.pixels, cascade.window, grid.step):
            rows, columns, scores = passing(cascade, band, grid.step)
            yield hits(rows + top, columns, scores, level, cascade.window)


def _bands(pixels: Pixels, window: tuple[int, int], step: int) -> Iterator[tuple[int, Pixels]]:
    """Cut a level into bands of rows that share what windows across their border need."""
    height, width = pixels.shape
    rows = max(1, BAND // width // step) * step  # of windows
    for top in range(0, height - window[0] + 1, rows):
        yield top, pixels[top : top + rows - 1 + window[0]]


def hits(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    scores: NDArray[np.float64],
    level: Level,
    window: tuple[int, int],
) -> Hits:
    """Return windows of a level as boxes of the picture."""
    down, across = level.factors
    boxes = np.empty((len(rows), 4))
    boxes[:, 0], boxes[:, 1] = columns * across, rows * down
    boxes[:, 2], boxes[:, 3] = window[1] * across, window[0] * down
    return Hits(boxes, scores)


def passing(
    cascade: Cascade, pixels: Pixels, step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows, columns and scores of the windows of (h, w) pixels that pass all stages."""
    height, width = cascade.window
    sums, squared = integral(pixels, np.int32), squares(pixels)
    total, squared_total = (_boxes(one, height, width, step) for one in (sums, squared))
    deviations = deviation(total, squared_total, height * width)
    first, *rest = cascade.stages
    margins = _dense(first, sums, deviations, step) - np.float32(first.threshold)
    rows, columns = np.nonzero(margins >= 0)
    places = rows * step * sums.shape[1] + columns * step
    windows = Windows(sums.reshape(-1), sums.shape[1], places, deviations[rows, columns])
    found = depth(rest, windows) if rest else Depth(rows * 0, margins[rows, columns])
    through = np.flatnonzero(found.passed == len(rest))
    scores = found.scores[through] + 1
    return rows[through] * step, columns[through] * step, scores


def _boxes(sums: Whole, height: int, width: int, step: int) -> Whole:
    """Return the sum over each window."""
    return np.asarray(
        sums[height::step, width::step]
        - sums[:-height:step, width::step]
        - sums[height::step, :-width:step]
        + sums[:-height:step, :-width:step]
    )


def _dense(stage: Stage, sums: Whole, deviations: Reals, step: int) -> Reals:
    """Return the sum of a stage's votes at every place: slices in place of single corners."""
    high, wide = deviations.shape
    at = stage.corners
    total = np.full(deviations.shape, -sum(stage.votes), np.float32)
    for row, weights in enumerate(at.weights.tolist()):
        value = np.zeros(deviations.shape, np.int32)
        for down, across, weight in zip(at.rows[row], at.columns[row], weights, strict=True):
            add(value, sums[down::step, across::step][:high, :wide], weight)
        vote(total, stage, row, value, deviations)
    return total
