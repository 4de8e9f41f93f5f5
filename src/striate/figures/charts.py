"""Panels side by side: lines with bands, bars with intervals, points by class; PNG or SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGH = 420  # pixels of a panel
FEW = 15  # points of a line, up to which each is marked
CLOSE = 5  # up to which lines stand side by side, with bars for their bands
STEP, ASIDE = 4.0, 12.0  # points of type from one such line to the next, and of all together
BAR, WIDE_BAR = 44, 64  # pixels from one bar to the next; beside a panel of lines
# Ten classes need more colours than lines do: Paul Tol's muted ones follow the palette's.
CLASSES = (*style.SERIES, "#882255", "#44AA99", "#999933", "#332288")


class Line(NamedTuple):
    """Points of a line, and the band about it; no band where the two are empty."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


class Lines(NamedTuple):
    """Lines by name over one axis."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Line]
    logarithmic: str = ""  # x, y or xy
    goals: Mapping[str, float] = {}  # levels to compare with, by name
    ticks: Sequence[float] = ()  # of x; none: as they come


class Bar(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


class Bars(NamedTuple):
    """Bars by name, one below the other."""

    title: str
    x: str
    bars: Mapping[str, Bar]
    goals: Mapping[str, float] = {}
    digits: int = 1


class Points(NamedTuple):
    """Places on a map, coloured by class."""

    title: str
    places: Mapping[str, Sequence[tuple[float, float]]]  # by class


Panel = Lines | Bars | Points


def charts(title: str, panels: Sequence[Panel], *, form: str = "png") -> bytes:
    """Draw panels side by side under a title, as PNG or, with form="svg", as SVG."""
    top = style.heading_height(title) + 56
    rows = [len(panel.bars) for panel in panels if isinstance(panel, Bars)]
    least = HIGH if len(rows) < len(panels) else 0
    high = max([least, *(BAR * count for count in rows)])
    maps = any(isinstance(panel, Points) for panel in panels)
    figure = style.canvas(style.WIDTH, top + high + (130 if maps else 96))
    style.write_heading(figure, title, top=0)
    room = (style.WIDTH - style.MARGIN) / len(panels)
    drawn = []
    for number, panel in enumerate(panels):
        left = style.MARGIN + number * room
        drawn.append(_draw(figure, panel, (left, top, room - style.MARGIN, high)))
    _share(panels, drawn)
    return style.FORMS[form](figure)


Place = tuple[float, float, float, float]  # left, top, width, height


def _draw(figure: "Figure", panel: Panel, place: Place) -> "Axes":
    if isinstance(panel, Lines):
        return _lines(figure, panel, place)
    if isinstance(panel, Bars):
        return _bars(figure, panel, place)
    return _points(figure, panel, place)


def _share(panels: Sequence[Panel], drawn: Sequence["Axes"]) -> None:
    """Give panels of one quantity one range, so that they are compared by eye."""
    alike: dict[tuple[str, str], list[Axes]] = {}
    for panel, axes in zip(panels, drawn, strict=True):
        if isinstance(panel, Lines):
            alike.setdefault((panel.y, panel.logarithmic), []).append(axes)
        elif isinstance(panel, Bars):
            alike.setdefault((panel.x, "bars"), []).append(axes)
    for (name, kind), group in alike.items():
        ends = [one.get_xlim() if kind == "bars" else one.get_ylim() for one in group]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        for axes in group:
            if kind == "bars":
                axes.set_xlim(low, high)
                most = 100 if "%" in name else high  # no share is more
                axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= most])
            else:
                axes.set_ylim(low, high)


def _axes(figure: "Figure", title: str, place: Place, left: float) -> "Axes":
    x, y, width, height = place
    words = style.shorten(title, width, style.NORMAL, "bold")
    style.write(figure, x, y - 48, words, style.font(style.NORMAL, "bold"))
    return style.panel(figure, x + left, y, width - left, height)


def _lines(figure: "Figure", panel: Lines, place: Place) -> "Axes":
    # Goals are named beside the panel, where no line passes.
    room = max((style.length(name, style.SMALL) + 14 for name in panel.goals), default=0)
    axes = _axes(figure, panel.title, (*place[:2], place[2] - room, place[3]), 60)
    _scale(axes, panel)  # before the lines, whose limits follow from it
    middle = (len(panel.lines) - 1) / 2
    few = all(len(line.x) <= FEW for line in panel.lines.values())
    for number, (name, line) in enumerate(panel.lines.items()):
        step = min(STEP, ASIDE / len(panel.lines))
        aside = step * (number - middle) if _side_by_side(panel) else None
        _line(axes, name, line, CLASSES[number % len(CLASSES)], aside, "o" if few else None)
    _name(axes, panel.x, panel.y)
    for name, level in panel.goals.items():
        axes.axhline(level, color=style.MUTED, lw=0.7, ls=(0, (4, 3)), zorder=1)
        low = axes.get_ylim()[0]
        axes.set_ylim(min(low, level), None)
        axes.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            color=style.MUTED,
            fontproperties=style.font(style.SMALL),
        )
    if len(panel.lines) > 1:
        small = style.font(style.SMALL)
        axes.legend(framealpha=0.85, edgecolor="none", prop=small, labelcolor=style.INK)
    return axes


def _side_by_side(panel: Lines) -> bool:
    """Return whether lines have the same few places: one would hide another there."""
    places = {tuple(line.x) for line in panel.lines.values()}
    return len(panel.lines) > 1 and len(places) == 1 and len(places.pop()) <= CLOSE


def _line(
    axes: "Axes", name: str, line: Line, colour: str, aside: float | None, marker: str | None
) -> None:
    """Draw a line with its band; moved aside by points of type, with bars instead of the band."""
    from matplotlib.transforms import ScaledTranslation

    drawn: list[Artist] = [
        *axes.plot(line.x, line.y, color=colour, lw=1.8, marker=marker, ms=4, label=name)
    ]
    if line.low and aside is not None:
        drawn.append(axes.vlines(line.x, line.low, line.high, color=colour, lw=1.1, alpha=0.7))
    elif line.low:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, lw=0)
    for one in drawn if aside else ():
        # After the limits are known, which a transformed line would not count in.
        across = ScaledTranslation((aside or 0) / 72, 0, axes.figure.dpi_scale_trans)
        one.set_transform(axes.transData + across)


def _scale(axes: "Axes", panel: Lines) -> None:
    """Set scales and ticks, which are plain numbers."""
    for name, axis, change in (
        ("x", axes.xaxis, axes.set_xscale),
        ("y", axes.yaxis, axes.set_yscale),
    ):
        if name in panel.logarithmic:
            change("log")
            axis.set_major_formatter(lambda value, _: style.short_number(value))
    axes.tick_params(which="minor", length=0)
    axes.margins(x=0.06)
    if panel.ticks:
        axes.set_xticks(panel.ticks, [style.short_number(tick) for tick in panel.ticks])
        axes.xaxis.minorticks_off()


def _bars(figure: "Figure", panel: Bars, place: Place) -> "Axes":
    left = 20 + max(style.length(name, style.SMALL) for name in panel.bars)
    left = min(left, 0.6 * place[2])
    count = len(panel.bars)
    each = BAR if place[3] < HIGH else WIDE_BAR
    axes = _axes(figure, panel.title, (*place[:3], max(120, each * count)), left)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    values = [bar.value for bar in panel.bars.values()]
    ends = [[b.value - b.low for b in panel.bars.values()]]
    ends.append([b.high - b.value for b in panel.bars.values()])
    finite = [[max(0.0, e) if math.isfinite(e) else 0.0 for e in side] for side in ends]
    axes.barh(range(count), values, 0.62, color=style.BLUE)
    axes.errorbar(values, range(count), xerr=finite, fmt="none", ecolor=style.INK, elinewidth=1.2)
    names = [style.shorten(n, left - 10, style.SMALL) for n in panel.bars]
    axes.set_yticks(range(count), names)
    axes.set_ylim(count - 0.4, -0.6)
    reach = max((v + e for v, e in zip(values, finite[1], strict=True)), default=1) or 1
    least = min((v - e for v, e in zip(values, finite[0], strict=True)), default=0)
    axes.set_xlim(min(0, 1.15 * least), 1.22 * max(reach, *panel.goals.values(), 0))
    for row, (value, end) in enumerate(zip(values, finite[1], strict=True)):
        axes.annotate(
            f"{value:.{panel.digits}f}",
            (max(value + end, 0), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center_baseline",
            color=style.INK,
            fontproperties=style.font(style.SMALL),
        )
    for name, level in panel.goals.items():
        axes.axvline(level, color=style.INK, lw=0.9, ls=(0, (4, 3)))
        small = style.font(7)
        axes.text(
            level, -0.65, name, color=style.MUTED, ha="center", va="bottom", fontproperties=small
        )
    _name(axes, panel.x, "")
    return axes


def _points(figure: "Figure", panel: Points, place: Place) -> "Axes":
    axes = _axes(figure, panel.title, place, 0)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    for (name, places), colour in zip(panel.places.items(), CLASSES, strict=False):
        x, y = zip(*places, strict=True)
        axes.scatter(x, y, s=9, color=colour, label=name.replace("_", " "), lw=0, alpha=0.85)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(
        frameon=False,
        prop=style.font(7),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=3,
        columnspacing=0.8,
        handletextpad=0.2,
    )
    return axes


def _name(axes: "Axes", x: str, y: str) -> None:
    small = style.font(style.SMALL)
    axes.set_xlabel(x, color=style.MUTED, labelpad=6, fontproperties=small)
    axes.set_ylabel(y, color=style.MUTED, labelpad=6, fontproperties=small)
