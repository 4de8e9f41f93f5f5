"""Torch's antialiased resizing of uint8 pictures, without torch and equal to it in every level.

Two passes, rows first, each a sum with weights of 16 bits, rounded to whole levels, as in ATen's
UpSampleKernelAVXAntialias.h. The sums are of whole numbers below 2**53: exact in any order.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]  # (H, W) or (H, W, 3)

# Half the width of each filter, in pixels of the smaller picture.
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
_STRIP = 16  # places of the result that are computed at once


def resample(array: Array, size: tuple[int, int], filter: str) -> Array:
    """Resize a picture to (height, width): bilinear or bicubic, antialiased."""
    return _along(_along(array, 1, size[1], filter), 0, size[0], filter)


class _Strip(NamedTuple):
    """Some places of the result, next to each other, and the given ones that they are made of."""

    begin: int  # of the given
    end: int
    weights: NDArray[np.float64]  # (places, end - begin), whole numbers
    bits: int  # by which the sums are shifted


def _along(array: Array, axis: int, size: int, filter: str) -> Array:
    given = array.shape[axis]
    if given == size:
        return array
    lines = np.moveaxis(array, axis, 0)
    flat = lines.reshape(given, -1).astype(np.float64)
    found = np.empty((size, flat.shape[1]), np.uint8)
    start = 0
    for strip in _strips(given, size, filter):
        end = start + len(strip.weights)
        found[start:end] = _levels(strip.weights @ flat[strip.begin : strip.end], strip.bits)
        start = end
    return np.moveaxis(found.reshape(size, *lines.shape[1:]), 0, axis)


def _levels(sums: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Bring sums to levels, in place: a half more, then cut off as they become whole."""
    sums += 2.0 ** (bits - 1)
    sums *= 2.0**-bits
    return np.clip(sums, 0, 255, out=sums)


@functools.lru_cache(64)
def _strips(given: int, size: int, filter: str) -> list[_Strip]:
    weights, bits = _weights(given, size, filter)
    found = []
    for start in range(0, size, _STRIP):
        part = weights[start : start + _STRIP]
        used = np.flatnonzero(part.any(0))
        begin, end = int(used[0]), int(used[-1]) + 1
        found.append(_Strip(begin, end, np.ascontiguousarray(part[:, begin:end]), bits))
    return found


def _weights(given: int, size: int, filter: str) -> tuple[NDArray[np.float64], int]:
    """Return what each given place counts in each place of the result: (size, given), and bits."""
    scale = given / size
    support = SUPPORT[filter] * max(scale, 1.0)
    centres = scale * (np.arange(size) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), given)
    places = np.arange(given)
    apart = (places - centres[:, None] + 0.5) * (1 / max(scale, 1.0))
    inside = (places >= first[:, None]) & (places < last[:, None])
    shares = np.where(inside, _CURVES[filter](np.abs(apart)), 0.0)
    shares = shares / shares.sum(1, keepdims=True)
    bits = _bits(float(shares.max()))
    wide = shares * 2**bits
    return np.trunc(wide + np.where(wide < 0, -0.5, 0.5)), bits


def _bits(largest: float) -> int:
    """Return how many bits the weights get, so that the largest stays below 2**15."""
    return next((n for n in range(22) if int(0.5 + largest * 2 ** (n + 1)) >= 2**15), 22)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1 - x, 0.0)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys 1981, a = -1/2, which is Pillow's as well."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_CURVES = {"bilinear": _triangle, "bicubic": _cubic}
