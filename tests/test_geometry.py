"""Sizes, counts and receptive fields, against torch."""

import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional as F

from striate import geometry
from striate.errors import UsageError
from striate.geometry import Field, Window

KERNELS = st.integers(1, 7)
STRIDES = st.integers(1, 4)
PADDINGS = st.integers(0, 3)
DILATIONS = st.integers(1, 3)


def torch_size(layer: nn.Module, *sizes: int) -> tuple[int, ...] | None:
    """Return the size behind a layer of one channel; None where torch refuses."""
    try:
        return tuple(layer(torch.zeros(1, 1, *sizes)).shape[2:])
    except RuntimeError:
        return None


@given(st.integers(1, 40), KERNELS, STRIDES, PADDINGS, DILATIONS)
def test_a_convolutions_size_is_torchs(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    expected = torch_size(nn.Conv1d(1, 1, kernel, stride, padding, dilation), size)
    if expected is None:
        with pytest.raises(UsageError, match=r"conv9: a kernel of .* does not fit"):
            geometry.output_size(
                size,
                kernel=kernel,
                stride=stride,
                padding=padding,
                dilation=dilation,
                layer="conv9",
            )
    else:
        found = geometry.output_size(
            size, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
        assert (found,) == expected


@given(st.integers(1, 40), KERNELS, STRIDES, PADDINGS, DILATIONS, st.booleans())
def test_a_poolings_size_is_torchs(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> None:
    padding = min(padding, kernel // 2)  # torch refuses more
    layer = nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    expected = torch_size(layer, size)
    choices: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    if expected is None:
        with pytest.raises(UsageError, match="does not fit"):
            geometry.output_size(size, **choices, ceil_mode=ceil_mode)
    else:
        assert (geometry.output_size(size, **choices, ceil_mode=ceil_mode),) == expected


@given(st.integers(1, 30), KERNELS, STRIDES, PADDINGS, PADDINGS, DILATIONS)
def test_padding_may_differ_before_and_after(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    layer = nn.Sequential(
        nn.ConstantPad1d((before, after), 0.0), nn.Conv1d(1, 1, kernel, stride, 0, dilation)
    )
    expected = torch_size(layer, size)
    choices: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    if expected is None:
        with pytest.raises(UsageError, match="does not fit"):
            geometry.output_size(size, **choices, padding=(before, after))
    else:
        assert (geometry.output_size(size, **choices, padding=(before, after)),) == expected


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # that it copies, for even kernels
@given(st.integers(1, 30), KERNELS, DILATIONS)
def test_same_padding_is_torchs_at_stride_1(size: int, kernel: int, dilation: int) -> None:
    layer = nn.Conv1d(1, 1, kernel, padding="same", dilation=dilation)
    before, after = geometry.pads(size, kernel=kernel, padding="same", dilation=dilation)
    x = torch.rand(1, 1, size)
    plain = F.conv1d(F.pad(x, (before, after)), layer.weight, layer.bias, dilation=dilation)
    torch.testing.assert_close(layer(x), plain)
    assert geometry.output_size(size, kernel=kernel, padding="same", dilation=dilation) == size


@given(st.integers(1, 30), KERNELS, STRIDES, DILATIONS)
def test_same_padding_is_tensorflows_at_any_stride(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    reference = Conv2dSame(1, 1, kernel, stride, dilation=dilation)
    choices: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    before, after = geometry.pads(size, **choices, padding="same")
    x = torch.rand(1, 1, size, size)
    padded = F.pad(x, (before, after, before, after))
    plain = F.conv2d(padded, reference.weight, reference.bias, stride, 0, dilation)
    torch.testing.assert_close(reference(x), plain)
    assert geometry.output_size(size, **choices, padding="same") == plain.shape[-1]


@given(st.integers(1, 20), KERNELS, STRIDES, PADDINGS, st.integers(0, 4), DILATIONS)
def test_a_transposed_convolutions_size_is_torchs(
    size: int, kernel: int, stride: int, padding: int, extra: int, dilation: int
) -> None:
    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, extra, dilation=dilation)
    expected = torch_size(layer, size)
    choices: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    if expected is None or 0 in expected:
        with pytest.raises(UsageError):
            geometry.transposed_size(size, **choices, output_padding=extra)
    else:
        assert (geometry.transposed_size(size, **choices, output_padding=extra),) == expected


@given(st.data())
def test_each_axis_has_its_own_numbers(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    sizes, kernel, stride, padding, dilation = (
        data.draw(st.lists(numbers, min_size=axes, max_size=axes))
        for numbers in (st.integers(8, 16), st.integers(1, 4), STRIDES, PADDINGS, st.just(2))
    )
    kind: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    layer = kind(1, 1, tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    found = geometry.output_sizes(
        sizes, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    assert found == torch_size(layer, *sizes)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.lists(KERNELS), st.booleans())
def test_parameters_are_those_that_torch_makes(
    inputs: int, outputs: int, groups: int, kernel: Sequence[int], bias: bool
) -> None:
    kernel = kernel[:3]
    kind: Any = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(kernel)]
    groups = groups if kernel else 1
    inputs, outputs = inputs * groups, outputs * groups
    more: dict[str, Any] = {"kernel_size": tuple(kernel), "groups": groups} if kernel else {}
    layer = kind(inputs, outputs, bias=bias, **more)
    expected = sum(p.numel() for p in layer.parameters())
    found = geometry.parameters(inputs, outputs, kernel=kernel, groups=groups, bias=bias)
    assert found == expected


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.data())
def test_multiply_adds_are_the_terms_of_the_sum(
    inputs: int, outputs: int, groups: int, data: st.DataObject
) -> None:
    """With ones everywhere and no padding, an output is the number of its products."""
    axes = data.draw(st.integers(1, 3))
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    stride = data.draw(st.integers(1, 2))
    inputs, outputs = inputs * groups, outputs * groups
    convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    weight = torch.ones(outputs, inputs // groups, *kernel)
    y = convolve(torch.ones(1, inputs, *[5] * axes), weight, stride=stride, groups=groups)
    found = geometry.multiply_adds(inputs, outputs, kernel=kernel, sizes=y.shape[2:], groups=groups)
    assert found == y.sum().item()


WINDOWS = st.builds(
    Window, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)
)


def seen(layers: nn.Module, size: int, position: int) -> tuple[int, int]:
    """Return the first pixel that an output depends on, and the one behind the last."""
    x = torch.rand(1, 1, size, dtype=torch.float64, requires_grad=True)
    layers(x)[0, 0, position].backward()
    assert x.grad is not None
    found = x.grad[0, 0].nonzero()
    return int(found.min()), int(found.max()) + 1


@given(st.lists(WINDOWS, min_size=1, max_size=4), st.data())
def test_a_field_is_where_the_gradient_is(windows: list[Window], data: st.DataObject) -> None:
    size = 300  # enough for four of the widest windows with the longest stride
    chain = nn.Sequential(*(nn.Conv1d(1, 1, k, s, p, d, bias=False) for k, s, p, d in windows))
    for weight in chain.double().parameters():
        nn.init.ones_(weight)
    outputs = chain(torch.zeros(1, 1, size, dtype=torch.float64)).shape[-1]
    field = geometry.receptive_fields(windows)[-1]
    # A window that lies in padding altogether sees nothing, and what it would have seen is not
    # told apart: positions are taken whose field lies within the picture.
    inside = [
        i
        for i in range(outputs)
        if field.start + i * field.jump >= 0 and field.start + i * field.jump + field.size <= size
    ]
    if inside:
        position = data.draw(st.sampled_from(inside))
        first = int(field.start + position * field.jump)
        assert seen(chain, size, position) == (first, first + int(field.size))


@given(KERNELS, STRIDES, PADDINGS, DILATIONS)
def test_behind_a_transposed_convolution_the_widest_field_counts(
    kernel: int, stride: int, padding: int, dilation: int
) -> None:
    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, 0, dilation=dilation, bias=False)
    nn.init.ones_(layer.double().weight)
    size = 40
    field = Field().through_transposed(kernel, stride=stride, before=padding, dilation=dilation)
    x = torch.rand(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = layer(x)[0, 0]
    widths = []
    for position in range(y.numel() // 3, y.numel() // 3 + stride * dilation):
        (gradient,) = torch.autograd.grad(y[position], x, retain_graph=True)
        places = gradient[0, 0].nonzero()
        widths.append(int(places.max() - places.min()) + 1 if len(places) else 0)
    assert field.jump * stride == 1
    assert max(widths) <= field.size
    if dilation == 1:
        assert max(widths) == field.size == math.ceil(kernel / stride)


def test_a_sum_sees_what_either_branch_sees() -> None:
    wide, narrow = Field().through(5, before=2), Field().through(3, stride=2)
    assert wide.joined(narrow) == narrow.joined(wide)
    assert tuple(map(int, wide.joined(narrow))) == (5, 2, -2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 4, "kernel": 7}, "a kernel of 7 spans 7 and does not fit a size of 4"),
        ({"size": 4, "kernel": 3, "dilation": 2}, "at dilation 2 spans 5"),
        ({"size": 4, "kernel": 3, "padding": (-1, 0)}, r"padding is 0 or more, not \(-1, 0\)"),
        ({"size": 0, "kernel": 3}, "size is 1 or more, not 0"),
        ({"size": 4, "kernel": 3, "stride": 0}, "stride is 1 or more, not 0"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"stage2.conv1: .*{words}"):
        geometry.output_size(**arguments, layer="stage2.conv1")


def test_axes_and_groups_are_checked() -> None:
    with pytest.raises(UsageError, match="pool1: 3 numbers are given for 2 axes"):
        geometry.output_sizes((8, 8), kernel=[2, 2, 2], layer="pool1")
    with pytest.raises(UsageError, match="3 groups do not divide 4 inputs and 6 outputs"):
        geometry.parameters(4, 6, kernel=(3,), groups=3)


def test_the_geometry_needs_no_torch() -> None:
    code = "import sys, striate.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
