"""From a picture's file to the drawing of its feature maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import figures, images
from striate.errors import DataError, UsageError

from .maps import Response, Sliding, is_drawing
from .toy import toy


def read(picture: Path, size: int | None = None) -> NDArray[np.uint8]:
    """Return a picture, (H, W) or (H, W, 3), or for the word `toy` the toy drawing.

    A long side beyond `size`, or beyond what a figure has room for, is shrunk; a drawing is not,
    unless `size` asks for it.
    """
    if size is not None and size < 1:
        raise UsageError(f"--size is 1 or more, not {size}")
    pixels = _pixels(picture)
    most = size or figures.box_side(drawing=False)
    factor = most / max(pixels.shape[:2])
    if factor >= 1 or (size is None and is_drawing(pixels)):
        return pixels
    sides = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.LANCZOS))


def _pixels(picture: Path) -> NDArray[np.uint8]:
    if picture.exists():
        return images.decode(picture)
    if str(picture) == "toy":
        return toy()
    raise DataError(f"there is no file {picture}")


def draw(
    name: str, pixels: NDArray[np.uint8], responses: Sequence[Response], how: Sliding
) -> bytes:
    """Draw picture, filters and maps side by side: PNG."""
    rows = [
        figures.MapRow(
            response.filter.name,
            response.filter.weights,
            response.values.numpy(),
            None if response.found is None else response.found.numpy(),
            len(response.places),
        )
        for response in responses
    ]
    slide = figures.MapSlide(how.stride, how.padding)
    title = f"{name}: {_many(rows)}"
    return figures.maps(pixels, rows, slide=slide, formula=_formula(how), title=title)


def _formula(how: Sliding) -> str:
    bias = f" {'-' if how.bias < 0 else '+'} {abs(how.bias):g}" if how.bias else ""
    answer = f"W * x{bias}"
    return f"m = {answer}" if how.f == "linear" else f"m = {how.f}({answer})"


def _many(rows: Sequence[object]) -> str:
    return "one filter and its map" if len(rows) == 1 else f"{len(rows)} filters and their maps"
