"""What pictures look like before they are decoded: sizes and colours, read from their headers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import images
from striate.images import PictureError

# Enough to know the usual size. Colour is asked of all, up to the first that is not grey.
LOOKED_AT = 2000


class Survey(NamedTuple):
    """The usual size of a split's pictures in pixels, and whether all of them are grey."""

    height: int  # medians
    width: int
    grey: bool


def survey(pictures: Sequence[Any] | NDArray[np.uint8]) -> Survey:
    """Look at the headers of up to 2,000 pictures, evenly spread; a bad one is passed over."""
    if isinstance(pictures, np.ndarray):
        return Survey(
            pictures.shape[1], pictures.shape[2], pictures.ndim == 3 or pictures.shape[3] <= 2
        )
    places = np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).astype(int)
    seen = [found for place in places if (found := _header(pictures, int(place)))]
    if not seen:
        return Survey(64, 64, False)
    heights, widths, greys = zip(*seen, strict=True)
    grey = all(greys) and (len(places) == len(pictures) or _all_grey(pictures))
    return Survey(int(np.median(heights)), int(np.median(widths)), grey)


def smaller_than(pictures: Sequence[Any] | NDArray[np.uint8], side: int) -> NDArray[np.bool_]:
    """Tell which pictures have a side of fewer pixels: (N,); a bad one has not.

    Where none of 500, evenly spread, is that small, none is.
    """
    if isinstance(pictures, np.ndarray):
        return np.full(len(pictures), min(pictures.shape[1:3]) < side)

    def is_smaller(place: int) -> bool:
        found = _header(pictures, place)
        return found is not None and min(found[:2]) < side

    places = np.linspace(0, len(pictures) - 1, min(500, len(pictures))).astype(int)
    if not any(is_smaller(int(place)) for place in places):
        return np.zeros(len(pictures), np.bool_)
    return np.array([is_smaller(place) for place in range(len(pictures))], np.bool_)


def _all_grey(pictures: Sequence[Any]) -> bool:
    headers = (_header(pictures, place) for place in range(len(pictures)))
    return all(found[2] for found in headers if found)


def _header(pictures: Sequence[Any], place: int) -> tuple[int, int, bool] | None:
    """Return height, width, and whether it is grey; None for what no preprocessing would take."""
    try:
        picture = pictures[place]
    except PictureError:
        return None
    if isinstance(picture, Path | images.Stored):
        return images.header(picture)
    if isinstance(picture, Image.Image):
        return picture.height, picture.width, picture.mode in images.GREYS
    shape = tuple(getattr(picture, "shape", ()))
    if len(shape) == 2:
        return shape[0], shape[1], True
    if len(shape) != 3:
        return None
    # Arrays are (H, W, C), tensors (C, H, W).
    height, width, channels = shape if isinstance(picture, np.ndarray) else (*shape[1:], shape[0])
    return height, width, channels <= 2  # grey, or grey and alpha
