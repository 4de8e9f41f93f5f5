"""Which layers are drawn, and as what volume."""

import math
from collections.abc import Iterable, Sequence

from striate.figures import Volume, architecture
from striate.wording import counted

from .numbers import short
from .rows import Description, Row
from .sums import sums


def volumes(rows: Sequence[Row]) -> dict[int, Volume]:
    """Find what changes maps, by row: the input, convolutions, poolings, linear layers.

    What has several dimensions is a map, channels first behind convolutions and poolings, last
    behind linear layers; the tokens of a transformer are drawn as a square map.
    """
    kinds = {number: _kind(row) for number, row in enumerate(rows) if row.output}
    return {number: _volume(rows[number], kind) for number, kind in kinds.items() if kind}


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
    given = f"{counted(found.batch, 'pictures')} of {_times(found.size)}"
    title = f"{found.model}, {given}: {weights} weights, {work} multiply-adds"
    shown = volumes(found.layers)
    drawn = {row: place for place, row in enumerate(shown)}
    return architecture(list(shown.values()), title, list(sums(found.layers, drawn)))
