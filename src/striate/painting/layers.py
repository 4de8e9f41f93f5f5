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
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, named: bool) -> Tensor:
        ctx.dtype = images.dtype
        padded = F.pad(images, (1, 1, 1, 1), mode="replicate").to(weight.dtype)
        output = torch.conv2d(padded, weight, bias).relu_()
        # What a style loss keeps anyway costs nothing here; of the others only where they are zero.
        ctx.save_for_backward(output if named else output > 0, weight)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        kept, weight = ctx.saved_tensors
        # In place: every gradient of this network is made for one layer alone.
        passed = gradients[0].contiguous(memory_format=torch.channels_last)
        passed.mul_(kept if kept.dtype == torch.bool else kept > 0)
        found = _back(passed, weight, padding=1)
        _fold(found, passed, weight)
        return found.to(ctx.dtype), None, None, None


def convolve(images: Tensor, weight: Tensor, bias: Tensor, *, named: bool = True) -> Tensor:
    """Give ReLU(3x3 convolution): (N, C, H, W) -> (N, width, H, W); weights are not trained.

    `named` says that the output is kept elsewhere as well.
    """
    found: Tensor = _ConvolveRectify.apply(images, weight, bias, named)
    return found


def _back(passed: Tensor, weight: Tensor, *, padding: int) -> Tensor:
    """Give the gradient of a convolution's input, from that of its output."""
    count, _, height, width = passed.shape
    grown = 2 - 2 * padding
    # The input is asked for its size only: no page of it is ever touched.
    size = (count, weight.shape[1], height + grown, width + grown)
    found: Tensor = torch.ops.aten.convolution_backward(
        passed,
        torch.empty(
            size, dtype=passed.dtype, device=passed.device, memory_format=torch.channels_last
        ),
        weight,
        None,
        (1, 1),
        (padding, padding),
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
    for edge, row in ((0, 0), (-1, 2)):
        line = passed[:, :, [edge]]
        beyond = _back(line, weight, padding=0)[:, :, row]  # (N, C, W + 2)
        gradient[:, :, edge] += beyond[..., 1:-1]
        gradient[:, :, edge, 0] += beyond[..., 0]
        gradient[:, :, edge, -1] += beyond[..., -1]
    for edge, column in ((0, 0), (-1, 2)):
        line = passed[..., [edge]]
        # Its ends are the corners, which the rows had.
        gradient[..., edge] += _back(line, weight, padding=0)[:, :, 1:-1, column]


class _Pool(torch.autograd.Function):
    """2x2 max pooling that keeps a byte an output where torch keeps eight."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        largest, places = F.max_pool2d_with_indices(images, [2, 2])
        width = images.shape[3]
        # In place: eight bytes an output are a third of what a step has at its peak.
        which = places.div(width, rounding_mode="floor").remainder_(2).to(torch.uint8).mul_(2)
        which += places.remainder_(width).remainder_(2).to(torch.uint8)
        ctx.size = images.shape
        ctx.save_for_backward(which)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (which,) = ctx.saved_tensors
        height, width = ctx.size[2:]
        row = torch.arange(0, height - 1, 2, device=which.device)[:, None]
        column = torch.arange(0, width - 1, 2, device=which.device)
        places = (which // 2 + row).mul_(width).add_(which % 2).add_(column)
        found: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            gradients[0],
            # Asked for its size and layout only: no page of it is ever touched.
            torch.empty(
                ctx.size,
                dtype=gradients[0].dtype,
                device=which.device,
                memory_format=torch.channels_last,
            ),
            [2, 2],
            [2, 2],
            [0, 0],
            [1, 1],
            False,
            places,
        )
        return found


def pool(images: Tensor) -> Tensor:
    """Give the maximum of 2x2 pixels: (N, C, H, W) -> (N, C, H // 2, W // 2)."""
    found: Tensor = _Pool.apply(images)
    return found
