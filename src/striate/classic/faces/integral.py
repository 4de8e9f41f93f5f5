"""Integral images: the sum over any rectangle of a picture from four numbers.

Viola & Jones 2001 (https://doi.org/10.1109/CVPR.2001.990517), section 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Whole = NDArray[np.integer[Any]]

# In grey levels: a flatter window counts as this uneven, so that its noise is not blown up.
LEAST_DEVIATION = 1.0


def integral(pictures: Whole, dtype: type[np.integer[Any]] = np.int64) -> Whole:
    """Return the sums (..., H + 1, W + 1) over all that lies above and left of each corner.

    >>> integral(np.array([[1, 2], [3, 4]])).tolist()
    [[0, 0, 0], [0, 1, 3], [0, 4, 10]]
    """
    height, width = pictures.shape[-2:]
    sums = np.zeros((*pictures.shape[:-2], height + 1, width + 1), dtype)
    inside = sums[..., 1:, 1:]
    np.cumsum(pictures, axis=-2, dtype=dtype, out=inside)
    np.cumsum(inside, axis=-1, out=inside)
    return sums


def squares(pictures: Pixels) -> Whole:
    """Return the integral images of the squared pixels; they pass what 32 bits hold."""
    return integral(np.square(pictures, dtype=np.int32))


def rectangle(sums: Whole, top: int, left: int, height: int, width: int) -> Whole:
    """Return the sum over a rectangle of each picture, from its integral image (..., H+1, W+1)."""
    bottom, right = top + height, left + width
    outer = sums[..., bottom, right] - sums[..., top, right]
    return np.asarray(outer - sums[..., bottom, left] + sums[..., top, left])


def deviation(total: Whole, squared: Whole, pixels: int) -> NDArray[np.float32]:
    """Return standard deviations from sums of values and of squares over so many pixels."""
    # Whole numbers until the root, so that no digits cancel.
    spread = pixels * squared.astype(np.int64) - np.square(total.astype(np.int64))
    found = np.sqrt(spread.astype(np.float64)) / pixels
    return np.maximum(found, LEAST_DEVIATION).astype(np.float32)
