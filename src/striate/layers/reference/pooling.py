"""Max and average pooling, in any number of dimensions; windows may overlap (kernel > stride)."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .convolution import around
from .sliding import Each, Slide, ceil_positions, each, positions


def max_pooling(
    x: Tensor,
    kernel: Each,
    *,
    stride: Each | None = None,
    padding: Each = 0,
    dilation: Each = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the greatest cell of each window: (N, C, *sizes) -> (N, C, *positions).

    Padding is below every number. The number of positions is rounded down, with `ceil_mode` up.
    """
    way = _slide(x, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    cells = torch.stack(list(_met(x, way, padding, -torch.inf)))
    return cells.max(0).values


def average_pooling(
    x: Tensor,
    kernel: Each,
    *,
    stride: Each | None = None,
    padding: Each = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window: (N, C, *sizes) -> (N, C, *positions).

    As in torch, padding counts as cells of zero unless `count_include_pad` is False, and what
    `ceil_mode` lets stand out behind the padding never counts.
    """
    way = _slide(x, kernel, stride, padding, 1, ceil_mode=ceil_mode)
    inside = torch.ones_like(x[:1, :1])
    counted = sum(_met(inside, way, padding, 1.0 if count_include_pad else 0.0))
    return sum(_met(x, way, padding, 0.0), start=x.new_zeros(())) / counted


def _slide(
    x: Tensor, kernel: Each, stride: Each | None, padding: Each, dilation: Each, *, ceil_mode: bool
) -> Slide:
    n = x.dim() - 2
    step = kernel if stride is None else stride
    rows = [each(value, n) for value in (kernel, step, padding, dilation)]
    count = ceil_positions if ceil_mode else positions
    counts = tuple(
        count(size, e, stride=s, padding=p, dilation=d)
        for size, e, s, p, d in zip(x.shape[2:], *rows, strict=True)
    )
    return Slide(rows[0], rows[1], rows[3], counts)


def _met(x: Tensor, way: Slide, padding: Each, filling: float) -> Iterator[Tensor]:
    """Yield, for each cell of the window, what it meets at each position; `filling` in padding.

    Behind the padding, where only ceil_mode reaches, an average meets 0.
    """
    pad = each(padding, x.dim() - 2)
    padded = F.pad(x, around(pad), value=filling)
    reach = [
        (count - 1) * s + d * (e - 1) + 1
        for count, s, d, e in zip(way.positions, way.stride, way.dilation, way.kernel, strict=True)
    ]
    out = [max(0, r - side) for r, side in zip(reach, padded.shape[2:], strict=True)]
    beyond = filling if filling == -torch.inf else 0.0
    padded = F.pad(padded, around([0] * len(out), out), value=beyond)
    for _, met in way.taps():
        yield padded[met]
