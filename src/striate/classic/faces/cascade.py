"""The cascade: stages of boosted stumps, of which each window passes the first to reach the next.

Viola & Jones 2001 (https://doi.org/10.1109/CVPR.2001.990517), section 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .haar import Corners, Feature, corners
from .integral import Pixels, Whole, deviation, integral, squares

FEW = 400  # windows

Rows = NDArray[np.int64]
Reals = NDArray[np.float32]


@dataclass(frozen=True)
class Stage:
    """Stumps that vote on a window; it passes where their sum is at least the threshold.

    A stump votes +vote where its feature is at least `threshold` times the window's standard
    deviation, else -vote. Votes are shares: their sizes sum to 1.
    """

    features: tuple[Feature, ...]
    thresholds: tuple[float, ...]
    votes: tuple[float, ...]
    threshold: float
    record: dict[str, Any] = field(default_factory=dict)  # what was measured in training

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def corners(self) -> Corners:
        """The features as corners of the integral image."""
        return corners(self.features)


@dataclass(frozen=True)
class Cascade:
    """Stages for windows of one size, and how they were made."""

    window: tuple[int, int]  # height, width in pixels
    stages: tuple[Stage, ...]
    record: dict[str, Any] = field(default_factory=dict)  # settings, data, the mean face

    def grown(self, stage: Stage) -> "Cascade":
        """Return the cascade with one stage more."""
        return replace(self, stages=(*self.stages, stage))

    @property
    def stumps(self) -> int:
        """Stumps of all stages."""
        return sum(len(stage) for stage in self.stages)


class Windows(NamedTuple):
    """Windows inside flat integral images: those of one picture, or of many small ones."""

    sums: Whole  # flat integral image
    stride: int  # length of its rows
    places: Rows  # (M,): each window's upper left corner in it
    deviations: Reals  # (M,)

    def only(self, kept: NDArray[Any]) -> "Windows":
        """Return some of the windows."""
        return self._replace(places=self.places[kept], deviations=self.deviations[kept])


class Depth(NamedTuple):
    """How far windows came: stages passed, and by how much the last one seen was passed or not."""

    passed: Rows  # (M,)
    margins: Reals  # (M,), in [-2, 2]

    @property
    def scores(self) -> NDArray[np.float64]:
        """One number a window that grows with both: the paper's way to take stages away."""
        return self.passed + (self.margins.astype(np.float64) + 2) / 4


def windows_of(pictures: Pixels) -> Windows:
    """Return pictures (N, H, W) of the window's size as windows."""
    count, height, width = pictures.shape
    sums, squared = integral(pictures, np.int32), squares(pictures)
    size = (height + 1) * (width + 1)
    pixels = height * width
    return Windows(
        sums.reshape(-1),
        width + 1,
        np.arange(count, dtype=np.int64) * size,
        deviation(sums[:, -1, -1], squared[:, -1, -1], pixels),
    )


def sums_of(stage: Stage, windows: Windows) -> Reals:
    """Return the sum of a stage's votes for each window."""
    found = _values_of_few if len(windows.places) < FEW else _values
    total = np.full(len(windows.places), -sum(stage.votes), np.float32)
    for row, value in enumerate(found(stage.corners, windows)):
        vote(total, stage, row, value, windows.deviations)
    return total


def vote(total: Reals, stage: Stage, row: int, value: NDArray[np.int32], deviations: Reals) -> None:
    """Add one stump's vote, given its feature's values: one way for all, to the last bit."""
    above = value.astype(np.float32) >= np.float32(stage.thresholds[row]) * deviations
    total += np.float32(2 * stage.votes[row]) * above


def add(value: NDArray[np.int32], part: Whole, weight: int) -> None:
    """Add a corner; most weigh 1 or -1, which spares a product."""
    if weight == 1:
        value += part
    elif weight == -1:
        value -= part
    elif weight:
        value += weight * part


def _values(at: Corners, windows: Windows) -> Iterator[NDArray[np.int32]]:
    """Yield each feature of all windows."""
    for weights, offsets in zip(at.weights.tolist(), at.offsets(windows.stride), strict=True):
        value = np.zeros(len(windows.places), np.int32)
        for weight, offset in zip(weights, offsets.tolist(), strict=True):
            if weight:
                add(value, windows.sums[offset:].take(windows.places), weight)
        yield value


def _values_of_few(at: Corners, windows: Windows) -> Iterator[NDArray[np.int32]]:
    """Yield each feature of few windows, all taken at once: NumPy's calls would cost the most."""
    places = at.offsets(windows.stride).reshape(-1, 1) + windows.places  # (9 F, M)
    taken = windows.sums.take(places) * at.weights.reshape(-1, 1)
    yield from taken.reshape(*at.weights.shape, -1).sum(axis=1, dtype=np.int32)


def depth(stages: Sequence[Stage], windows: Windows) -> Depth:
    """Send windows through stages, each until it fails one."""
    passed = np.zeros(len(windows.places), np.int64)
    margins = np.zeros(len(windows.places), np.float32)
    alive = np.arange(len(windows.places))
    for number, stage in enumerate(stages, start=1):
        found = sums_of(stage, windows.only(alive)) - np.float32(stage.threshold)
        margins[alive] = found
        alive = alive[found >= 0]
        passed[alive] = number
    return Depth(passed, margins)
