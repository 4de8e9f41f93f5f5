"""Pictures brought to a network's size: which part is seen, and its resizing without torch."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .resampling import resample

Array = NDArray[np.uint8]  # (H, W) or (H, W, 3)
Box = tuple[float, float, float, float]  # top, left, height, width in pixels

FITS = ("crop", "stretch", "pad")
# Named one by one: Pillow 13 has more, 12 has not.
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Torch's, three times as fast as Pillow's: equal to one level, bicubic to two on photographs.
QUICK = ("bilinear", "bicubic")
# Torch resizes whole pixels only, so a part may be moved by this share of its side; else Pillow.
MOVED = 1 / 400


class Fitting(NamedTuple):
    """How a picture is brought to a network's size and colours."""

    size: tuple[int, int]  # height and width, in pixels
    channels: int  # 1 is grey, 3 is RGB
    fit: str
    share: float  # of each side of the resized picture that a crop keeps
    filter: str

    @property
    def least(self) -> int:
        """Pixels a side of which a scaled JPEG has at least so many."""
        # The resizing averages at least two pixels a side: what such a JPEG lacks is not missed.
        return math.ceil(2 * max(self.size) / self.share)


def fitted(array: Array, given: Fitting) -> Array:
    """Return a picture (H, W) or (H, W, 3) in the network's size, uint8 (H, W, C)."""
    if given.channels == 1 and array.ndim == 3:
        array = grey(array)
    sides = array.shape[:2]
    if given.fit == "pad":
        found = _padded(array, given)
    else:
        whole = (0.0, 0.0, float(sides[0]), float(sides[1]))
        box = crop(sides, given.size, given.share) if given.fit == "crop" else whole
        found = _resized(array, box, given.size, given.filter)
    planes = found if found.ndim == 3 else found[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(planes, (*given.size, given.channels)))


def grey(array: Array) -> Array:
    """Return a picture (H, W, 3) in grey: (H, W)."""
    return np.array(Image.fromarray(array).convert("L"))


def crop(given: tuple[int, ...], size: tuple[int, int], share: float) -> Box:
    """Return the centred part of a (height, width) picture in which a crop of `size` lies."""
    step = min(have / want for have, want in zip(given, size, strict=True)) * share
    down, across = (min(step * want, have) for have, want in zip(given, size, strict=True))
    return (given[0] - down) / 2, (given[1] - across) / 2, down, across


def inside(given: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return where a whole picture lies in a padded one: top, left, height, width."""
    scale = min(want / have for have, want in zip(given, size, strict=True))
    down, across = (max(1, round(side * scale)) for side in given)
    return (size[0] - down) // 2, (size[1] - across) // 2, down, across


def whole_pixels(box: Box, filter: str) -> tuple[int, int, int, int] | None:
    """Return the part of whole pixels that is resized by itself; None where Pillow resizes."""
    top, left, down, across = whole = tuple(round(number) for number in box)
    apart = max(abs(have - want) for have, want in zip(whole, box, strict=True))
    usual = filter in QUICK and apart <= MOVED * min(down, across)
    return (top, left, down, across) if usual else None


def by_pillow(array: Array, box: Box, size: tuple[int, int], filter: str) -> Array:
    """Resize a part by Pillow, which looks at the pixels beside it as well."""
    # A sum of floats may pass the border by its rounding.
    bottom, right = (min(box[i] + box[i + 2], array.shape[i]) for i in (0, 1))
    corners = (box[1], box[0], right, bottom)
    return np.array(Image.fromarray(array).resize(size[::-1], FILTERS[filter], corners))


def _padded(array: Array, given: Fitting) -> Array:
    top, left, down, across = inside(array.shape[:2], given.size)
    whole = (0.0, 0.0, float(array.shape[0]), float(array.shape[1]))
    canvas = np.zeros((*given.size, *array.shape[2:]), np.uint8)
    canvas[top : top + down, left : left + across] = _resized(
        array, whole, (down, across), given.filter
    )
    return canvas


def _resized(array: Array, box: Box, size: tuple[int, int], filter: str) -> Array:
    part = whole_pixels(box, filter)
    if part is None:
        return by_pillow(array, box, size, filter)
    top, left, down, across = part
    cut = np.ascontiguousarray(array[top : top + down, left : left + across])
    return cut if cut.shape[:2] == size else resample(cut, size, filter)
