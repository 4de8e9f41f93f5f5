"""Haar-like features: sums over light rectangles minus sums over dark ones.

Viola & Jones 2001 (https://doi.org/10.1109/CVPR.2001.990517), section 2, figure 1.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .integral import Whole

# Weights of a feature's equal cells. They sum to 0, so that brightness alone never counts; the
# paper's three rectangles do not, as it subtracts the outer two from one middle.
KINDS: dict[str, tuple[tuple[int, ...], ...]] = {
    "two-across": ((-1, 1),),
    "two-down": ((-1,), (1,)),
    "three-across": ((-1, 2, -1),),
    "three-down": ((-1,), (2,), (-1,)),
    "four": ((-1, 1), (1, -1)),
}
MOST_CORNERS = 9


class Feature(NamedTuple):
    """A kind of feature at a place of the window; its extent is that of all its cells."""

    kind: str
    left: int
    top: int
    width: int
    height: int


class Corners(NamedTuple):
    """Features as weighted corners of the integral image; unused places weigh 0."""

    rows: NDArray[np.int32]  # (F, MOST_CORNERS)
    columns: NDArray[np.int32]
    weights: NDArray[np.int32]

    def offsets(self, stride: int) -> NDArray[np.int64]:
        """Return each corner's place in a flat integral image whose rows are `stride` long."""
        return self.rows.astype(np.int64) * stride + self.columns


def cells(kind: str) -> tuple[int, int]:
    """Return how many cells a kind has, across and down."""
    pattern = KINDS[kind]
    return len(pattern[0]), len(pattern)


def count(kind: str, width: int, height: int) -> int:
    """Return how many features of a kind fit in a window, by a closed form.

    >>> sum(count(kind, 24, 24) for kind in KINDS), sum(count(kind, 19, 19) for kind in KINDS)
    (162336, 63960)
    """
    across, down = cells(kind)
    return _placed(width, across) * _placed(height, down)


def _placed(side: int, parts: int) -> int:
    # Extents parts, 2 parts, ..., k parts; one of e lies at side - e + 1 places.
    k = side // parts
    return k * (side + 1) - parts * k * (k + 1) // 2


@functools.cache
def features(width: int, height: int) -> tuple[Feature, ...]:
    """Return every feature that fits in a window: kind by kind, small ones first."""
    return tuple(
        Feature(kind, left, top, across, down)
        for kind in KINDS
        for down in range(cells(kind)[1], height + 1, cells(kind)[1])
        for across in range(cells(kind)[0], width + 1, cells(kind)[0])
        for top in range(height - down + 1)
        for left in range(width - across + 1)
    )


def fits(feature: Feature, width: int, height: int) -> bool:
    """Tell whether a feature has whole cells and lies inside a window."""
    across, down = cells(feature.kind)
    whole = feature.width % across == 0 and feature.height % down == 0
    right, bottom = feature.left + feature.width, feature.top + feature.height
    inside = 0 <= feature.left < right <= width and 0 <= feature.top < bottom <= height
    return whole and inside


def corners(chosen: Sequence[Feature]) -> Corners:
    """Return features as the corners of the integral image that they add up."""
    found = np.zeros((3, len(chosen), MOST_CORNERS), np.int32)
    for row, feature in enumerate(chosen):
        weights = _weights(feature.kind)
        down, across = np.nonzero(weights)
        wide, high = cells(feature.kind)
        places = (
            feature.top + down * (feature.height // high),
            feature.left + across * (feature.width // wide),
            weights[down, across],
        )
        for layer, values in zip(found, places, strict=True):
            layer[row, : len(values)] = values
    return Corners(*found)


@functools.cache
def _weights(kind: str) -> NDArray[Any]:
    """Return what each corner of a kind's cells weighs: the pattern's differences both ways."""
    framed = np.pad(np.array(KINDS[kind]), 1)
    return np.diff(np.diff(framed, axis=0), axis=1)


def values(sums: Whole, at: Corners) -> NDArray[np.float32]:
    """Return each feature of each window, (F, N), from integral images (N, H + 1, W + 1).

    Whole numbers: a float32 holds them exactly.
    """
    windows, stride = len(sums), sums.shape[2]
    # Corners as rows: each is read at one go for all windows.
    by_corner = np.ascontiguousarray(sums.reshape(windows, -1).T.astype(np.int32))
    places = at.offsets(stride)
    found = np.empty((len(places), windows), np.float32)
    for row in range(len(places)):
        used = at.weights[row] != 0
        found[row] = at.weights[row, used] @ by_corner[places[row, used]]
    return found
