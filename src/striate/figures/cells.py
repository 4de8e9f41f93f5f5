"""Arrays as cells that can be counted: coloured by value, framed by a grid, with their numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]
Values = NDArray[np.floating]

# From white to the full value's colour, through the palette's own; light ends read as small.
POSITIVE = ("#FFFFFF", "#9CC9E3", style.BLUE, "#00324F")
NEGATIVE = ("#FFFFFF", "#F3B78F", style.ORANGE, "#6B2F00")
COUNTED = 8  # pixels of a cell from which on cells are framed
LINE = 1.6  # points


def coloured(values: Values, limit: float) -> Pixels:
    """Return numbers (h, w) as colours (h, w, 3): blue above 0, orange below, full at `limit`."""
    shares = np.clip(np.abs(values) / (limit or 1.0), 0, 1)
    above, below = (_ramp(shares, colours) for colours in (POSITIVE, NEGATIVE))
    return np.where((values >= 0)[:, :, None], above, below)


def _ramp(shares: Values, colours: tuple[str, ...]) -> Pixels:
    stops = np.array([rgb(colour) for colour in colours], dtype=np.float64)
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, places, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def rgb(colour: str) -> tuple[int, int, int]:
    """Read a colour.

    >>> rgb("#0072B2")
    (0, 114, 178)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def enlarged(colours: Pixels, scale: float) -> Pixels:
    """Return (h, w, 3), each cell `scale` pixels: whole dots, in a grid if large; or resampled."""
    whole = side(scale)
    if whole < 2:
        sides = [max(1, round(length * whole)) for length in colours.shape[1::-1]]
        how = Image.Resampling.BOX if whole < 1 else Image.Resampling.BILINEAR
        return np.asarray(Image.fromarray(colours).resize(sides, how))
    whole = int(whole)
    dots = colours.repeat(whole, axis=0).repeat(whole, axis=1)
    if whole >= COUNTED:
        dots[::whole] = dots[:, ::whole] = rgb(style.RULE)
    return np.pad(dots, ((0, 1), (0, 1), (0, 0)), constant_values=0xC9)


def side(scale: float) -> float:
    """Return the pixels that a cell is drawn with: a whole number where dots would be unequal."""
    return scale if scale < 2 else float(int(scale))


def place(figure: "Figure", picture: Pixels, left: float, top: float) -> None:
    """Put pixels (h, w, 3) on a figure as they are: an axes would resample them."""
    figure.figimage(picture, round(left), round(figure.bbox.height - top - len(picture)))


def write_numbers(
    figure: "Figure", values: Values, left: float, top: float, scale: int, *, limit: float
) -> None:
    """Write a number into the middle of each cell, white where `limit` makes the cell dark."""
    texts = [[number(value) for value in row] for row in values.tolist()]
    widest = max(style.length(text, style.SMALL) for row in texts for text in row)
    points = style.SMALL * min(1.0, (scale - 6) / widest)
    for (i, j), value in np.ndenumerate(values):
        dark = abs(value) > 0.55 * (limit or 1.0)
        figure.text(
            (left + (j + 0.5) * scale) / figure.bbox.width,
            1 - (top + (i + 0.5) * scale) / figure.bbox.height,
            texts[i][j],
            ha="center",
            va="center_baseline",
            color="white" if dark else style.INK,
            fontproperties=style.font(points),
        )


def frame(  # noqa: PLR0913
    figure: "Figure",
    left: float,
    top: float,
    width: float,
    height: float,
    *,
    colour: str = style.ORANGE,
    points: float = LINE,
) -> None:
    """Frame a rectangle."""
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    line(figure, [*corners, corners[0]], colour=colour, points=points)


def line(
    figure: "Figure",
    places: Sequence[tuple[float, float]],
    *,
    colour: str = style.INK,
    points: float = LINE,
) -> None:
    """Draw a line, so many points wide, through places in pixels from the upper left corner."""
    from matplotlib.lines import Line2D

    xs = [x / figure.bbox.width for x, _ in places]
    ys = [1 - y / figure.bbox.height for _, y in places]
    figure.add_artist(Line2D(xs, ys, color=colour, lw=points, solid_joinstyle="miter"))


def number(value: float) -> str:
    """Write a number with two decimals at most, and with a true minus.

    >>> number(2.0), number(0.163), number(12.3), number(-3) == "\N{MINUS SIGN}3"
    ('2', '0.16', '12', True)
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:.0f}"
    return ("0" if text in ("-0", "") else text).replace("-", "\N{MINUS SIGN}")
