"""A convolution with its ReLU, and a pooling, that keep little for the backward pass."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _ConvolveRectify(torch.autograd.Function):
    """A 3x3 convolution and ReLU; the border is repeated, not zero.

    Zeros around a picture are an edge that every layer sees, and the painting answers with a band.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        way: tuple[bool, bool],
        ends: tuple[bool, bool],
    ) -> Tensor:
        named, pooled = way
        ctx.dtype, ctx.ends = images.dtype, ends
        output = _forward(images, weight, bias, ends)
        # Where it is zero no slope passes. What a style loss keeps anyway tells it at no cost, and
        # a pooling tells it by itself.
        kept = [output] if named else [] if pooled else [output > 0]
        ctx.save_for_backward(weight, *kept)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, *kept = ctx.saved_tensors
        # In place: every gradient of this network is made for one layer alone.
        passed = gradients[0].contiguous(memory_format=torch.channels_last)
        for one in kept:
            if one.dtype == torch.bool:
                passed.mul_(one)
            else:
                torch.ops.aten.threshold_backward.grad_input(passed, one, 0, grad_input=passed)
        return _back(passed, weight, ctx.ends).to(ctx.dtype), None, None, None, None


def convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    named: bool = True,
    pooled: bool = False,
    ends: tuple[bool, bool] = (True, True),
) -> Tensor:
    """Compute ReLU(3x3 convolution): (N, C, H, W) -> (N, width, H, W); weights are not trained.

    `named` says that the output is kept elsewhere as well, `pooled` that only `pool` takes it.
    `ends` says whether the picture ends above the first row and below the last; where it goes on,
    the output has a row less.
    """
    found: Tensor = _ConvolveRectify.apply(images, weight, bias, (named, pooled), ends)
    return found


def _forward(images: Tensor, weight: Tensor, bias: Tensor, ends: tuple[bool, bool]) -> Tensor:
    padded = F.pad(images, (1, 1, *map(int, ends)), mode="replicate").to(weight.dtype)
    return torch.conv2d(padded, weight, bias).relu_()


def _back(passed: Tensor, weight: Tensor, ends: tuple[bool, bool]) -> Tensor:
    """Compute the gradient of a convolution's input, from that of its output.

    What a border of one pixel has is added to the pixels that it repeats.
    """
    count, _, height, width = passed.shape
    whole = all(ends)
    found: Tensor = torch.ops.aten.convolution_backward(
        passed,
        # The input is asked for its size only: no page of it is ever touched.
        torch.empty(
            (count, weight.shape[1], height if whole else height + 2, width),
            dtype=passed.dtype,
            device=passed.device,
            memory_format=torch.channels_last,
        ),
        weight,
        None,
        (1, 1),
        (int(whole), 1),
        (1, 1),
        False,
        (0, 0),
        1,
        (True, False, False),
    )[0]
    # The border's part comes from the outermost outputs alone: a copy of everything with a border
    # would be the largest thing in memory.
    taps = weight.permute(2, 3, 0, 1)
    for edge, tap in ((0, 0), (-1, 2)):
        if whole:
            beyond = _line(passed[:, :, edge], taps[tap])
            found[:, :, edge] += beyond[..., 1:-1]
            found[:, :, edge, 0] += beyond[..., 0]
            found[:, :, edge, -1] += beyond[..., -1]
        # Of the columns the ends are the corners, which the rows had.
        column = _line(passed[..., edge], taps[:, tap])
        found[..., edge] += column[..., 1:-1] if whole else column
    if whole:
        return found
    # A strip is small: it is folded as it is.
    first, last = map(int, ends)
    if first:
        found[:, :, 1] += found[:, :, 0]
    if last:
        found[:, :, -2] += found[:, :, -1]
    return found[:, :, first : found.shape[2] - last]


def _line(passed: Tensor, taps: Tensor) -> Tensor:
    """Compute what a line of outputs (N, C, L) passes back to one of inputs (N, D, L + 2).

    As products of matrices: so short a convolution is many times as slow. Taps are (3, C, D).
    """
    parts = passed.transpose(1, 2)[:, None] @ taps  # (N, 3, L, D)
    found = F.pad(parts[:, 0], (0, 0, 0, 2))
    found[:, 1:-1] += parts[:, 1]
    found[:, 2:] += parts[:, 2]
    return found.transpose(1, 2)


