"""Arrays to pictures: every chart and every sheet of pictures is drawn here, as PNG bytes."""

import functools
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

History = Sequence[Mapping[str, float]]
Pixels = NDArray[np.uint8]

# Okabe and Ito's colours are told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE = "#0072B2", "#D55E00"
INK, MUTED, RULE, GRID = "#1F2328", "#626B74", "#C9CED3", "#E6E9EC"
# Sizes of letters are in points, all other lengths in pixels.
DPI, WIDTH, MARGIN, GAP = 160, 1600, 40, 20
HEADING, CHARTS, LINE, LINES = 76, 515, 24, 3
NORMAL, SMALL = 9.0, 8.0
# For letters that the first lacks, where they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")


class Cell(NamedTuple):
    """A picture of a sheet, resized and framed, and the lines under it."""

    picture: Pixels
    lines: list[str]


def curves(history: History, title: str = "") -> bytes:
    """Draw loss, accuracy and learning rate against the epoch.

    A row has epoch (from 1), train_loss, train_accuracy, rate and, where there was a validation,
    validation_loss and validation_accuracy; accuracies are shares.
    """
    top = _heading(title)
    figure = _figure(WIDTH, top + CHARTS)
    _write_heading(figure, title, top=0)
    _draw_curves(figure, history, top)
    return _png(figure)


def sheet(
    images: Sequence[Pixels], captions: Sequence[str], *, columns: int = 8, title: str = ""
) -> bytes:
    """Draw a grid of pictures (H, W) or (H, W, 3), each with up to three lines underneath."""
    grid, top = _grid(images, captions, columns), _heading(title)
    # A few pictures keep their size and narrow the sheet, down to what a title needs.
    shown = min(columns, max(len(images), math.ceil(columns / 2)))
    width = 2 * MARGIN + shown * _pitch(columns) - GAP
    figure = _figure(width, top + _grid_height(grid))
    _write_heading(figure, title, top=0)
    _draw_grid(figure, grid, top, _pitch(columns))
    return _png(figure)


