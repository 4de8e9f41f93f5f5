"""What pictures look like before they are decoded: sizes and colours, read from their headers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import images
from striate.decoding import fetching
from striate.images import PictureError

# Enough to know the usual size. Colour is asked of all, up to the first that is not grey.
LOOKED_AT = 2000
FETCHED = 64  # pictures that are fetched side by side, where they are elsewhere


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
    seen = [found for found in _headers(pictures, places.tolist()) if found]
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

    def are_smaller(places: Sequence[int]) -> Iterator[bool]:
        found = _headers(pictures, places)
        return (one is not None and min(one[:2]) < side for one in found)

    places = np.linspace(0, len(pictures) - 1, min(500, len(pictures))).astype(int)
    if not any(are_smaller(places.tolist())):
        return np.zeros(len(pictures), np.bool_)
    return np.fromiter(are_smaller(range(len(pictures))), np.bool_, len(pictures))


def _all_grey(pictures: Sequence[Any]) -> bool:
    return all(found[2] for found in _headers(pictures, range(len(pictures))) if found)


def _headers(
    pictures: Sequence[Any], places: Sequence[int]
) -> Iterator[tuple[int, int, bool] | None]:
    """Yield height, width and whether it is grey; None for what no preprocessing would take."""
    fetch = fetching(pictures)
    for start in range(0, len(places), FETCHED):
        some = places[start : start + FETCHED]
        yield from map(_header, fetch(some) if fetch else (_item(pictures, one) for one in some))


def _item(pictures: Sequence[Any], place: int) -> Any:
    try:
        return pictures[place]
    except PictureError:
        return None


def _header(picture: Any) -> tuple[int, int, bool] | None:
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
