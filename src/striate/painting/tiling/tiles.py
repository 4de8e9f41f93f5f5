"""Tiles of a picture, for exact gradients in little memory (Galerne et al. 2024).

https://arxiv.org/abs/2401.05066: statistics are summed over tiles, then each tile is run again for
its part of the gradient. As the parts are summed too, a tile needs only the margin that its own
activations see: 80 pixels for VGG-16, 96 for VGG-19.
"""

import math
from typing import NamedTuple

from torch import Tensor


class Span(NamedTuple):
    """One axis of a tile: what is run, [begin, end), and the part of it that counts."""

    begin: int
    end: int
    core_begin: int
    core_end: int
    length: int  # of the whole picture

    def at(self, depth: int) -> slice:
        """Return where the core lies in the activations of the block at this depth."""
        begin = self.begin >> depth
        # Pooling drops a last odd row: the last core ends where the activations do.
        end = (self.length if self.core_end == self.length else self.core_end) >> depth
        return slice((self.core_begin >> depth) - begin, end - begin)

    def whole_at(self, depth: int) -> slice:
        """Return where the core lies in the activations of the whole picture."""
        begin = self.begin >> depth
        inside = self.at(depth)
        return slice(inside.start + begin, inside.stop + begin)


class Tile(NamedTuple):
    """A rectangle of a picture with a margin."""

    rows: Span
    columns: Span

    @property
    def pixels(self) -> int:
        """Count what is run."""
        return (self.rows.end - self.rows.begin) * (self.columns.end - self.columns.begin)

    def crop(self, picture: Tensor) -> Tensor:
        """Return the tile with its margin: a view of (..., H, W)."""
        return picture[..., self.rows.begin : self.rows.end, self.columns.begin : self.columns.end]

    def core(self, features: Tensor, depth: int) -> Tensor:
        """Return the core of the tile's own activations (..., H, W) of a block."""
        return features[..., self.rows.at(depth), self.columns.at(depth)]

    def whole(self, features: Tensor, depth: int) -> Tensor:
        """Return the same place in activations (..., H, W) of the whole picture."""
        return features[..., self.rows.whole_at(depth), self.columns.whole_at(depth)]


def strip(tile: Tile, rows: Span) -> Tile:
    """Return a strip of a tile, these rows of it without their margin, as a tile of its own."""
    first = tile.rows.begin
    begin, end = first + rows.core_begin, first + rows.core_end
    core_begin = min(max(tile.rows.core_begin, begin), end)
    core_end = max(min(tile.rows.core_end, end), core_begin)
    return Tile(Span(begin, end, core_begin, core_end, tile.rows.length), tile.columns)


def whole(size: tuple[int, int]) -> Tile:
    """Return a picture of height and width as one tile."""
    rows, columns = (Span(0, length, 0, length, length) for length in size)
    return Tile(rows, columns)


def tiled(size: tuple[int, int], side: int | None, margin: int, alignment: int) -> list[Tile]:
    """Cut a picture of height and width into tiles whose cores are at most `side` pixels wide."""
    rows, columns = (spans(length, side, margin, alignment) for length in size)
    return [Tile(row, column) for row in rows for column in columns]


def spans(length: int, side: int | None, margin: int, alignment: int) -> list[Span]:
    """Cut one axis into equal cores of at most `side` pixels, each with a margin on both sides."""
    if side is None or length <= side + 2 * margin:
        return [Span(0, length, 0, length, length)]
    count = math.ceil(length / max(side, alignment))
    # Equal cores: a narrow last one would cost its margins for little.
    spacing = math.ceil(length / count / alignment) * alignment
    starts = range(0, length, spacing)
    # What is left of the last core may be less than one activation of the deepest block.
    starts = starts[:-1] if len(starts) > 1 and length - starts[-1] < alignment else starts
    ends = [*starts[1:], length]
    return [
        Span(max(0, begin - margin), min(length, end + margin), begin, end, length)
        for begin, end in zip(starts, ends, strict=True)
    ]
