"""What layers do, drawn with their numbers: convolution, pooling, norms, the residual sum."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import cells, style
from .cells import Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 34  # pixels
GAP = 44  # between grids

Regions = Sequence[tuple[int, int]]


class Tiling(NamedTuple):
    """How one side of a picture is pooled, rows and columns alike, and under what name."""

    name: str
    regions: Regions


def convolution(
    x: Values, filters: Values, biases: Sequence[float], outputs: Values, *, stride: int
) -> bytes:
    """Draw a padded volume (C, H, W), filters (k, C, e, e), and the maps (k, h, w): PNG.

    The window and the number that it gives are framed, for the first filter at row 0, column 1.
    """
    slices, height = len(x), x.shape[1] * CELL
    filter_left = style.MARGIN + x.shape[2] * CELL + GAP + 60
    side = filters.shape[-1] * CELL
    map_left = filter_left + len(filters) * (side + GAP) + 60
    top = style.HEADING + 34
    bottom = top + slices * (height + 30)
    figure = style.canvas(map_left + outputs.shape[2] * CELL + style.MARGIN + 30, bottom + 20)
    style.write_heading(figure, "A convolution with its numbers", top=0)
    _label(figure, style.MARGIN, top - 34, "input x, padded with 0")
    for c, values in enumerate(x):
        y = top + c * (height + 30)
        _grid(figure, values, style.MARGIN, y, limit=3)
        cells.frame(figure, style.MARGIN + stride * CELL, y, side, side)
        for k, weights in enumerate(filters[:, c]):
            _grid(figure, weights, filter_left + k * (side + GAP), y + CELL, limit=1.5)
    for k, (values, bias) in enumerate(zip(outputs, biases, strict=True)):
        _label(figure, filter_left + k * (side + GAP), top - 34, f"W{k + 1}")
        name = f"b = {cells.number(bias)}"
        _label(figure, filter_left + k * (side + GAP), bottom - 2 * CELL, name)
        y = top + CELL + k * (height + 30)
        _label(figure, map_left, y - 34, f"m{k + 1}")
        _grid(figure, values, map_left, y, limit=6)
    cells.frame(figure, map_left + CELL, top + CELL, CELL, CELL)
    return style.png(figure)


def pooling(x: Values, tilings: Sequence[Tiling]) -> bytes:
    """Draw a map (H, H) pooled by its greatest cells in several ways: PNG.

    Regions are framed; of those that overlap, the ones on the diagonal.
    """
    side = len(x) * CELL
    lefts = [style.MARGIN + i * (side + GAP) for i in range(len(tilings))]
    top, below = style.HEADING + 34, 70
    longest = max(len(tiling.regions) for tiling in tilings) * CELL
    figure = style.canvas(lefts[-1] + side + style.MARGIN, top + side + below + longest + 40)
    style.write_heading(figure, "The greatest cell of each region", top=0)
    for left, tiling in zip(lefts, tilings, strict=True):
        _label(figure, left, top - 34, tiling.name)
        _grid(figure, x, left, top, limit=12)
        spans = [(a, b) for a, b in tiling.regions]
        overlap = any(b > c for (_, b), (c, _) in itertools.pairwise(spans))
        # All frames of regions that overlap would be a lattice: the diagonal's say enough.
        pairs = zip(spans, spans, strict=True) if overlap else itertools.product(spans, spans)
        for rows, columns in pairs:
            _frame_region(figure, left, top, rows, columns)
        pooled = np.array([[x[a:b, c:d].max() for c, d in spans] for a, b in spans])
        arrow = f"{len(x)} x {len(x)} to {len(pooled)} x {len(pooled)}"
        style.write(figure, left, top + side + 12, arrow, style.font(style.SMALL))
        _grid(figure, pooled, left, top + side + below, limit=12)
    return style.png(figure)


def norms(averaged: Mapping[str, Values]) -> bytes:
    """Draw which cells of a batch share a mean, by norm; (N, C) of 1 for those, else 0: PNG."""
    shapes = [values.shape for values in averaged.values()]
    width, top = max(c for _, c in shapes) * CELL, style.HEADING + 34
    pitch = width + GAP + 40
    bottom = top + max(n for n, _ in shapes) * CELL
    across = 2 * style.MARGIN + len(shapes) * pitch - GAP
    figure = style.canvas(across, bottom + 60)
    style.write_heading(figure, "What shares a mean and a variance", top=0)
    for number, (name, values) in enumerate(averaged.items()):
        left = style.MARGIN + number * pitch
        _label(figure, left, top - 34, name)
        # Half of the scale is the palette's own blue.
        colours = cells.coloured(values, limit=1.5)
        cells.place(figure, cells.enlarged(colours, CELL), left, top)
    note = "rows: examples; columns: channels; a cell: all positions of one map"
    style.write(figure, style.MARGIN, bottom + 16, note, style.font(style.SMALL))
    return style.png(figure)


def residual() -> bytes:
    """Draw a residual block: the branch, the shortcut, the sum, and the ReLU behind it: PNG."""
    figure = style.canvas(1180, 330)
    style.write_heading(figure, "A residual block: y = relu(F(x) + x)", top=0)
    names = ["3x3 conv", "norm", "ReLU", "3x3 conv", "norm"]
    y, box, gap = 120, 122, 36
    left = style.MARGIN + 90
    style.write(figure, style.MARGIN, y + 18, "x", style.font(11, "bold"))
    for number, name in enumerate(names):
        x = left + number * (box + gap)
        _box(figure, x, y, box, name)
        _arrow(figure, (x - gap, y + 30), (x, y + 30))
    plus = left + len(names) * (box + gap)
    _arrow(figure, (plus - gap, y + 30), (plus, y + 30))
    _box(figure, plus, y, 60, "+")
    _arrow(figure, (plus + 60, y + 30), (plus + 60 + gap, y + 30))
    _box(figure, plus + 60 + gap, y, 90, "ReLU")
    fork, under = left - gap, y + 130
    cells.line(figure, [(fork, y + 30), (fork, under), (plus + 30, under)])
    _arrow(figure, (plus + 30, under), (plus + 30, y + 60))
    cells.line(figure, [(left - gap - 26, y + 30), (left - gap, y + 30)])
    note = "x itself, or a 1x1 convolution and a norm where size or depth change"
    style.write(figure, left + 60, under + 10, note, style.font(style.SMALL))
    return style.png(figure)


def _grid(figure: "Figure", values: Values, left: float, top: float, *, limit: float) -> None:
    cells.place(figure, cells.enlarged(cells.coloured(values, limit), CELL), left, top)
    cells.write_numbers(figure, values, left, top, CELL, limit=limit)


def _label(figure: "Figure", left: float, top: float, text: str) -> None:
    style.write(figure, left, top, text, style.font(style.NORMAL, "bold"))


def _frame_region(
    figure: "Figure",
    left: float,
    top: float,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    inset = 3  # so that neighbours are told apart
    x, y = left + columns[0] * CELL + inset, top + rows[0] * CELL + inset
    wide, high = (b - a for a, b in (columns, rows))
    cells.frame(figure, x, y, wide * CELL - 2 * inset, high * CELL - 2 * inset)


def _box(figure: "Figure", left: float, top: float, width: float, text: str) -> None:
    from matplotlib.patches import Rectangle

    across, down = figure.bbox.width, figure.bbox.height
    place = (left / across, 1 - (top + 60) / down)
    sides = (width / across, 60 / down)
    figure.add_artist(Rectangle(place, *sides, fc=style.GRID, ec=style.RULE, lw=1))
    figure.text(
        place[0] + sides[0] / 2,
        place[1] + sides[1] / 2,
        text,
        ha="center",
        va="center_baseline",
        color=style.INK,
        fontproperties=style.font(style.NORMAL),
    )


def _arrow(figure: "Figure", start: tuple[float, float], end: tuple[float, float]) -> None:
    from matplotlib.patches import FancyArrowPatch

    across, down = figure.bbox.width, figure.bbox.height
    places = [(x / across, 1 - y / down) for x, y in (start, end)]
    figure.add_artist(
        FancyArrowPatch(
            *places,
            arrowstyle="-|>",
            mutation_scale=12,
            shrinkA=0,
            shrinkB=0,
            color=style.INK,
            linewidth=1.4,
        )
    )
