"""A picture run in strips of rows, so that what is largest in memory is there a strip at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .tiles import Span

# Runs a strip, the second time with the marks of the first: what it is pooled to, the marks and the
# sums over its core.
Strip = Callable[[Tensor, Span, Tensor | None], tuple[Tensor, Tensor, list[Tensor]]]


def run(pixels: Tensor, one: Strip, rows: Sequence[Span]) -> tuple[Tensor, list[Tensor]]:
    """Run strips of pixels (1, 3, H, W): join what they are pooled to, and add up their sums."""
    pooled, *sums = _Strips.apply(pixels, one, rows)
    return pooled, sums


class _Strips(torch.autograd.Function):
    """Keeps marks only: for the backward pass a strip is run again, but for what they tell."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, one: Strip, strips: Sequence[Span]) -> tuple[Tensor, ...]:
        ctx.one, ctx.strips = one, strips
        first, mark, total = one(_crop(pixels, strips[0]), strips[0], None)
        joined = torch.empty(
            (*first.shape[:2], strips[0].length // 2, first.shape[3]),
            dtype=first.dtype,
            device=first.device,
            memory_format=torch.channels_last,
        )
        joined[:, :, strips[0].whole_at(1)] = first
        marks = [mark]
        for rows in strips[1:]:
            pooled, mark, sums = one(_crop(pixels, rows), rows, None)
            joined[:, :, rows.whole_at(1)] = pooled
            for whole, part in zip(total, sums, strict=True):
                whole += part
            marks.append(mark)
        ctx.save_for_backward(pixels, *marks)
        return joined, *total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        pixels, *marks = ctx.saved_tensors
        slope, *slopes = gradients
        found = torch.zeros_like(pixels)
        for rows, mark in zip(ctx.strips, marks, strict=True):
            leaf = _crop(pixels, rows).detach().requires_grad_()
            with torch.enable_grad():
                pooled, _, sums = ctx.one(leaf, rows, mark)
            torch.autograd.backward([pooled, *sums], [slope[:, :, rows.whole_at(1)], *slopes])
            assert leaf.grad is not None
            _crop(found, rows).add_(leaf.grad)
        return found, None, None


def _crop(pixels: Tensor, rows: Span) -> Tensor:
    return pixels[:, :, rows.begin : rows.end]
