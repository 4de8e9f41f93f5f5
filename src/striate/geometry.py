"""Sizes, counts and receptive fields of layers: whole numbers, without torch."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from striate.errors import UsageError

Padding = int | tuple[int, int] | Literal["same"]


def output_size(
    size: int,
    *,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    layer: str = "the layer",
) -> int:
    """Count the places of a kernel along one axis: of a convolution, or of a pooling.

    The quotient is rounded down. `ceil_mode` rounds it up, as PyTorch's poolings do on request, but
    no window may begin behind the picture. UsageError where nothing is left.

    >>> output_size(5, kernel=3, stride=2, padding=1)
    3
    >>> output_size(224, kernel=7, stride=2, padding=3), output_size(112, kernel=3, stride=2)
    (112, 55)
    >>> output_size(112, kernel=3, stride=2, ceil_mode=True)
    56
    >>> output_size(13, kernel=5, stride=2, padding="same")
    7
    """
    _check(layer, size=size, kernel=kernel, stride=stride, dilation=dilation)
    before, after = pads(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    if min(before, after) < 0:
        raise UsageError(f"{layer}: padding is 0 or more, not ({before}, {after})")
    room = size + before + after - span(kernel, dilation)
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + before:
        count -= 1
    if count < 1:
        spread = f" at dilation {dilation}" if dilation > 1 else ""
        raise UsageError(
            f"{layer}: a kernel of {kernel}{spread} spans {span(kernel, dilation)} and does not "
            f"fit a size of {size} with padding ({before}, {after})"
        )
    return count


def transposed_size(
    size: int,
    *,
    kernel: int,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int = 0,
    dilation: int = 1,
    layer: str = "the layer",
) -> int:
    """Count the outputs of a transposed convolution along one axis.

    >>> transposed_size(7, kernel=4, stride=2, padding=1)
    14
    """
    _check(layer, size=size, kernel=kernel, stride=stride, dilation=dilation)
    before, after = (padding, padding) if isinstance(padding, int) else padding
    if not 0 <= output_padding < max(stride, dilation):
        raise UsageError(
            f"{layer}: output padding is less than stride or dilation ({stride}, {dilation}), "
            f"not {output_padding}"
        )
    count = (size - 1) * stride + span(kernel, dilation) - before - after + output_padding
    if min(before, after) < 0 or count < 1:
        raise UsageError(
            f"{layer}: padding ({before}, {after}) leaves nothing of a size of {size} "
            f"spread by a kernel of {kernel} at stride {stride}"
        )
    return count


def output_sizes(
    sizes: Sequence[int],
    *,
    kernel: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[Padding] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    layer: str = "the layer",
) -> tuple[int, ...]:
    """Compute `output_size` along any number of axes; a choice is one for all, or one an axis.

    A tuple of padding is one axis's (before, after), a list has one padding an axis.

    >>> output_sizes((16, 224, 224), kernel=[3, 7, 7], stride=[1, 2, 2], padding=[1, 3, 3])
    (16, 112, 112)
    """
    choices = zip(
        sizes,
        _each(kernel, sizes, layer),
        _each(stride, sizes, layer),
        [padding] * len(sizes) if isinstance(padding, tuple) else _each(padding, sizes, layer),
        _each(dilation, sizes, layer),
        strict=True,
    )
    return tuple(
        output_size(
            size, kernel=k, stride=s, padding=p, dilation=d, ceil_mode=ceil_mode, layer=layer
        )
        for size, k, s, p, d in choices
    )


def span(kernel: int, dilation: int = 1) -> int:
    """Return the positions from a kernel's first to its last weight.

    >>> span(3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def pads(
    size: int, *, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1
) -> tuple[int, int]:
    """Return the padding before and after; "same" is what gives size/stride outputs, rounded up.

    An odd "same" has its larger half after, as PyTorch's and TensorFlow's have.

    >>> pads(32, kernel=4, padding="same"), pads(32, kernel=3, stride=2, padding="same")
    ((1, 2), (0, 1))
    """
    if padding == "same":
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + span(kernel, dilation) - size, 0)
        return total // 2, total - total // 2
    return (padding, padding) if isinstance(padding, int) else padding


