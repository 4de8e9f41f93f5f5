"""Loss, accuracy and learning rate against the epoch, or of short runs the step."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from striate.epochs import METRIC
from striate.epochs import best as best_epoch

from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, float]]

CHARTS = 515  # height in pixels
FEW = 15  # points of a line, up to which each is marked


class Run(NamedTuple):
    """What is drawn of a training, and against what."""

    history: History  # a row an epoch
    training: History  # the same, or finer
    along: str  # epoch or step: a key of both
    metric: str  # by which the epoch that is kept is chosen

    def axis(self) -> str:
        """Name the axis, with its unit."""
        if self.along == "epoch" or not self.history:
            return self.along
        return f"step ({self.history[0]['step']:.0f} an epoch)"


def curves(
    history: History,
    title: str = "",
    *,
    by_step: History = (),
    metric: str = METRIC,
    form: str = "png",
) -> bytes:
    """Draw loss, accuracy and learning rate against the epoch, or of short runs the step.

    A row has epoch (from 1), train_loss, train_accuracy, rate and, where there was a validation,
    validation_loss and validation_accuracy; accuracies are shares. Rows of `by_step` have a step
    instead of an epoch, and no validation; with them, those of `history` have both. The epoch that
    is the best by `metric` is marked. As PNG or, with form="svg", as SVG.
    """
    top = style.heading_height(title)
    figure = style.canvas(style.WIDTH, top + CHARTS)
    style.write_heading(figure, title, top=0)
    draw_curves(figure, history, by_step, top, metric=metric)
    return style.FORMS[form](figure)


def draw_curves(
    figure: "Figure", history: History, by_step: History, top: int, *, metric: str = METRIC
) -> None:
    """Draw the three panels, CHARTS pixels high, from `top` on."""
    panels = [
        style.panel(figure, x, top + 84, w, 340) for x, w in ((100, 440), (735, 450), (1390, 170))
    ]
    fine = len(by_step) > len(history)
    drawn, along = (by_step, "step") if fine else (history, "epoch")
    run = Run(history, drawn, along, metric)
    scale_loss(panels[0], _draw_pair(panels[0], run, "loss", 1))
    _scale_accuracy(panels[1], _draw_pair(panels[1], run, "accuracy", 100))
    _draw_rate(panels[2], run)
    log = ", logarithmic" if panels[0].get_yscale() == "log" else ""
    titles = (f"Loss (nats{log})", "Accuracy (%)", "Learning rate")
    axes_names = (run.axis(), run.axis(), run.along)
    for axes, title, axis in zip(panels, titles, axes_names, strict=True):
        axes.set_title(
            title,
            loc="left",
            color=style.INK,
            pad=26,
            fontproperties=style.font(style.NORMAL, "bold"),
        )
        axes.set_xlabel(axis, color=style.MUTED, labelpad=6, fontproperties=style.font(style.SMALL))
        _scale_along(axes, [int(row[run.along]) for row in run.training])
    _name_lines(panels[0])
    _name_lines(panels[1])
    _mark_best(panels[0], run, "loss", 1)
    _mark_best(panels[1], run, "accuracy", 100)


def _draw_pair(axes: "Axes", run: Run, name: str, scale: float) -> list[float]:
    """Draw training and validation as far as they are known and finite; give all the values."""
    values = []
    for kind, label, rows, colour in (
        ("train", "training", run.training, style.BLUE),
        ("validation", "validation", run.history, style.ORANGE),
    ):
        x, y = _points(rows, run.along, f"{kind}_{name}", scale)
        marker = "o" if len(y) <= FEW else None
        if y:
            axes.plot(x, y, color=colour, lw=1.8, marker=marker, ms=4, label=label, clip_on=False)
        values += y
    return values


def _points(rows: History, along: str, key: str, scale: float) -> tuple[list[float], list[float]]:
    known = [row for row in rows if math.isfinite(row.get(key, math.nan))]
    return [row[along] for row in known], [scale * row[key] for row in known]


def _draw_rate(axes: "Axes", run: Run) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    x, y = _points(run.training, run.along, "rate", 1)
    marker = "o" if len(y) <= FEW else None
    axes.plot(x, y, color=style.MUTED, linewidth=1.4, marker=marker, markersize=3, clip_on=False)
    axes.set_ylim(0, 1.08 * max(y, default=0) or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.short_number(value)))


def scale_loss(axes: "Axes", values: Sequence[float]) -> None:
    """Start at 0, or take a logarithmic axis where a straight one would hide the small losses."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(values, default=0), max(values, default=0)
    if low <= 0 or high < 20 * low:
        axes.set_ylim(min(0, 1.05 * low), 1.08 * high or 1)
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 1.3, high * 1.3)
    steps = (1, 2, 5) if high < 300 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.short_number(value)))


def _scale_accuracy(axes: "Axes", values: Sequence[float]) -> None:
    low, high = min(values, default=0), max(values, default=100)
    room = max(1, 0.08 * (high - low))
    axes.set_ylim(max(0, low - room), min(100, high + room))


def _scale_along(axes: "Axes", places: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = min(places, default=1), max(places, default=1)
    room = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - room, last + room)
    nearest = first + 0.12 * (last - first)
    bins = 7 if axes.bbox.width > 300 else 3
    ticks = MaxNLocator(bins, integer=True).tick_values(first, last)
    axes.set_xticks([first, *(int(tick) for tick in ticks if nearest < tick <= last)])


def _name_lines(axes: "Axes") -> None:
    """Write each line's name beside its end, the names at least a line apart."""
    last = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines]
    # In shares of the panel, from below.
    levels = axes.transScale.transform([(1, y) for y in last] or np.empty((0, 2)))[:, 1]
    low, high = axes.transScale.transform([(1, y) for y in axes.get_ylim()])[:, 1]
    places = (levels - low) / (high - low)
    if len(places) == 2:
        apart = style.LINE / axes.bbox.height
        push = max(0.0, apart - abs(places[1] - places[0])) / 2
        places += [-push, push] if places[0] < places[1] else [push, -push]
    for line, place in zip(axes.lines, places, strict=True):
        style.annotate(axes, str(line.get_label()), (1, place), (5, 0), str(line.get_color()))


def _mark_best(axes: "Axes", run: Run, name: str, scale: float) -> None:
    """Mark the epoch that is kept: the best; where there was no validation, the last."""
    row, kind, colour = best(run.history, run.metric)
    value = scale * row.get(f"{kind}_{name}", math.nan)
    if not math.isfinite(value):
        return
    # The value stands above the panel, where no curve can run through it.
    shown = f"{value:.2f} %" if name == "accuracy" else f"{value:#.3g}".rstrip(".")
    split = "validation" if kind == "validation" else "training"
    told = f"● kept: epoch {row['epoch']:.0f}, {split} {shown}"
    style.annotate(axes, told, (0, 1), (0, 16), colour)
    axes.axvline(row[run.along], color=style.RULE, linewidth=1, zorder=1)
    axes.plot(
        [row[run.along]],
        [value],
        "o",
        color=colour,
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=1.5,
        clip_on=False,
        zorder=4,
    )


def best(history: History, metric: str = METRIC) -> tuple[Mapping[str, float], str, str]:
    """Return the epoch that a run keeps, of which split it is the best, and that split's colour."""
    rated = [row for row in history if math.isfinite(row.get("validation_accuracy", math.nan))]
    if rated:
        return best_epoch(rated, metric), "validation", style.ORANGE
    return (history[-1] if history else {}), "train", style.BLUE
