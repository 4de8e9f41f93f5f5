"""What operations cost: their multiply-adds, and how their windows slide."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from striate import geometry


class Sliding(NamedTuple):
    """How a convolution or a pooling slides, a number an axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False

    def padded(self, amounts: Sequence[int]) -> "Sliding":
        """Count in what a layer pads before it slides: torch's numbers, the last axis first."""
        pairs = [tuple(amounts[i : i + 2]) for i in range(0, len(amounts), 2)]
        more = [*pairs, *[(0, 0)] * len(self.padding)][: len(self.padding)][::-1]
        padding = tuple(
            (before + a, after + b)
            for (before, after), (a, b) in zip(self.padding, more, strict=True)
        )
        return self._replace(padding=padding)


def multiply_adds(name: str, arguments: Sequence[Any], out: Tensor) -> int:
    """Count those of convolutions, matrix products and attention; other operations have none."""
    count = COUNTS.get(name)
    return count(arguments, out) if count else 0


def sliding(name: str, arguments: Sequence[Any]) -> Sliding | None:
    """Read the windows of a convolution or pooling off its arguments; None for others."""
    if name == "convolution":
        weight: Tensor = arguments[1]
        axes = weight.ndim - 2
        stride, padding, dilation = (each(value, axes) for value in arguments[3:6])
        pairs = tuple((pad, pad) for pad in padding)
        more = (arguments[8], arguments[6])
        return Sliding(tuple(weight.shape[2:]), stride, pairs, dilation, *more)
    if not name.startswith(("max_pool", "avg_pool")):
        return None
    axes = int(name[8])
    given = [*arguments[1:], *(None,) * 4]
    kernel = each(given[0], axes)
    dilation = each(given[3] or 1, axes) if name.startswith("max_pool") else (1,) * axes
    pairs = tuple((pad, pad) for pad in each(given[2] or 0, axes))
    return Sliding(kernel, each(given[1] or kernel, axes), pairs, dilation)


def each(value: Any, axes: int) -> tuple[int, ...]:
    """Return a number an axis; torch writes one for all where they are equal."""
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return found * axes if len(found) == 1 else found


def _convolution(arguments: Sequence[Any], out: Tensor) -> int:
    x, weight, transposed, groups = arguments[0], arguments[1], arguments[6], arguments[8]
    kernel = tuple(weight.shape[2:])
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    maps = x if transposed else out
    pictures = math.prod(out.shape[: out.ndim - len(kernel) - 1])
    sizes = tuple(maps.shape[maps.ndim - len(kernel) :])
    return pictures * geometry.multiply_adds(
        inputs, outputs, kernel=kernel, sizes=sizes, groups=groups
    )


def _product(place: int) -> Callable[[Sequence[Any], Tensor], int]:
    def count(arguments: Sequence[Any], out: Tensor) -> int:
        return math.prod(out.shape) * int(arguments[place].shape[-1])

    return count


def _attention(arguments: Sequence[Any], _: Tensor) -> int:
    query, key, value = (argument.shape for argument in arguments[:3])
    pairs: int = math.prod(query[:-1]) * int(key[-2])
    return pairs * (int(query[-1]) + int(value[-1]))


ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
)
COUNTS: dict[str, Callable[[Sequence[Any], Tensor], int]] = {
    "convolution": _convolution,
    "mm": _product(0),
    "bmm": _product(0),
    "addmm": _product(1),
    "baddbmm": _product(1),
    **dict.fromkeys(ATTENTION, _attention),
}