def parameters(
    inputs: int, outputs: int, *, kernel: Sequence[int] = (), groups: int = 1, bias: bool = True
) -> int:
    """Count weights and biases of a convolution; without a kernel, of a linear layer.

    >>> parameters(3, 64, kernel=(3, 3)), parameters(512 * 7 * 7, 4096)
    (1792, 102764544)
    """
    _check_groups(inputs, outputs, groups)
    return outputs * (inputs // groups * math.prod(kernel) + bias)


def multiply_adds(
    inputs: int,
    outputs: int,
    *,
    kernel: Sequence[int] = (),
    sizes: Sequence[int] = (),
    groups: int = 1,
) -> int:
    """Count the multiply-adds of a convolution for one picture; biases are not counted.

    `sizes` are those of the output; of a transposed convolution those of its input. Without kernel
    and sizes it is a linear layer.

    >>> multiply_adds(3, 64, kernel=(7, 7), sizes=(112, 112))
    118013952
    """
    _check_groups(inputs, outputs, groups)
    return math.prod(sizes) * outputs * (inputs // groups) * math.prod(kernel)


class Field(NamedTuple):
    """What the outputs of a layer see of the picture along one axis, in pixels.

    Output i sees the pixels from `start + i * jump`, `size` of them. A start below 0 lies in
    padding. The jump is a fraction behind a transposed convolution.
    """

    size: Fraction = Fraction(1)
    jump: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    def through(
        self, kernel: int, *, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> "Field":
        """Return the field behind a convolution or pooling with so much padding before."""
        return Field(
            self.size + (span(kernel, dilation) - 1) * self.jump,
            self.jump * stride,
            self.start - before * self.jump,
        )

    def through_transposed(
        self, kernel: int, *, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> "Field":
        """Return the field behind a transposed convolution: that of the output that sees most."""
        reach = (span(kernel, dilation) - 1) // stride
        # Output 0 is reached by the inputs from (before - span + 1) / stride on, rounded up.
        first = -((span(kernel, dilation) - 1 - before) // stride)
        return Field(
            self.size + reach * self.jump, self.jump / stride, self.start + first * self.jump
        )

    def joined(self, other: "Field") -> "Field":
        """Return the field behind a sum or a concatenation: what either of the two sees."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Field(end - start, max(self.jump, other.jump), start)

    def covers(self, size: int) -> bool:
        """Tell whether output 0 sees a whole picture of this size."""
        return self.start <= 0 and self.start + self.size >= size


class Window(NamedTuple):
    """How a layer slides along one axis."""

    kernel: int
    stride: int = 1
    before: int = 0  # padding
    dilation: int = 1


def receptive_fields(windows: Iterable[Window]) -> list[Field]:
    """Return the field behind each of a row of layers.

    >>> vgg = [Window(3, before=1), Window(3, before=1), Window(2, stride=2)]
    >>> [(int(field.size), int(field.jump), int(field.start)) for field in receptive_fields(vgg)]
    [(3, 1, -1), (5, 1, -2), (6, 2, -2)]
    """
    fields = [Field()]
    for kernel, stride, before, dilation in windows:
        fields.append(fields[-1].through(kernel, stride=stride, before=before, dilation=dilation))
    return fields[1:]


def _each(choice: Any, sizes: Sequence[int], layer: str) -> list[Any]:
    if isinstance(choice, str) or not isinstance(choice, Sequence):
        return [choice] * len(sizes)
    if len(choice) != len(sizes):
        raise UsageError(f"{layer}: {len(choice)} numbers are given for {len(sizes)} axes")
    return list(choice)


def _check(layer: str, **given: int) -> None:
    for name, value in given.items():
        if value < 1:
            raise UsageError(f"{layer}: {name} is 1 or more, not {value}")


def _check_groups(inputs: int, outputs: int, groups: int) -> None:
    if groups < 1 or inputs % groups or outputs % groups:
        raise UsageError(f"{groups} groups do not divide {inputs} inputs and {outputs} outputs")
