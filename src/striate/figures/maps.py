"""A picture, filters, and the feature maps that they give, side by side."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import cells, style
from .cells import Pixels, Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BETWEEN = 56  # columns, in pixels
FILTER = 190  # side of a filter
LABELS = 34  # height of the columns' names
BAR = 120  # length of a scale of colours
SEEN = 12.0  # pixels that a frame is wide, at least
NARROWEST = 340  # column, which has to hold its name and caption


class Row(NamedTuple):
    """A filter and its map; of a drawing also where its whole pattern is."""

    name: str
    weights: Values  # (e, e) or (C, e, e)
    values: Values  # (h, w)
    found: NDArray[np.uint8] | None = None  # (H, W): 1 in a found pattern, 2 in its middle, else 0
    places: int = 0


class Slide(NamedTuple):
    """How filters slid: a map's cell is as wide as `stride` of the picture's."""

    stride: int = 1
    padding: int = 0


class Place(NamedTuple):
    """Where a row is drawn, in pixels: its top, a column's width, a cell's side."""

    top: int
    column: int
    scale: float


def box_side(*, drawing: bool) -> int:
    """Return the pixels that a picture's long side is drawn in; a drawing has a column more."""
    pictures = 3 if drawing else 2
    room = style.WIDTH - 2 * style.MARGIN - FILTER - pictures * BETWEEN
    return room // pictures


def maps(
    picture: Pixels,
    rows: Sequence[Row],
    *,
    slide: Slide | None = None,
    formula: str = "",
    title: str = "",
) -> bytes:
    """Draw a picture, (H, W) or (H, W, 3), and beside it a line for each filter: PNG.

    Of a drawing, where rows know what was found, a last column shows it.
    """
    drawing = any(row.found is not None for row in rows)
    shown = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    scale = cells.side(box_side(drawing=drawing) / max(picture.shape[:2]))
    drawn = cells.enlarged(shown, scale)
    tall, column = len(drawn), max(NARROWEST, drawn.shape[1])
    heights = [max(tall + 2 * style.LINE, FILTER + 2 * style.LINE) + style.GAP + 8 for _ in rows]
    first = style.heading_height(title) + LABELS
    width = _lefts(column)[3 if drawing else 2] + column + style.MARGIN
    figure = style.canvas(width, first + sum(heights) + style.MARGIN - style.GAP)
    style.write_heading(figure, title, top=0)
    _write_labels(figure, first - LABELS, column, formula, drawing=drawing)
    for number, row in enumerate(rows):
        at = Place(first + sum(heights[:number]), column, scale)
        cells.place(figure, drawn, style.MARGIN, at.top)
        lines = [_about(picture, drawing=drawing), "framed: the window of the greatest answer"]
        _caption(figure, style.MARGIN, at.top + tall, lines[: 1 + bool(row.values.max() > 0)])
        _draw(figure, shown, row, at, slide or Slide())
    return style.png(figure)


def _lefts(column: int) -> list[int]:
    """Return where the columns begin: picture, filter, map, matches."""
    widths = [column, FILTER, column]
    return [style.MARGIN + sum(widths[:i]) + i * BETWEEN for i in range(4)]


def _write_labels(figure: "Figure", top: int, column: int, formula: str, *, drawing: bool) -> None:
    labels = ["picture x", "filter W", f"map {formula}", "where the whole pattern is"]
    for left, label in zip(_lefts(column), labels[: 4 if drawing else 3], strict=False):
        style.write(figure, left, top, label, style.font(style.NORMAL, "bold"))


def _about(picture: Pixels, *, drawing: bool) -> str:
    height, width = picture.shape[:2]
    return f"{width} x {height}: " + ("ink 1, paper 0" if drawing else "brightness 0 to 1")


def _draw(figure: "Figure", picture: Pixels, row: Row, at: Place, slide: Slide) -> None:
    _, filter_left, map_left, match_left = _lefts(at.column)
    _frame_greatest(figure, picture, row, at, slide)
    _draw_filter(figure, row, filter_left, at.top)
    limit = _limit(row.values)
    drawn = _framed(cells.coloured(row.values, limit), row, picture, at, slide)
    cells.place(figure, drawn, map_left, at.top)
    _draw_scale(figure, row.values, limit, map_left, at.top + len(drawn))
    if row.found is not None:
        drawn = cells.enlarged(_marked(picture, row.found), at.scale)
        cells.place(figure, drawn, match_left, at.top)
        middles = ", their middles in orange" if row.places else ""
        line = f"{row.places} of {row.values.size} places{middles}"
        _caption(figure, match_left, at.top + len(drawn), [line])


