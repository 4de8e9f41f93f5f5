"""What pictures look like before they are decoded: sizes and colours, read from their headers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from striate import images

# Enough to know the usual size. Colour is asked of all, up to the first that is not grey.
LOOKED_AT = 2000


class Survey(NamedTuple):
    """The usual size of a split's pictures in pixels, and whether all of them are grey."""

    height: int  # medians
    width: int
    uniform: bool  # all of one size
    grey: bool


def survey(pictures: Sequence[Any]) -> Survey:
    """Look at the headers of up to 2,000 pictures, evenly spread; unreadable ones are passed over."""
    if isinstance(pictures, np.ndarray):
        return Survey(pictures.shape[1], pictures.shape[2], True, pictures.ndim == 3)
    places = np.unique(np.linspace(0, len(pictures) - 1, LOOKED_AT).astype(int))
    seen = [found for place in places if (found := _header(pictures[int(place)]))]
    if not seen:
        return Survey(64, 64, True, False)
    heights, widths, greys = zip(*seen, strict=True)
    grey = all(greys) and (len(seen) == len(pictures) or _all_grey(pictures))
    uniform = len(set(heights)) == len(set(widths)) == 1
    return Survey(int(np.median(heights)), int(np.median(widths)), uniform, grey)


def _all_grey(pictures: Sequence[Any]) -> bool:
    headers = (_header(pictures[place]) for place in range(len(pictures)))
    return all(found[2] for found in headers if found)


def _header(picture: Any) -> tuple[int, int, bool] | None:
    if isinstance(picture, Path):
        return images.header(picture)
    if isinstance(picture, Image.Image):
        return picture.height, picture.width, picture.mode in ("1", "L", "I;16", "I", "F")
    shape = tuple(picture.shape)
    if isinstance(picture, np.ndarray):
        return shape[0], shape[1], len(shape) == 2 or shape[2] == 1
    return shape[1], shape[2], shape[0] == 1
