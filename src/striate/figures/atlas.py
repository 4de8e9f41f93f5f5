"""Pictures as the points of a map, the classes named where most of their pictures lie."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import cells, style
from .charts import CLASSES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Places = NDArray[np.floating]

SIDE = style.WIDTH - 2 * style.MARGIN  # pixels of the map
PICTURE = 44  # pixels of a picture with its frame
FRAME = 3
DOT = 4
_NEAR = 0.55  # of a picture's side: nearer to one that is drawn, a picture is a dot


class Mapped(NamedTuple):
    """N pictures on a map; a class of -1 is none."""

    xy: Places  # (N, 2)
    pictures: NDArray[np.uint8]  # (N, S, S) or (N, S, S, 3)
    labels: NDArray[np.int64]  # (N,)
    classes: Sequence[str]
    colours: Sequence[int]  # of each class, which of ten


def atlas(found: Mapped, title: str = "", *, form: str = "png") -> bytes:
    """Draw pictures where they lie on a map, framed in their class's colour: PNG or SVG."""
    top = style.heading_height(title)
    figure = style.canvas(style.WIDTH, top + SIDE + style.MARGIN)
    style.write_heading(figure, title, top=0)
    places = _fitted(found.xy)
    cells.place(figure, _painted(found, places), style.MARGIN, top)
    for label, name in enumerate(found.classes):
        own = places[found.labels == label]
        if len(own):
            _write_name(figure, name, own, top)
    return style.FORMS[form](figure)


def _fitted(xy: Places) -> Places:
    """Turn places into pixels from the upper left corner of the map."""
    low, high = xy.min(0), xy.max(0)
    span = float((high - low).max()) or 1.0
    unit = (xy - (low + high) / 2) / span * (1, -1) + 0.5
    return np.asarray(unit * (SIDE - PICTURE - 2) + PICTURE / 2 + 1)


def _painted(found: Mapped, places: Places) -> NDArray[np.uint8]:
    stage = np.full((SIDE, SIDE, 3), 255, np.uint8)
    shown = apart(places, PICTURE * _NEAR)
    for row in np.flatnonzero(~shown):
        dot = np.empty((DOT, DOT, 3), np.uint8)
        dot[:] = _colour(found, int(row))
        _put(stage, places[row], dot)
    for row in np.flatnonzero(shown)[::-1]:
        _put(stage, places[row], _framed(found.pictures[row], _colour(found, int(row))))
    return stage


def apart(places: Places, least: float) -> NDArray[np.bool_]:
    """Choose places (N, 2) that lie apart along one axis at least, the earlier ones first."""
    kept = np.zeros(len(places), bool)
    for row, place in enumerate(places):
        kept[row] = not (np.abs(places[kept] - place).max(1) < least).any()
    return kept


def _colour(found: Mapped, row: int) -> tuple[int, int, int]:
    label = int(found.labels[row])
    return cells.rgb(CLASSES[found.colours[label]] if label >= 0 else style.RULE)


def _framed(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    inner = PICTURE - 2 * FRAME
    how = Image.Resampling.NEAREST if picture.shape[0] * 3 <= inner else Image.Resampling.LANCZOS
    framed = np.full((PICTURE, PICTURE, 3), colour, np.uint8)
    shrunk = Image.fromarray(picture).convert("RGB").resize((inner, inner), how)
    framed[FRAME:-FRAME, FRAME:-FRAME] = np.asarray(shrunk)
    return framed


def _put(stage: NDArray[np.uint8], middle: Places, picture: NDArray[np.uint8]) -> None:
    high, wide = picture.shape[:2]
    left, top = round(float(middle[0]) - wide / 2), round(float(middle[1]) - high / 2)
    stage[top : top + high, left : left + wide] = picture


def _write_name(figure: "Figure", name: str, own: Places, top: int) -> None:
    """Write a class's name above most of its pictures, with a white edge."""
    from matplotlib.patheffects import withStroke

    x, y = float(np.median(own[:, 0])), float(np.quantile(own[:, 1], 0.1)) - PICTURE
    figure.text(
        (style.MARGIN + x) / figure.bbox.width,
        1 - (top + max(12.0, y)) / figure.bbox.height,
        style.shorten(name, 300, style.NORMAL, "bold"),
        ha="center",
        va="center",
        color=style.INK,
        fontproperties=style.font(style.NORMAL, "bold"),
        parse_math=False,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