def overview(
    history: History, images: Sequence[Pixels], captions: Sequence[str], title: str, *, note: str
) -> bytes:
    """Draw what a training leaves: its curves and below, under the note, its worst mistakes."""
    columns = 8
    grid, top = _grid(images, captions, columns), _heading(title)
    below = top + CHARTS
    figure = _figure(WIDTH, below + HEADING + (_grid_height(grid) if grid else 0))
    _write_heading(figure, title, top=0)
    _draw_curves(figure, history, top)
    _write_heading(figure, note, top=below)
    if grid:
        _draw_grid(figure, grid, below + HEADING, _pitch(columns))
    return _png(figure)


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> bytes:
    """Draw a table (true, predicted) as shares of its rows; up to 20 classes with the counts."""
    k = len(classes)
    counts = np.asarray(matrix, dtype=np.int64).reshape(k, k)
    cell = min(160, max(16, 1200 // k)) if k <= 100 else max(2, 1600 // k)
    points = min(NORMAL, 0.75 * cell * _every(k) * 72 / DPI)
    # The ends of long names often tell them apart.
    names = [_shorten(name, 280, points, ending=8) for name in classes]
    longest = math.ceil(max(_length(name, points) for name in names))
    level = longest < cell - 8
    left, top, side = MARGIN + 40 + longest, HEADING + 30, k * cell
    figure = _figure(left + side + 180, top + side + (LINE if level else longest) + 100)
    _write_heading(figure, f"Confusion of {counts.sum()} pictures", top=0)
    axes = _axes(figure, left, top, side, side)
    _draw_shares(axes, counts)
    _draw_scale(figure, left + side + 30, top, min(side, 320))
    _name_classes(axes, names, points, level=level)
    if k <= 20:
        _write_counts(axes, counts, cell)
    return _png(figure)


def _figure(width: int, height: int) -> "Figure":
    from matplotlib.figure import Figure

    # A hundredth of a pixel more, as rounding must not cost a whole one.
    size = ((width + 0.01) / DPI, (height + 0.01) / DPI)
    return Figure(figsize=size, dpi=DPI, facecolor="white")


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _axes(figure: "Figure", left: float, top: float, width: float, height: float) -> "Axes":
    """Place a panel by pixels from the upper left corner, in the one style."""
    across, down = figure.bbox.width, figure.bbox.height
    axes = figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5, colors=MUTED, labelsize=SMALL, labelfontfamily=_families())
    return axes


def _write(figure: "Figure", x: float, y: float, text: str, font: "FontProperties") -> None:
    """Write at pixels from the upper left corner; no text is ever read as mathematics."""
    place = (x / figure.bbox.width, 1 - y / figure.bbox.height)
    figure.text(*place, text, va="top", color=INK, fontproperties=font, parse_math=False)


def _heading(title: str) -> int:
    return HEADING if title else MARGIN


def _write_heading(figure: "Figure", title: str, top: int) -> None:
    room = figure.bbox.width - 2 * MARGIN
    text = _shorten(title, room, 11, "bold")
    _write(figure, MARGIN, top + 26, text, _font(11, "bold"))


def _draw_curves(figure: "Figure", history: History, top: int) -> None:
    panels = [_axes(figure, x, top + 84, w, 340) for x, w in ((100, 440), (735, 450), (1390, 170))]
    _scale_loss(panels[0], _draw_pair(panels[0], history, "loss", 1))
    _scale_accuracy(panels[1], _draw_pair(panels[1], history, "accuracy", 100))
    _draw_rate(panels[2], history)
    log = ", logarithmic" if panels[0].get_yscale() == "log" else ""
    titles = (f"Loss (nats{log})", "Accuracy (%)", "Learning rate")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", color=INK, pad=26, fontproperties=_font(NORMAL, "bold"))
        axes.set_xlabel("epoch", color=MUTED, labelpad=6, fontproperties=_font(SMALL))
        _scale_epochs(axes, [int(row["epoch"]) for row in history])
    _name_lines(panels[0])
    _name_lines(panels[1])
    _mark_best(panels[0], history, "loss", 1)
    _mark_best(panels[1], history, "accuracy", 100)


def _draw_pair(axes: "Axes", history: History, name: str, scale: float) -> list[float]:
    """Draw training and validation as far as they are known and finite; give all the values."""
    values = []
    marker = "o" if len(history) <= 15 else None
    for kind, label, colour in (
        ("train", "training", BLUE),
        ("validation", "validation", ORANGE),
    ):
        x, y = _points(history, f"{kind}_{name}", scale)
        if y:
            axes.plot(x, y, color=colour, lw=1.8, marker=marker, ms=4, label=label, clip_on=False)
        values += y
    return values


def _points(history: History, key: str, scale: float) -> tuple[list[float], list[float]]:
    rows = [row for row in history if math.isfinite(row.get(key, math.nan))]
    return [row["epoch"] for row in rows], [scale * row[key] for row in rows]


def _draw_rate(axes: "Axes", history: History) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    x, y = _points(history, "rate", 1)
    marker = "o" if len(history) <= 15 else None
    axes.plot(x, y, color=MUTED, linewidth=1.4, marker=marker, markersize=3, clip_on=False)
    axes.set_ylim(0, 1.08 * max(y, default=0) or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short_number(value)))


def _short_number(value: float) -> str:
    if value == 0 or 1e-3 <= value < 1e4:
        return f"{value:.4g}"
    return str(np.format_float_scientific(value, precision=2, trim="-", exp_digits=1))


def _scale_loss(axes: "Axes", values: Sequence[float]) -> None:
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short_number(value)))


def _scale_accuracy(axes: "Axes", values: Sequence[float]) -> None:
    low, high = min(values, default=0), max(values, default=100)
    room = max(1, 0.08 * (high - low))
    axes.set_ylim(max(0, low - room), min(100, high + room))


