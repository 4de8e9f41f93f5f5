"""Sheets of pictures with captions, alone or below the curves of a training."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.epochs import METRIC

from . import style
from .curves import CHARTS, History, draw_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

LINES = 3  # of a caption
WIDE = 5  # columns, where captions hold names of classes
BETWEEN = 3 * style.GAP  # pixels between groups of columns


class Line(NamedTuple):
    """A line of a caption; where it is too long, its last `ending` letters are kept."""

    text: str
    ending: int = 0


Caption = str | Sequence[Line]


class Cell(NamedTuple):
    """A picture of a sheet, resized and framed, and the lines under it."""

    picture: Pixels
    lines: list[str]


class Fitted(NamedTuple):
    """A picture (H, W, 3) that was drawn for its box already."""

    picture: Pixels


class Columns(NamedTuple):
    """How many columns a grid has; with `group`, each so many stand together, apart from others."""

    number: int
    group: int | None = None

    @property
    def pitch(self) -> int:
        """Pixels from the left edge of a column to that of the next in its group."""
        gaps = (self.number - 1) // self.group if self.group else 0
        room = style.WIDTH - 2 * style.MARGIN + style.GAP - gaps * (BETWEEN - style.GAP)
        return room // self.number

    def left(self, column: int) -> int:
        """Return where a column begins."""
        gaps = column // self.group if self.group else 0
        return style.MARGIN + column * self.pitch + gaps * (BETWEEN - style.GAP)


def mistake(true: str, predicted: str, share: str, name: str) -> list[Line]:
    """Caption a picture that was taken for another class: the ends of all names are kept."""
    return [
        Line(f"true {true}", ending=6),
        Line(f"predicted {predicted}", ending=6),
        Line(f"{share} sure"),
        Line(name, ending=len(name)),
    ]


def sheet(
    images: Sequence[Pixels | Fitted],
    captions: Sequence[Caption],
    *,
    columns: int = 8,
    group: int | None = None,
    title: str = "",
    form: str = "png",
) -> bytes:
    """Draw a grid of pictures (H, W) or (H, W, 3), each with up to three lines underneath.

    With `group`, each so many columns stand together. As PNG or, with form="svg", as SVG.
    """
    layout = Columns(columns, group)
    grid, top = _grid(images, captions, layout), style.heading_height(title)
    # A few pictures keep their size and narrow the sheet, down to what a title needs.
    shown = min(columns, max(len(images), math.ceil(columns / 2)))
    width = layout.left(shown - 1) + layout.pitch - style.GAP + style.MARGIN
    figure = style.canvas(width, top + _grid_height(grid))
    style.write_heading(figure, title, top=0)
    _draw_grid(figure, grid, top, layout)
    return style.FORMS[form](figure)


def overview(  # noqa: PLR0913
    history: History,
    images: Sequence[Pixels],
    captions: Sequence[Caption],
    title: str,
    *,
    note: str,
    by_step: History = (),
    metric: str = METRIC,
) -> bytes:
    """Draw what a training leaves: its curves and below, under the note, its worst mistakes."""
    layout = Columns(WIDE)
    grid, top = _grid(images, captions, layout), style.heading_height(title)
    below = top + CHARTS
    figure = style.canvas(style.WIDTH, below + style.HEADING + (_grid_height(grid) if grid else 0))
    style.write_heading(figure, title, top=0)
    draw_curves(figure, history, by_step, top, metric=metric)
    style.write_heading(figure, note, top=below)
    if grid:
        _draw_grid(figure, grid, below + style.HEADING, layout)
    return style.png(figure)


def _grid(
    images: Sequence[Pixels | Fitted], captions: Sequence[Caption], layout: Columns
) -> list[list[Cell]]:
    box, columns = layout.pitch - style.GAP, layout.number
    cells = [
        Cell(_frame(_fitted(image, box - 2)), caption_lines(caption, box))
        for image, caption in zip(images, captions, strict=True)
    ]
    return [cells[i : i + columns] for i in range(0, len(cells), columns)]


def _fitted(image: Pixels | Fitted, box: int) -> Pixels:
    return image.picture if isinstance(image, Fitted) else resized(image, box)


def resized(image: Pixels, box: int) -> Pixels:
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


def caption_lines(caption: Caption, room: int) -> list[str]:
    """Return up to LINES lines, each shortened to the room in pixels."""
    if isinstance(caption, str):
        texts = caption.splitlines()
        if len(texts) > LINES:
            texts = [*texts[: LINES - 1], texts[LINES - 1] + " …"]
        caption = [Line(text) for text in texts]
    return [style.shorten(text, room, style.SMALL, ending=ending) for text, ending in caption]


def _row_height(row: Sequence[Cell]) -> int:
    tallest = max(len(cell.picture) for cell in row)
    return tallest + 10 + style.LINE * max(len(cell.lines) for cell in row)


def _grid_height(grid: Sequence[Sequence[Cell]]) -> int:
    if not grid:
        return 2 * style.MARGIN
    return sum(_row_height(row) + style.GAP for row in grid) + style.MARGIN - style.GAP


def _draw_grid(figure: "Figure", grid: Sequence[Sequence[Cell]], top: int, layout: Columns) -> None:
    if not grid:
        style.write(figure, style.MARGIN, top, "no pictures", style.font(style.NORMAL))
    for row in grid:
        tallest = max(len(cell.picture) for cell in row)
        for i, cell in enumerate(row):
            left, down = layout.left(i), top + tallest
            # Placed as it is: an axes would resample it.
            figure.figimage(cell.picture, left, round(figure.bbox.height) - down)
            for number, line in enumerate(cell.lines):
                style.write(
                    figure, left, down + 8 + number * style.LINE, line, style.font(style.SMALL)
                )
        top += _row_height(row) + style.GAP