def _frame_greatest(figure: "Figure", picture: Pixels, row: Row, at: Place, slide: Slide) -> None:
    """Frame the window with the greatest answer, as far as it lies in the picture."""
    if not row.values.max() > 0:
        return
    places = np.unravel_index(int(row.values.argmax()), row.values.shape)
    spans = []
    for place, e, side in zip(places, row.weights.shape[-2:], picture.shape[:2], strict=True):
        start = int(place) * slide.stride - slide.padding
        low, high = max(0, start) * at.scale, min(side, start + e) * at.scale
        least = max(0.0, SEEN - (high - low)) / 2
        spans.append((low - least, high - low + 2 * least))
    (top, high), (left, wide) = spans
    window = (style.MARGIN + left, at.top + top, wide, high)
    cells.frame(figure, *window, colour="white", points=3.2)  # seen on orange roofs as well
    cells.frame(figure, *window)


def _framed(colours: Pixels, row: Row, picture: Pixels, at: Place, slide: Slide) -> Pixels:
    """Lay a map in the picture's outline, each cell over the middle of the window it is from."""
    drawn = cells.enlarged(colours, at.scale * slide.stride)
    outline = np.full(cells.enlarged(picture, at.scale).shape, 255, dtype=np.uint8)
    outline[[0, -1]] = outline[:, [0, -1]] = cells.rgb(style.RULE)
    free = [outline.shape[axis] - drawn.shape[axis] for axis in (0, 1)]
    if min(free) < 0:  # much padding makes a map larger than the picture
        fits = min((outline.shape[axis] - 1) / colours.shape[axis] for axis in (0, 1))
        return cells.enlarged(colours, fits)
    top, left = (
        # From the window's corner to its middle, and back to the corner of the map's own cell.
        min(most, max(0, round(at.scale * (e / 2 - slide.padding - slide.stride / 2))))
        for e, most in zip(row.weights.shape[-2:], free, strict=True)
    )
    outline[top : top + len(drawn), left : left + drawn.shape[1]] = drawn
    return outline


def _draw_filter(figure: "Figure", row: Row, left: int, top: int) -> None:
    """Draw a filter once where its slices are the same, else slice beside slice."""
    slices = row.weights[None] if row.weights.ndim == 2 else row.weights
    if (slices == slices[:1]).all():
        slices = slices[:1]
    limit = float(np.abs(slices).max())
    side = max(slices.shape[1:]) * len(slices) + (len(slices) - 1)
    scale = cells.side(FILTER / side)
    for number, values in enumerate(slices):
        x = left + number * (values.shape[1] + 1) * scale
        cells.place(figure, cells.enlarged(cells.coloured(values, limit), scale), x, top)
        if scale >= 34:
            cells.write_numbers(figure, values, x, top, int(scale), limit=limit)
    size = "x".join(str(side) for side in slices.shape[1:][::-1])
    lines = [row.name, size if len(slices) == 1 else f"{len(slices)} slices of {size}"]
    below = top + math.ceil(slices.shape[1] * scale)
    _caption(figure, left, below, lines, room=FILTER + BETWEEN - 10)


def _limit(values: Values) -> float:
    """Return the size that is drawn full: of many values, one in 200 may be beyond it."""
    sizes = np.abs(values)
    return float(np.quantile(sizes, 0.995) if sizes.size >= 2000 else sizes.max()) or 1.0


def _draw_scale(figure: "Figure", values: Values, limit: float, left: int, top: int) -> None:
    """Draw which colour is which number, under a map, and write the map's sides."""
    low, high = (float(np.clip(end, -limit, limit)) for end in (values.min(), values.max()))
    sides = " x ".join(str(side) for side in values.shape[::-1]) + ":"
    first, last = (cells.number(end) for end in (low, high))
    least, most = (cells.number(float(end)) for end in (values.min(), values.max()))
    last += "" if most == last else f" (up to {most})"
    first += "" if least == first else f" (down to {least})"
    x = left + style.length(f"{sides} {first} ", style.SMALL)
    colours = cells.coloured(np.linspace(low, high, BAR)[None], limit).repeat(12, axis=0)
    colours[[0, -1]] = colours[:, [0, -1]] = cells.rgb(style.RULE)
    _caption(figure, left, top, [f"{sides} {first}"])
    cells.place(figure, colours, x, top + 13)
    _caption(figure, round(x) + BAR + 8, top, [last])


def _marked(picture: Pixels, found: NDArray[np.uint8]) -> Pixels:
    """Fade a picture but for what was found: patterns in blue, their middles in orange."""
    marked = 255 - (255 - picture) // 4
    for mark, colour in enumerate((style.BLUE, style.ORANGE), start=1):
        marked[found == mark] = cells.rgb(colour)
    return marked


def _caption(
    figure: "Figure", left: int, top: int, lines: Sequence[str], room: int | None = None
) -> None:
    for number, line in enumerate(lines):
        text = line if room is None else style.shorten(line, room, style.SMALL)
        style.write(figure, left, top + 8 + number * style.LINE, text, style.font(style.SMALL))