def _scale_epochs(axes: "Axes", epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = min(epochs, default=1), max(epochs, default=1)
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
        apart = LINE / axes.bbox.height
        push = max(0.0, apart - abs(places[1] - places[0])) / 2
        places += [-push, push] if places[0] < places[1] else [push, -push]
    for line, place in zip(axes.lines, places, strict=True):
        _annotate(axes, str(line.get_label()), (1, place), (5, 0), str(line.get_color()))


def _annotate(
    axes: "Axes", text: str, place: tuple[float, float], shift: tuple[float, float], colour: str
) -> None:
    """Write at shares of a panel, shifted by points."""
    axes.annotate(
        text,
        place,
        xycoords="axes fraction",
        xytext=shift,
        textcoords="offset points",
        va="center_baseline",
        color=colour,
        fontproperties=_font(SMALL, "bold"),
    )


def _mark_best(axes: "Axes", history: History, name: str, scale: float) -> None:
    """Mark the epoch of the highest validation accuracy (the first such); without any, the last."""
    row, kind, colour = _best(history)
    value = scale * row.get(f"{kind}_{name}", math.nan)
    if not math.isfinite(value):
        return
    # The value stands above the panel, where no curve can run through it.
    shown = f"{value:.2f} %" if name == "accuracy" else f"{value:#.3g}".rstrip(".")
    _annotate(axes, f"● {shown} at epoch {row['epoch']:.0f}", (0, 1), (0, 16), colour)
    axes.axvline(row["epoch"], color=RULE, linewidth=1, zorder=1)
    axes.plot(
        [row["epoch"]],
        [value],
        "o",
        color=colour,
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=1.5,
        clip_on=False,
        zorder=4,
    )


def _best(history: History) -> tuple[Mapping[str, float], str, str]:
    rated = [row for row in history if math.isfinite(row.get("validation_accuracy", math.nan))]
    if rated:
        return max(rated, key=lambda row: row["validation_accuracy"]), "validation", ORANGE
    return (history[-1] if history else {}), "train", BLUE


def _pitch(columns: int) -> int:
    return (WIDTH - 2 * MARGIN + GAP) // columns


def _grid(images: Sequence[Pixels], captions: Sequence[str], columns: int) -> list[list[Cell]]:
    box = _pitch(columns) - GAP
    cells = [
        Cell(_frame(_resize(image, box - 2)), _lines(caption, box))
        for image, caption in zip(images, captions, strict=True)
    ]
    return [cells[i : i + columns] for i in range(0, len(cells), columns)]


def _resize(image: Pixels, box: int) -> Pixels:
    """Fit a picture in a square box, (H, W) or (H, W, 3) -> (h, w, 3); small ones as dots."""
    picture = Image.fromarray(image).convert("RGB")
    factor = box / max(picture.size)
    if factor >= 3:
        # A whole factor, or some of the dots would be wider than others.
        dots = picture.resize(
            [side * int(factor) for side in picture.size], Image.Resampling.NEAREST
        )
        return np.asarray(dots)
    size = [max(1, round(side * factor)) for side in picture.size]
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


def _frame(picture: Pixels) -> Pixels:
    return np.pad(picture, ((1, 1), (1, 1), (0, 0)), constant_values=0xC9)


def _lines(caption: str, room: int) -> list[str]:
    lines = caption.splitlines()
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], lines[LINES - 1] + " …"]
    return [_shorten(line, room, SMALL) for line in lines]


def _row_height(row: Sequence[Cell]) -> int:
    return max(len(cell.picture) for cell in row) + 10 + LINE * max(len(cell.lines) for cell in row)


def _grid_height(grid: Sequence[Sequence[Cell]]) -> int:
    return sum(_row_height(row) + GAP for row in grid) + MARGIN - GAP if grid else 2 * MARGIN


def _draw_grid(figure: "Figure", grid: Sequence[Sequence[Cell]], top: int, pitch: int) -> None:
    if not grid:
        _write(figure, MARGIN, top, "no pictures", _font(NORMAL))
    for row in grid:
        tallest = max(len(cell.picture) for cell in row)
        for i, cell in enumerate(row):
            left, down = MARGIN + i * pitch, top + tallest
            # Placed as it is: an axes would resample it.
            figure.figimage(cell.picture, left, round(figure.bbox.height) - down)
            for number, line in enumerate(cell.lines):
                _write(figure, left, down + 8 + number * LINE, line, _font(SMALL))
        top += _row_height(row) + GAP


