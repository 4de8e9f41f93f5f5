"""Which class was taken for which: a table of shares."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from striate.wording import counted, percent

from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure


def confusion(
    matrix: Sequence[Sequence[int]] | NDArray[np.int64],
    classes: Sequence[str],
    title: str | None = None,
    *,
    form: str = "png",
) -> bytes:
    """Draw a table (true, predicted) as shares of its rows; up to 20 classes with the counts.

    As PNG or, with form="svg", as SVG.
    """
    k = len(classes)
    counts = np.asarray(matrix, dtype=np.int64).reshape(k, k)
    cell = min(160, max(16, 1200 // k)) if k <= 100 else max(2, 1600 // k)
    points = min(style.NORMAL, 0.75 * cell * _every(k) * 72 / style.DPI)
    # The ends of long names often tell them apart.
    names = [style.shorten(name, 280, points, ending=8) for name in classes]
    longest = math.ceil(max(style.length(name, points) for name in names))
    level = longest < cell - 8
    left, top, side = style.MARGIN + 40 + longest, style.HEADING + 30, k * cell
    figure = style.canvas(left + side + 180, top + side + (style.LINE if level else longest) + 100)
    heading = f"Confusion of {counted(int(counts.sum()), 'pictures')}"
    style.write_heading(figure, heading if title is None else title, top=0)
    axes = style.panel(figure, left, top, side, side)
    _draw_shares(axes, counts)
    _draw_scale(figure, left + side + 30, top, min(side, 320))
    _name_classes(axes, names, points, level=level)
    if k <= 20:
        _write_counts(axes, counts, cell)
    return style.FORMS[form](figure)


def _draw_shares(axes: "Axes", counts: NDArray[np.int64]) -> None:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # The root of the share is drawn: one mistake in a hundred must be seen.
    axes.pcolormesh(
        np.sqrt(shares),
        cmap=_blues(),
        vmin=0,
        vmax=1,
        ec=style.GRID,
        lw=0.4 if len(counts) <= 100 else 0,
    )
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_scale(figure: "Figure", left: int, top: int, height: int) -> None:
    style.write(figure, left, top - 30, "share of row", style.font(style.SMALL))
    axes = style.panel(figure, left, top, 22, height)
    axes.spines[:].set_visible(False)
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=_blues(), aspect="auto", extent=(0, 1, 0, 1))
    marks = (0, 0.01, 0.1, 0.25, 0.5, 1)
    axes.set_yticks(np.sqrt(marks), [percent(mark, 0) for mark in marks])
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.grid(visible=False)


def _blues() -> "LinearSegmentedColormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["white", "#7FB8DA", style.BLUE, "#003A5C"])


def _every(k: int) -> int:
    """Which of many classes are named: every so many, at most 100."""
    return math.ceil(k / 100)


def _name_classes(axes: "Axes", names: Sequence[str], points: float, *, level: bool) -> None:
    places = range(0, len(names), _every(len(names)))
    shown = [names[i] for i in places]
    middles = [i + 0.5 for i in places]
    font, turn = style.font(points), 0 if level else 90
    axes.set_yticks(middles, shown, color=style.INK, fontproperties=font, parse_math=False)
    axes.set_xticks(
        middles, shown, color=style.INK, fontproperties=font, parse_math=False, rotation=turn
    )
    axes.set_xlabel(
        "predicted class", color=style.MUTED, labelpad=8, fontproperties=style.font(style.NORMAL)
    )
    axes.set_ylabel(
        "true class", color=style.MUTED, labelpad=8, fontproperties=style.font(style.NORMAL)
    )


def _write_counts(axes: "Axes", counts: NDArray[np.int64], cell: int) -> None:
    widest = style.length(str(counts.max()), style.NORMAL)
    font = style.font(style.NORMAL * min(1.0, 0.85 * cell / widest))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count / counts[i].sum() > 0.2 else style.INK
            axes.text(
                j + 0.5,
                i + 0.5,
                str(count),
                ha="center",
                va="center_baseline",
                color=colour,
                fontproperties=font,
            )
