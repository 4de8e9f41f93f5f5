"""Merging: many overlapping windows on one thing become one box."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scanning import Hits

OVERLAP = 0.4  # shared area by joint area, from which on two windows are taken for one thing


class Found(NamedTuple):
    """A box in the picture's pixels, its score, and how many windows agreed on it."""

    left: float
    top: float
    width: float
    height: float
    score: float
    windows: int


def merge(hits: Hits, *, agree: int = 1, overlap: float = OVERLAP) -> list[Found]:
    """Return a box for each group of overlapping windows, the best first.

    The window of the highest score takes all that overlap it, and so on with what is left; the box
    is their mean. Groups of fewer than `agree` windows are left out, and so are boxes that lie
    mostly in one with more.
    """
    # The paper joins whatever touches, which makes one box of two faces side by side.
    left = np.argsort(-hits.scores, kind="stable")
    groups = []
    while len(left):
        close = overlaps(hits.boxes[left[0]], hits.boxes[left]) >= overlap
        close[0] = True
        groups.append(left[close])
        left = left[~close]
    boxes = [_mean(hits, group) for group in groups if len(group) >= agree]
    return _without_inner(sorted(boxes, key=lambda box: (-box.windows, -box.score)))


def overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shared area by joint area of a box (4,) with each of (N, 4)."""
    shared = _shared(box, boxes)
    joint = box[2] * box[3] + boxes[:, 2] * boxes[:, 3] - shared
    return np.asarray(shared / joint)


def _shared(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    return np.asarray(np.prod(np.clip(high - low, 0, None), axis=1))


def _mean(hits: Hits, group: NDArray[np.int64]) -> Found:
    left, top, width, height = hits.boxes[group].mean(axis=0).tolist()
    return Found(left, top, width, height, float(hits.scores[group].max()), len(group))


def _without_inner(boxes: list[Found]) -> list[Found]:
    """Leave out boxes of which more than half lies in one before them, or that hold half of it."""
    kept: list[Found] = []
    for box in boxes:
        if kept:
            one, others = np.array(box[:4]), np.array([other[:4] for other in kept])
            smaller = np.minimum(one[2] * one[3], others[:, 2] * others[:, 3])
            if (_shared(one, others) > 0.5 * smaller).any():
                continue
        kept.append(box)
    return sorted(kept, key=lambda box: -box.score)
