"""Which layers are drawn, and as what volume."""

import math
from collections.abc import Iterable, Iterator

from striate.figures import Volume, architecture

from .numbers import short
from .rows import Description, Row


def volumes(rows: tuple[Row, ...]) -> Iterator[Volume]:
    """Give what changes maps: the input, convolutions, poolings, linear layers. All else is left.

    What has several dimensions is a map, channels first behind convolutions and poolings, last
    behind linear layers; the tokens of a transformer are drawn as a square map.
    """
    for row in rows:
        kind = _kind(row)
        if kind is not None and row.output:
            yield _volume(row, kind)


def _kind(row: Row) -> str | None:
    if row.kind == "Input":
        return "input"
    if row.kernel is not None:
        return "convolution" if row.multiply_adds else "pooling"
    if row.multiply_adds and row.parameters:
        return "linear"
    smaller = math.prod(row.output) < math.prod(row.input)
    return "pooling" if smaller and len(row.input) > 2 and "pool" in row.kind.lower() else None


def _volume(row: Row, kind: str) -> Volume:
    sizes = row.output if kind != "linear" else (row.output[-1], *row.output[:-1])
    channels, *maps = sizes
    if len(maps) == 1 or kind == "linear":
        maps = [round(math.sqrt(math.prod(maps)))] * 2
    height, width = (maps or [1, 1])[-2:]
    label = row.kind if kind != "input" else "input"
    if row.kernel:
        label += f" {_times(row.kernel)}"
    return Volume(channels, height, width, kind, label, _times(row.output))


def _times(sizes: Iterable[int]) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, sizes))


def draw(found: Description) -> str:
    """Draw a network as SVG."""
    weights, work = (short(found.totals[name] or 0) for name in ("parameters", "multiply_adds"))
    cost = f"{weights} weights, {work} multiply-adds"
    title = f"{found.model} at {_times(found.size)}: {cost}"
    return architecture(list(volumes(found.layers)), title)
