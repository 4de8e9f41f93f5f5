"""How far maps change, and how much of them stays, as pictures shift: a line for each layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = 230  # pixels for the names of lines, right of a panel
WIDE, HIGH = 460, 380
NOTES = {
    "How far maps change": (
        "root mean square of the map after the shift minus the map before;",
        "1 is that of another picture's map minus this one's",
    ),
    "Cells that stay as they were (%)": (
        "of the cells that answer before or after the shift, those that keep",
        "their answer to within a tenth of the map's greatest",
    ),
}


def shifts(
    pixels: Sequence[int],
    change: Mapping[str, Sequence[float]],
    kept: Mapping[str, Sequence[float]],
    title: str,
) -> bytes:
    """Draw change (1 is another picture's map) and the share kept against the shift: PNG."""
    top = style.heading_height(title) + 56
    figure = style.canvas(style.WIDTH, top + HIGH + 90 + 2 * style.LINE)
    style.write_heading(figure, title, top=0)
    places = (90, 90 + WIDE + LABELS + 80)
    left, right = (style.panel(figure, x, top, WIDE, HIGH) for x in places)
    _draw(left, pixels, change)
    left.axhline(1, color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    left.set_ylim(0, max(1.1, 1.05 * max(max(values) for values in change.values())))
    _draw(right, pixels, {name: [100 * share for share in of] for name, of in kept.items()})
    right.set_ylim(0, 104)
    for x, axes, (name, note) in zip(places, (left, right), NOTES.items(), strict=True):
        for number, words in enumerate(note):
            below = top + HIGH + 74 + number * style.LINE
            style.write(figure, x - 50, below, words, style.font(style.SMALL))
        bold = style.font(style.NORMAL, "bold")
        axes.set_title(name, loc="left", color=style.INK, pad=16, fontproperties=bold)
        small = style.font(style.SMALL)
        axes.set_xlabel("shift (pixels)", color=style.MUTED, labelpad=6, fontproperties=small)
        _name_lines(axes)
    return style.png(figure)


def _draw(axes: "Axes", x: Sequence[int], lines: Mapping[str, Sequence[float]]) -> None:
    for (name, y), colour in zip(lines.items(), style.SERIES, strict=False):
        axes.plot(x, y, "o-", color=colour, lw=1.8, ms=4.5, label=name, clip_on=False)
    axes.set_xticks(x)


def _name_lines(axes: "Axes") -> None:
    """Write each line's name beside its end, at least a line apart from the next."""
    low, high = axes.get_ylim()
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines if _named(line)]
    places = spread([(end - low) / (high - low) for end in ends], style.LINE / HIGH)
    lines = [line for line in axes.lines if _named(line)]
    across = axes.transLimits.transform((float(np.asarray(lines[0].get_xdata())[-1]), low))[0]
    for line, end, place in zip(lines, ends, places, strict=True):
        colour = str(line.get_color())
        style.annotate(axes, str(line.get_label()), (1, place), (12, 0), colour)
        axes.plot(
            [across, 1.035],
            [(end - low) / (high - low), place],
            color=colour,
            lw=0.9,
            clip_on=False,
            transform=axes.transAxes,
            label="_leader",
        )


def _named(line: object) -> bool:
    return not str(line.get_label()).startswith("_")  # type: ignore[attr-defined]


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Move places in [0, 1] as little as need be until each is `apart` from the next.

    >>> spread([0.5, 0.5, 1.0], 0.25)
    [0.375, 0.625, 1.0]
    """
    # Runs that touch are put together, and each is centred on the mean of where it should be.
    runs: list[list[int]] = []
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        runs.append([i])
        while len(runs) > 1 and _touch(runs[-2], runs[-1], places, apart):
            runs[-2:] = [runs[-2] + runs[-1]]
    moved = list(places)
    for run in runs:
        for i, place in zip(run, _laid(run, places, apart), strict=True):
            moved[i] = place
    return moved


def _laid(run: Sequence[int], places: Sequence[float], apart: float) -> list[float]:
    half = (len(run) - 1) / 2 * apart
    middle = sum(places[i] for i in run) / len(run)
    return [max(half, min(1 - half, middle)) - half + k * apart for k in range(len(run))]


def _touch(
    below: Sequence[int], above: Sequence[int], places: Sequence[float], apart: float
) -> bool:
    gap = _laid(above, places, apart)[0] - _laid(below, places, apart)[-1]
    return gap < apart - 1e-9
