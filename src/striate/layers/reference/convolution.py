"""Convolution and its transpose, in any number of dimensions.

y_k(i) = b_k + sum over channels c and a filter's cells u of w_kc(u) x_c(i stride + u dilation).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .sliding import Each, Index, each, slide


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Each = 1,
    padding: Each = 0,
    dilation: Each = 1,
    groups: int = 1,
) -> Tensor:
    """Slide filters (k, C / groups, *kernel) over x (N, C, *sizes) -> (N, k, *positions).

    `padding` cells of zero surround x. Channels and filters are cut into `groups`, and each group
    of filters sees its own channels.
    """
    padded = F.pad(x, around(each(padding, x.dim() - 2)))
    way = slide(x.shape[2:], tuple(weight.shape[2:]), stride, padding, dilation)
    groups_of_maps = []
    for channels, filters in zip(padded.chunk(groups, 1), weight.chunk(groups, 0), strict=True):
        maps = x.new_zeros(len(x), len(filters), *way.positions)
        for cell, met in way.taps():
            maps = maps + torch.einsum("kc,nc...->nk...", filters[cell], channels[met])
        groups_of_maps.append(maps)
    return _biased(torch.cat(groups_of_maps, 1), bias)


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Each = 1,
    padding: Each = 0,
    output_padding: Each = 0,
    dilation: Each = 1,
    groups: int = 1,
) -> Tensor:
    """Stamp filters (C, k / groups, *kernel) at each cell of x (N, C, *sizes) and add them up.

    It is what a convolution with these numbers does to gradients. Each side of the result has
    (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1 cells.
    """
    n, kernel = x.dim() - 2, tuple(weight.shape[2:])
    steps, cut, more = each(stride, n), each(padding, n), each(output_padding, n)
    reach = [d * (e - 1) + 1 for d, e in zip(each(dilation, n), kernel, strict=True)]
    sizes = [(size - 1) * s + r for size, s, r in zip(x.shape[2:], steps, reach, strict=True)]
    way = slide(sizes, kernel, steps, 0, dilation)
    groups_of_maps = []
    for channels, filters in zip(x.chunk(groups, 1), weight.chunk(groups, 0), strict=True):
        maps = x.new_zeros(len(x), filters.shape[1], *sizes)
        for cell, met in way.taps():
            maps[met] += torch.einsum("ck,nc...->nk...", filters[cell], channels)
        groups_of_maps.append(maps)
    full = F.pad(torch.cat(groups_of_maps, 1), around([0] * n, more))
    inner: Index = tuple(slice(p, side - p) for p, side in zip(cut, full.shape[2:], strict=True))
    return _biased(full[(..., *inner)], bias)


def around(before: Sequence[int], after: Sequence[int] | None = None) -> list[int]:
    """Return the padding of each dimension as F.pad has it: the last dimension first."""
    pairs = list(zip(before, before if after is None else after, strict=True))
    return [cells for pair in reversed(pairs) for cells in pair]


def _biased(maps: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return maps
    return maps + bias.reshape(-1, *[1] * (maps.dim() - 2))