def _draw_shares(axes: "Axes", counts: NDArray[np.int64]) -> None:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # The root of the share is drawn: one mistake in a hundred must be seen.
    axes.pcolormesh(
        np.sqrt(shares), cmap=_blues(), vmin=0, vmax=1, ec=GRID, lw=0.4 if len(counts) <= 100 else 0
    )
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_scale(figure: "Figure", left: int, top: int, height: int) -> None:
    _write(figure, left, top - 30, "share of row", _font(SMALL))
    axes = _axes(figure, left, top, 22, height)
    axes.spines[:].set_visible(False)
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=_blues(), aspect="auto", extent=(0, 1, 0, 1))
    marks = (0, 0.01, 0.1, 0.25, 0.5, 1)
    axes.set_yticks(np.sqrt(marks), [f"{mark:.0%}" for mark in marks])
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.grid(visible=False)


def _blues() -> "LinearSegmentedColormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["white", "#7FB8DA", BLUE, "#003A5C"])


def _every(k: int) -> int:
    """Which of many classes are named: every so many, at most 100."""
    return math.ceil(k / 100)


def _name_classes(axes: "Axes", names: Sequence[str], points: float, *, level: bool) -> None:
    places = range(0, len(names), _every(len(names)))
    shown = [names[i] for i in places]
    middles = [i + 0.5 for i in places]
    font, turn = _font(points), 0 if level else 90
    axes.set_yticks(middles, shown, color=INK, fontproperties=font, parse_math=False)
    axes.set_xticks(middles, shown, color=INK, fontproperties=font, parse_math=False, rotation=turn)
    axes.set_xlabel("predicted class", color=MUTED, labelpad=8, fontproperties=_font(NORMAL))
    axes.set_ylabel("true class", color=MUTED, labelpad=8, fontproperties=_font(NORMAL))


def _write_counts(axes: "Axes", counts: NDArray[np.int64], cell: int) -> None:
    widest = _length(str(counts.max()), NORMAL)
    font = _font(NORMAL * min(1.0, 0.85 * cell / widest))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count / counts[i].sum() > 0.2 else INK
            axes.text(
                j + 0.5,
                i + 0.5,
                str(count),
                ha="center",
                va="center_baseline",
                color=colour,
                fontproperties=font,
            )


def _shorten(
    text: str, room: float, points: float, weight: str = "normal", *, ending: int = 0
) -> str:
    """Give one line of letters that can be drawn, cut to the room by its measured width.

    The last `ending` letters are kept.
    """
    # No room takes more letters than this; so the measuring stays short.
    letters = [letter for letter in " ".join(text.split())[:300] if not _unseen(letter)]
    shown = "".join(letter if _drawable(letter) else "□" for letter in letters)
    if _length(shown, points, weight) <= room:
        return shown
    head, tail = shown[: len(shown) - ending], shown[len(shown) - ending :]
    while head and _length(f"{head}…{tail}", points, weight) > room:
        head = head[:-1].rstrip()
    return f"{head}…{tail}"


def _unseen(letter: str) -> bool:
    # Joiners and selectors of emoji variants.
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs") or "\ufe00" <= letter <= "\ufe0f"


@functools.cache
def _drawable(letter: str) -> bool:
    """Whether a font has it in both weights: a missing one would only warn, at drawing."""
    from matplotlib.font_manager import findfont, get_font

    pairs = ([findfont(_font(1, w, family)) for w in ("normal", "bold")] for family in _families())
    return any(all(get_font(p).get_char_index(ord(letter)) for p in pair) for pair in pairs)


def _length(text: str, points: float, weight: str = "normal") -> float:
    return float(_ruler().get_text_width_height_descent(text, _font(points, weight), False)[0])


@functools.cache
def _ruler() -> "RendererAgg":
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


def _font(points: float, weight: str = "normal", family: str | None = None) -> "FontProperties":
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=family or _families(), size=points, weight=weight)


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [name for name in FONTS if name in installed]
