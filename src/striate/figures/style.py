"""The one style of every picture: palette, fonts, lengths, and text that is measured."""

import functools
import io
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

# Okabe and Ito's colours are told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE = "#0072B2", "#D55E00"
SERIES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#B58400", "#56B4E9")
INK, MUTED, RULE, GRID = "#1F2328", "#626B74", "#C9CED3", "#E6E9EC"
# Sizes of letters are in points, all other lengths in pixels.
DPI, WIDTH, MARGIN, GAP = 160, 1600, 40, 20
HEADING, LINE = 76, 24
NORMAL, SMALL = 9.0, 8.0
MOST = 300  # letters: no room takes more, and so the measuring stays short
# For letters that the first lacks, where they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei", "Arial Unicode MS")


def canvas(width: int, height: int) -> "Figure":
    """Return an empty figure of exactly so many pixels."""
    from matplotlib.figure import Figure

    # A hundredth of a pixel more, as rounding must not cost a whole one.
    size = ((width + 0.01) / DPI, (height + 0.01) / DPI)
    return Figure(figsize=size, dpi=DPI, facecolor="white")


def png(figure: "Figure") -> bytes:
    """Return a figure as a PNG file: no date or version in it, so the bytes are the same again."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: "Figure") -> bytes:
    """Return a figure as an SVG file, letters as letters; the bytes are the same again."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "striate"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


FORMS = {"png": png, "svg": svg}


def panel(figure: "Figure", left: float, top: float, width: float, height: float) -> "Axes":
    """Place axes by pixels from the upper left corner."""
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


def write(figure: "Figure", x: float, y: float, text: str, font: "FontProperties") -> None:
    """Write at pixels from the upper left corner; no text is ever read as mathematics."""
    place = (x / figure.bbox.width, 1 - y / figure.bbox.height)
    figure.text(*place, text, va="top", color=INK, fontproperties=font, parse_math=False)


def heading_height(title: str) -> int:
    """Return the pixels above the content: a margin where there is no title."""
    return HEADING if title else MARGIN


def write_heading(figure: "Figure", title: str, top: int) -> None:
    """Write a title, shortened to the figure's width."""
    room = figure.bbox.width - 2 * MARGIN
    text = shorten(title, room, 11, "bold")
    write(figure, MARGIN, top + 26, text, font(11, "bold"))


def annotate(
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
        fontproperties=font(SMALL, "bold"),
    )


def short_number(value: float) -> str:
    """Write a number of an axis.

    >>> short_number(0.05), short_number(2.5e-5)
    ('0.05', '2.5e-5')
    """
    if value == 0 or 1e-3 <= value < 1e4:
        return f"{value:.4g}"
    return str(np.format_float_scientific(value, precision=2, trim="-", exp_digits=1))


def shorten(
    text: str, room: float, points: float, weight: str = "normal", *, ending: int = 0
) -> str:
    """Return one line of letters that can be drawn, cut to the room by its measured width.

    The last `ending` letters are kept where there is room for them; with `ending` as long as the
    text it is cut at its beginning.
    """
    line = " ".join(text.split())
    if len(line) > MOST:
        line = line[: max(0, MOST - ending)] + line[-min(ending, MOST) :] if ending else line[:MOST]
    letters = [letter for letter in line if not _unseen(letter)]
    shown = "".join(letter if drawable(letter) else "□" for letter in letters)
    if length(shown, points, weight) <= room:
        return shown
    kept = max(0, len(shown) - ending)
    head, tail = shown[:kept], shown[kept:]
    while head and length(f"{head}…{tail}", points, weight) > room:
        head = head[:-1].rstrip()
    while tail and length(f"{head}…{tail}", points, weight) > room:
        tail = tail[1:].lstrip()
    return f"{head}…{tail}"


def _unseen(letter: str) -> bool:
    # Joiners and selectors of emoji variants.
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs") or "\ufe00" <= letter <= "\ufe0f"


@functools.cache
def drawable(letter: str) -> bool:
    """Whether a font has it in both weights: a missing one would only warn, at drawing."""
    from matplotlib.font_manager import findfont, get_font

    pairs = ([findfont(font(1, w, family)) for w in ("normal", "bold")] for family in _families())
    return any(all(get_font(p).get_char_index(ord(letter)) for p in pair) for pair in pairs)


def length(text: str, points: float, weight: str = "normal") -> float:
    """Measure a text, in pixels."""
    return float(_ruler().get_text_width_height_descent(text, font(points, weight), False)[0])


@functools.cache
def _ruler() -> "RendererAgg":
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


def font(points: float, weight: str = "normal", family: str | None = None) -> "FontProperties":
    """Return a font; without a family, all installed ones, each for what those before lack."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=family or _families(), size=points, weight=weight)


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [name for name in FONTS if name in installed]
