"""Pictures as a page shows them: as the network sees them, small and square."""

import contextlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from striate.data import Split
from striate.data.batches import decoded
from striate.data.preparation.kinds import Preparation

from .gathered import Opened

# Pixels of a picture on the page, at most: the more pictures, the smaller.
SIDES = {2_000: 96, 6_000: 64}
SMALLEST = 32


def thumbnail_side(count: int) -> int:
    """Return the pixels that each of so many pictures is given.

    >>> thumbnail_side(950), thumbnail_side(6_000), thumbnail_side(20_000)
    (96, 64, 32)
    """
    return next((side for most, side in SIDES.items() if count <= most), SMALLEST)


def thumbnails(opened: Opened, split: Split, most: int) -> NDArray[np.uint8]:
    """Read pictures, and make them squares of at most so many pixels: (N, S, S) or (N, S, S, 3)."""
    preparation = opened.bundle.preprocessing
    results = decoded(split, preparation, opened.workers, strict=True, poll=opened.poll)
    with contextlib.closing(results):
        drawn = [
            small(preparation, pixels, most) for pixels in results if isinstance(pixels, Tensor)
        ]
    return np.stack(drawn)


def small(preparation: Preparation, pixels: Tensor, most: int) -> NDArray[np.uint8]:
    """Draw one example as a square of at most so many pixels: (S, S) or (S, S, 3)."""
    image = preparation.image(pixels)
    edge = min(most, max(image.shape[:2]))
    if image.shape[:2] == (edge, edge):
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((edge, edge), Image.Resampling.BOX)
    # The longest side decides; what is not square lies on black.
    canvas = Image.new(picture.mode, (edge, edge))
    canvas.paste(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
    return np.array(canvas)
