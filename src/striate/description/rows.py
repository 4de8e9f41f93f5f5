"""A description: one row a layer, their sums, and what memory it takes to answer and to train."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from striate.tracing.costs import Sliding
from striate.tracing.ledger import number_of_bytes
from striate.tracing.places import Seen
from striate.tracing.trace import INPUT, Key, Layer

from .passes import OPTIMISERS, Answer, TrainingStep

Sizes = tuple[int, ...]
PRECISIONS = {"float32": 4, "bfloat16": 2}  # bytes of a number


@dataclass(frozen=True)
class Row:
    """A layer. Volumes are of one picture, the other numbers of the whole batch; bytes of float32.

    Where sizes along the axes of the picture are given, the last is the width.
    """

    name: str
    kind: str
    input: Sizes
    output: Sizes
    parameters: int = 0
    multiply_adds: int = 0
    activation_bytes: int = 0  # of its output, where that takes new memory
    output_bytes: int = 0  # of its output, in place or not
    kept_bytes: int | None = None  # of what it made, until the backward pass; None: see untrainable
    kernel: Sizes | None = None
    stride: Sizes | None = None
    padding: tuple[tuple[int, int], ...] | None = None  # before and after
    dilation: Sizes | None = None
    groups: int | None = None
    receptive_field: Sizes | None = None  # pixels
    jump: tuple[float, ...] | None = None  # pixels between the fields of neighbours
    offset: tuple[float, ...] | None = None  # the first pixel of the first field; below 0: padding
    whole_picture: bool = False
    sources: tuple[int, ...] = ()  # the rows whose outputs it takes, counted from 0, the input


@dataclass(frozen=True)
class Memory:
    """Bytes, in one precision."""

    weights: int  # and buffers
    inference: int  # the most at once during an answer: weights, input, activations
    kept: int | None  # activations that the forward pass keeps for the backward pass
    gradients: int | None
    optimiser: int | None
    training: int | None  # the most at once during a step


@dataclass(frozen=True)
class Description:
    """What a network is made of and costs."""

    model: str
    size: Sizes  # of a picture: channels, height, width
    batch: int
    optimiser: str
    layers: tuple[Row, ...]  # in the order in which they run, the input first
    unused_parameters: int  # that no layer took
    memory: dict[str, Memory]  # by precision
    untrainable: str | None = None  # why there are no numbers of a training step

    @property
    def totals(self) -> dict[str, int | None]:
        """Sum the rows up."""
        kept = [row.kept_bytes for row in self.layers if row.kept_bytes is not None]
        names = ("multiply_adds", "activation_bytes", "output_bytes")
        sums: dict[str, int | None] = {
            "parameters": self.unused_parameters + sum(row.parameters for row in self.layers)
        }
        sums |= {name: sum(getattr(row, name) for row in self.layers) for name in names}
        return sums | {"kept_bytes": None if self.untrainable else sum(kept)}

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        return {**dataclasses.asdict(self), "totals": self.totals}

    def draw(self) -> str:
        """Draw the volumes, as SVG."""
        from .drawing import draw

        return draw(self)

    def table(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of --csv: volumes and windows as text, 64x56x56."""
        for row in self.layers:
            cells = {name: _text(value) for name, value in dataclasses.asdict(row).items()}
            yield {**cells, "sources": " ".join(map(str, row.sources))}


def _text(value: Any) -> Any:
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return "x".join(f"{before}+{after}" for before, after in value)
    return "x".join(f"{one:g}" for one in value) if isinstance(value, tuple) else value


def rows(found: Answer, step: TrainingStep | None, size: Sizes, input_bytes: int) -> Iterator[Row]:
    """Yield the rows; what does nothing at all, as Identity, has none."""
    kept = _shared_out(found.layers, step.kept_by) if step else {}
    one = (1,) * (len(size) - 1)
    yield Row(
        *("input", "Input", size, size),
        activation_bytes=input_bytes,
        output_bytes=input_bytes,
        kept_bytes=kept.pop("input", 0) if step else None,
        receptive_field=one,
        jump=one,
        offset=(0,) * len(one),
    )
    numbers = {INPUT: 0}
    for place, layer in enumerate(found.layers):
        row = _row(layer, kept.get(place, 0) if step else None, len(found.outputs))
        if layer.computes or row.parameters or row.kept_bytes or row.input != row.output:
            sources = tuple(numbers[key] for key in layer.sources if key in numbers)
            numbers[layer.key] = len(numbers)
            yield dataclasses.replace(row, sources=sources)
    if kept.get("elsewhere"):
        yield Row("(in training only)", "", (), (), kept_bytes=kept["elsewhere"])


def _row(layer: Layer, kept: int | None, batch: int) -> Row:
    return Row(
        layer.name or "(network)",
        layer.kind,
        _of_one(layer.inputs, batch),
        _of_one(layer.outputs, batch),
        layer.parameters,
        layer.multiply_adds,
        layer.activation_bytes,
        layer.output_bytes,
        kept,
        **_window(layer.sliding),
        **_field(layer.seen),
    )


def _of_one(shape: Sizes, batch: int) -> Sizes:
    """Return the volume of one picture; products and windows have tokens in place of pictures.

    >>> _of_one((2, 64, 7, 7), 2), _of_one((98, 64), 2)
    ((64, 7, 7), (49, 64))
    """
    if not shape or shape[0] == batch or shape[0] % batch:
        return shape[1:]
    return shape[0] // batch, *shape[1:]


def _window(sliding: Sliding | None) -> Mapping[str, Any]:
    names = ("kernel", "stride", "padding", "dilation", "groups")
    return {name: getattr(sliding, name) for name in names} if sliding else {}


def _field(seen: Seen | None) -> Mapping[str, Any]:
    if seen is None:
        return {}
    return {
        "receptive_field": tuple(-(-field.size // 1) for field in seen.fields),
        "jump": tuple(_number(field.jump) for field in seen.fields),
        "offset": tuple(_number(field.start) for field in seen.fields),
        "whole_picture": seen.whole,
    }


def _number(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)


def _shared_out(layers: Iterable[Layer], by: Counter[Key]) -> dict[int | str, int]:
    """Find the row of each piece that is kept.

    An operation that runs only in training belongs to the first row of its module.
    """
    exact = {layer.key: place for place, layer in enumerate(layers)}
    calls: dict[tuple[str, int], int] = {}
    for place, layer in enumerate(layers):
        calls.setdefault(layer.key[:2], place)
    kept: Counter[int | str] = Counter()
    for key, size in by.items():
        other = "input" if key[2] == "input" else "elsewhere"
        kept[exact.get(key, calls.get(key[:2], other))] += size
    return dict(kept)


def memory(
    weights: Iterable[Any], trained: int, found: Answer, step: TrainingStep | None, optimiser: str
) -> dict[str, Memory]:
    """Compute the memory in each precision; `weights` are those and the buffers."""
    made = {}
    tensors = list(weights)
    for place, (name, size) in enumerate(PRECISIONS.items()):
        held = sum(number_of_bytes(tensor, halved=place == 1) for tensor in tensors)
        made[name] = Memory(
            held,
            found.peak[place],
            step.kept[place] if step else None,
            trained * size if step else None,
            OPTIMISERS[optimiser] * trained * size if step else None,
            step.peak[place] if step else None,
        )
    return made
