"""A convolution with its ReLU, and a pooling, that keep little for the way back."""

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
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, named: bool, pooled: bool
    ) -> Tensor:
        ctx.dtype = images.dtype
        padded = F.pad(images, (1, 1, 1, 1), mode="replicate").to(weight.dtype)
        output = torch.conv2d(padded, weight, bias).relu_()
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
        found = _back(passed, weight)
        _fold(found, passed, weight)
        return found.to(ctx.dtype), None, None, None, None


def convolve(
    images: Tensor, weight: Tensor, bias: Tensor, *, named: bool = True, pooled: bool = False
) -> Tensor:
    """Give ReLU(3x3 convolution): (N, C, H, W) -> (N, width, H, W); weights are not trained.

    `named` says that the output is kept elsewhere as well, `pooled` that only `pool` takes it.
    """
    found: Tensor = _ConvolveRectify.apply(images, weight, bias, named, pooled)
    return found


def _back(passed: Tensor, weight: Tensor) -> Tensor:
    """Give the gradient of a convolution's input without its border, from that of its output."""
    count, _, height, width = passed.shape
    found: Tensor = torch.ops.aten.convolution_backward(
        passed,
        # The input is asked for its size only: no page of it is ever touched.
        torch.empty(
            (count, weight.shape[1], height, width),
            dtype=passed.dtype,
            device=passed.device,
            memory_format=torch.channels_last,
        ),
        weight,
        None,
        (1, 1),
        (1, 1),
        (1, 1),
        False,
        (0, 0),
        1,
        (True, False, False),
    )[0]
    return found


def _fold(gradient: Tensor, passed: Tensor, weight: Tensor) -> None:
    """Add the gradient of a border of one pixel to the pixels that it repeats.

    The border's part comes from the outermost outputs alone: a copy of everything with a border
    would be the largest thing in memory.
    """
    taps = weight.permute(2, 3, 0, 1)
    for edge, tap in ((0, 0), (-1, 2)):
        beyond = _line(passed[:, :, edge], taps[tap])
        gradient[:, :, edge] += beyond[..., 1:-1]
        gradient[:, :, edge, 0] += beyond[..., 0]
        gradient[:, :, edge, -1] += beyond[..., -1]
        # Of the columns the ends are the corners, which the rows had.
        gradient[..., edge] += _line(passed[..., edge], taps[:, tap])[..., 1:-1]


def _line(passed: Tensor, taps: Tensor) -> Tensor:
    """Give what a line of outputs (N, C, L) passes to one of inputs (N, D, L + 2), three taps.

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
        # Into what is there wherever possible: fresh memory costs more than the arithmetic.
        corners = _corners(images)
        largest = torch.maximum(corners[0], corners[1])
        for corner in corners[2:]:
            torch.maximum(largest, corner, out=largest)
        which = torch.zeros_like(largest, dtype=torch.uint8)  # a bit for each corner
        found = torch.empty_like(which, dtype=torch.bool)
        for number, corner in enumerate(corners):
            torch.eq(corner, largest, out=found)
            which.add_(found.view(torch.uint8), alpha=1 << number)
        torch.gt(largest, 0, out=found)
        which.mul_(found.view(torch.uint8))
        ctx.size = images.shape
        ctx.save_for_backward(which)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (which,) = ctx.saved_tensors
        passed = gradients[0]
        found = torch.empty(
            ctx.size, dtype=passed.dtype, device=passed.device, memory_format=torch.channels_last
        )
        # Where a side is odd, its last line was not looked at.
        found[:, :, 2 * passed.shape[2] :] = 0
        found[..., 2 * passed.shape[3] :] = 0
        corners = _corners(found)
        bits = [(which >> number) & 1 for number in range(len(corners))]
        share = passed / (bits[0] + bits[1] + bits[2] + bits[3]).clamp_min_(1)
        for bit, corner in zip(bits, corners, strict=True):
            torch.mul(share, bit, out=corner)
        return found


def _corners(images: Tensor) -> list[Tensor]:
    """Give the four views of (N, C, H, W) that 2x2 pixels consist of: (N, C, H // 2, W // 2)."""
    height, width = (side // 2 * 2 for side in images.shape[2:])
    return [images[:, :, y:height:2, x:width:2] for y in (0, 1) for x in (0, 1)]


def pool(images: Tensor) -> Tensor:
    """Give the maximum of 2x2 pixels, none negative: (N, C, H, W) -> (N, C, H // 2, W // 2)."""
    found: Tensor = _Pool.apply(images)
    return found
