"""A picture with a heat map of where a network looked over it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import cells, style
from .cells import Pixels, Values
from .sheet import Fitted, resized

FULL = 0.8  # how much of the picture the largest value covers


def looked(picture: Pixels, values: Values, limit: float, *, box: int) -> Fitted:
    """Draw a map (h, w) over a picture (H, W) or (H, W, 3), in a square box of pixels.

    The picture turns grey; values above 0 cover it in orange, fully at `limit`, and a line encloses
    what is above half of the map's own peak.
    """
    drawn = resized(picture, box)
    grey = np.asarray(Image.fromarray(drawn).convert("L").convert("RGB"), dtype=np.float64)
    shown = _stretched(values, (drawn.shape[0], drawn.shape[1]))
    cover = FULL * np.clip(shown / (limit or 1.0), 0, 1)[:, :, None]
    mixed = (1 - cover) * grey + cover * np.array(cells.rgb(style.ORANGE))
    peak = float(shown.max())
    if peak > 0:
        inner, outer = _edges(shown >= peak / 2)
        mixed[outer] = 0
        mixed[inner] = 255
    return Fitted(np.round(mixed).astype(np.uint8))


def _stretched(values: Values, size: tuple[int, int]) -> Values:
    """Enlarge a map smoothly; its borders are those of the picture."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    found: Values = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return found


def _edges(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the border of a region within it, and around it, two pixels wide each."""
    smaller, larger = _grown(~inside), _grown(inside)
    return inside & smaller, larger & ~inside


def _grown(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = region
    for _ in range(2):
        padded = np.pad(found, 1)
        found = (
            padded[1:-1, 1:-1]
            | padded[:-2, 1:-1]
            | padded[2:, 1:-1]
            | padded[1:-1, :-2]
            | padded[1:-1, 2:]
        )
    return found
