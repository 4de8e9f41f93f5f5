"""Fractional max pooling: regions of unequal size, so that a side shrinks by any factor.

Graham 2014, https://arxiv.org/abs/1412.6071. Regions are pairs (start, stop) of cells along one
side. Graham's bounds leave the last row out of the disjoint regions; here they tile the whole side.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

Regions = list[tuple[int, int]]


def pool_regions(x: Tensor, *regions: Regions) -> Tensor:
    """Return the greatest cell of each region: (N, C, *sizes) -> (N, C, *counts), a list a side."""
    # The maximum over a box is that over one side, then over the next.
    for axis, along in enumerate(regions, start=2):
        x = torch.stack([x.narrow(axis, a, b - a).amax(axis) for a, b in along], axis)
    return x


def pseudo_random(size: int, count: int, u: float) -> list[int]:
    """Return count + 1 bounds from 0 to size, spread as evenly as whole numbers can be.

    They are floor(alpha (i + u)) - floor(alpha u), alpha = size / count; u in (0, 1) is drawn.

    >>> pseudo_random(10, 7, 0.25)
    [0, 1, 3, 4, 6, 7, 8, 10]
    """
    # Exact: a rounded alpha could put the last bound off the side.
    alpha, shift = Fraction(size, count), Fraction(u)
    first = math.floor(alpha * shift)
    return [math.floor(alpha * (i + shift)) - first for i in range(count + 1)]


def random(size: int, count: int, generator: torch.Generator) -> list[int]:
    """Return count + 1 bounds from 0 to size: steps of the two lengths near size / count, shuffled.

    >>> random(10, 7, torch.Generator().manual_seed(0))
    [0, 1, 3, 4, 5, 7, 8, 10]
    """
    low, larger = divmod(size, count)
    steps = torch.tensor([low + 1] * larger + [low] * (count - larger))
    shuffled = steps[torch.randperm(count, generator=generator)]
    return [0, *shuffled.cumsum(0).tolist()]


def disjoint(bounds: Sequence[int]) -> Regions:
    """Return regions that tile the side.

    >>> disjoint([0, 1, 3, 4])
    [(0, 1), (1, 3), (3, 4)]
    """
    return list(itertools.pairwise(bounds))


def overlapping(bounds: Sequence[int]) -> Regions:
    """Return regions that share a cell with the next; the last ends with the side.

    >>> overlapping([0, 1, 3, 4])
    [(0, 2), (1, 4), (3, 4)]
    """
    return [(a, min(b + 1, bounds[-1])) for a, b in disjoint(bounds)]


def fixed_size(size: int, count: int, u: float, *, kernel: int) -> Regions:
    """Return regions of `kernel` cells at pseudo-random starts, as torch's fractional pooling.

    >>> fixed_size(10, 7, 0.3, kernel=2)
    [(0, 2), (1, 3), (3, 5), (4, 6), (5, 7), (7, 9), (8, 10)]
    """
    last = size - kernel
    alpha = last / max(1, count - 1)
    starts = [int((i + u) * alpha) - int(u * alpha) for i in range(count - 1)]
    return [(start, start + kernel) for start in [*starts, last]]
