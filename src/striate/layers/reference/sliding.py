"""Where a window stands as it slides over a volume of any number of dimensions."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Each = int | Sequence[int]  # one number for all dimensions, or one for each
Index = tuple[Any, ...]  # of a tensor, by its last axes


class Slide(NamedTuple):
    """How a window slides, by dimension: its extent in cells, stride, dilation, positions."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    positions: tuple[int, ...]

    def taps(self) -> Iterator[tuple[Index, Index]]:
        """Yield, for each cell of the window, its index and that of what it meets.

        At position i the window's cell u lies on cell i * stride + u * dilation.
        """
        for cell in itertools.product(*map(range, self.kernel)):
            starts = [u * d for u, d in zip(cell, self.dilation, strict=True)]
            met = [
                slice(start, start + (count - 1) * step + 1, step)
                for start, count, step in zip(starts, self.positions, self.stride, strict=True)
            ]
            yield (..., *cell), (..., *met)


def each(value: Each, dimensions: int) -> tuple[int, ...]:
    """Return one number for each dimension.

    >>> each(2, 3), each((1, 2), 2)
    ((2, 2, 2), (1, 2))
    """
    values = (value,) * dimensions if isinstance(value, int) else tuple(value)
    assert len(values) == dimensions, f"{values} for {dimensions} dimensions"
    return values


def positions(size: int, kernel: int, *, stride: int, padding: int, dilation: int) -> int:
    """Count where a window fits: (size + 2 padding - extent) / stride + 1, rounded down.

    >>> positions(5, 3, stride=2, padding=1, dilation=1)
    3
    """
    extent = dilation * (kernel - 1) + 1
    return (size + 2 * padding - extent) // stride + 1


def ceil_positions(size: int, kernel: int, *, stride: int, padding: int, dilation: int) -> int:
    """Count as `positions`, rounded up; a window that would start behind the picture is left out.

    >>> ceil_positions(6, 3, stride=2, padding=0, dilation=1)
    3
    """
    extent = dilation * (kernel - 1) + 1
    count = -((extent - size - 2 * padding) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def slide(sizes: Sequence[int], kernel: Each, stride: Each, padding: Each, dilation: Each) -> Slide:
    """Return the slide of a window over a volume whose sides are `sizes` cells."""
    n = len(sizes)
    rows = [each(value, n) for value in (kernel, stride, padding, dilation)]
    counts = tuple(
        positions(size, e, stride=s, padding=p, dilation=d)
        for size, e, s, p, d in zip(sizes, *rows, strict=True)
    )
    assert min(counts) > 0, f"a window of {rows[0]} cells fits nowhere in {tuple(sizes)}"
    return Slide(rows[0], rows[1], rows[3], counts)