class _Pool(torch.autograd.Function):
    """2x2 max pooling of what a ReLU left, that keeps a byte an output where torch keeps eight.

    Corners that are equally large share the slope. In bfloat16 those of a smooth sky often are, and
    with the first of them taken each time the sky falls into blocks. Where all are zero there is
    none, neither here nor in the ReLU before.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        largest, *marks = _pool_marked(images) if ctx.needs_input_grad[0] else [_largest(images)]
        ctx.size = images.shape
        ctx.save_for_backward(*marks)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (marks,) = ctx.saved_tensors
        return _unpool(gradients[0], marks, ctx.size)


def _pool_marked(images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the maximum of 2x2 pixels, none negative, and a bit for each corner that has it.

    (N, C, H, W) -> twice (N, C, H // 2, W // 2).
    """
    largest = _largest(images)
    which = torch.zeros_like(largest, dtype=torch.uint8)
    found = torch.empty_like(which, dtype=torch.bool)
    for number, corner in enumerate(_corners(images)):
        torch.eq(corner, largest, out=found)
        which.add_(found.view(torch.uint8), alpha=1 << number)
    torch.gt(largest, 0, out=found)
    return largest, which.mul_(found.view(torch.uint8))


def _largest(images: Tensor) -> Tensor:
    """Compute the maximum of 2x2 pixels: (N, C, H, W) -> (N, C, H // 2, W // 2)."""
    # Into what is there: fresh memory costs more than the arithmetic.
    first, second, *others = _corners(images)
    largest = torch.maximum(first, second)
    for corner in others:
        torch.maximum(largest, corner, out=largest)
    return largest


def _unpool(passed: Tensor, which: Tensor, size: Sequence[int]) -> Tensor:
    """Compute the gradient of pixels of this size (N, C, H, W) from that of the pooled ones.

    Those that are equally large share it.
    """
    found = torch.empty(
        size, dtype=passed.dtype, device=passed.device, memory_format=torch.channels_last
    )
    # Where a side is odd, its last line had no part in it.
    found[:, :, 2 * passed.shape[2] :] = 0
    found[..., 2 * passed.shape[3] :] = 0
    corners = _corners(found)
    bits = [(which >> number) & 1 for number in range(len(corners))]
    share = passed / (bits[0] + bits[1] + bits[2] + bits[3]).clamp_min_(1)
    for bit, corner in zip(bits, corners, strict=True):
        torch.mul(share, bit, out=corner)
    return found


class _ConvolvePool(torch.autograd.Function):
    """A convolution whose output is pooled at once; the backward pass asks for the marks only."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        marks: Tensor | None,
        ends: tuple[bool, bool],
    ) -> tuple[Tensor, Tensor]:
        height = images.shape[2] - 2 + sum(ends)
        ctx.dtype, ctx.ends = images.dtype, ends
        ctx.size = (len(images), len(weight), height, images.shape[3])
        if marks is None:
            found, marks = _pool_marked(_forward(images, weight, bias, ends))
        else:
            found = images.new_empty(marks.shape)
        ctx.save_for_backward(weight, marks)
        ctx.mark_non_differentiable(marks)
        return found, marks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, marks = ctx.saved_tensors
        passed = _unpool(gradients[0], marks, ctx.size)
        return _back(passed, weight, ctx.ends).to(ctx.dtype), None, None, None, None


def convolve_pooled(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    marks: Tensor | None = None,
    *,
    ends: tuple[bool, bool] = (True, True),
) -> tuple[Tensor, Tensor]:
    """Compute what `convolve` is pooled to, and marks of which pixels were largest.

    With the marks of an earlier run the first is anything, and only its backward pass is right.
    """
    found, marks = _ConvolvePool.apply(images, weight, bias, marks, ends)
    return found, marks


class _Fork(torch.autograd.Function):
    """Activations and a part of them; the gradient of a slice would be zeros but for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        ctx.place = (..., rows, columns)
        # Not a view: for a single picture that has another first stride, and padding then takes it
        # for one that has its channels first.
        return x.detach(), x[ctx.place]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        whole, part = gradients
        whole[ctx.place].add_(part)
        return whole, None, None


def fork(x: Tensor, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
    """Return activations (N, C, H, W) and a part of them: both pass their gradients on."""
    whole, part = _Fork.apply(x, rows, columns)
    return whole, part


def _corners(images: Tensor) -> list[Tensor]:
    """Return the four views of (N, C, H, W) that 2x2 pixels consist of: (N, C, H // 2, W // 2)."""
    height, width = (side // 2 * 2 for side in images.shape[2:])
    return [images[:, :, y:height:2, x:width:2] for y in (0, 1) for x in (0, 1)]


def pool(images: Tensor) -> Tensor:
    """Compute the maximum of 2x2 pixels, none negative: (N, C, H, W) -> (N, C, H // 2, W // 2)."""
    found: Tensor = _Pool.apply(images)
    return found
