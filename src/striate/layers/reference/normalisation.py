"""Batch, group, layer and instance normalisation: the axes that are averaged tell them apart.

Ioffe & Szegedy 2015 (https://arxiv.org/abs/1502.03167), Wu & He 2018
(https://arxiv.org/abs/1803.08494): y = (x - mean) / sqrt(variance + eps) * scale + shift.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

EPS = 1e-5


class Running(NamedTuple):
    """Mean and variance of each channel (C,), averaged over batches for use in evaluation."""

    mean: Tensor
    variance: Tensor


def batch_norm(
    x: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    momentum: float = 0.1,
    running: Running | None = None,
    eps: float = EPS,
) -> tuple[Tensor, Running | None]:
    """Normalise each channel over the batch and all positions, x (N, C, *sizes), as in training.

    Gives the result and the new running statistics; `evaluated` uses them.
    """
    axes = [0, *range(2, x.dim())]
    y = _per_channel(_standardised(x, axes, eps), scale, shift)
    return y, None if running is None else _moved(running, x, axes, momentum)


def evaluated(
    x: Tensor,
    running: Running,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    eps: float = EPS,
) -> Tensor:
    """Normalise x (N, C, *sizes) by running statistics: batch and instance norm in evaluation."""
    mean, variance = (_channels(value, x) for value in running)
    return _per_channel((x - mean) / (variance + eps).sqrt(), scale, shift)


def group_norm(
    x: Tensor,
    groups: int,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    eps: float = EPS,
) -> Tensor:
    """Normalise each example over the channels of a group and all positions, x (N, C, *sizes)."""
    grouped = x.reshape(len(x), groups, -1)
    return _per_channel(_standardised(grouped, [2], eps).reshape(x.shape), scale, shift)


def layer_norm(
    x: Tensor,
    dimensions: int,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    eps: float = EPS,
) -> Tensor:
    """Normalise over the last `dimensions` axes; scale and shift have a number for each cell.

    Over all axes but the first it is group norm with one group, but for scale and shift.
    """
    y = _standardised(x, list(range(-dimensions, 0)), eps)
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


def instance_norm(
    x: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    momentum: float = 0.1,
    running: Running | None = None,
    eps: float = EPS,
) -> tuple[Tensor, Running | None]:
    """Normalise each channel of each example over its positions, x (N, C, *sizes).

    Running statistics, where they are kept, take the mean over the batch of the examples' own.
    """
    axes = list(range(2, x.dim()))
    y = _per_channel(_standardised(x, axes, eps), scale, shift)
    return y, None if running is None else _moved(running, x, axes, momentum)


def _standardised(x: Tensor, axes: Sequence[int], eps: float) -> Tensor:
    mean = x.mean(list(axes), keepdim=True)
    # Divided by the count, not by one less: the running variance alone is the unbiased one.
    variance = ((x - mean) ** 2).mean(list(axes), keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def _moved(running: Running, x: Tensor, axes: Sequence[int], momentum: float) -> Running:
    """Move running statistics a share `momentum` of the way to those of x."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    mean = x.detach().mean(list(axes), keepdim=True)
    variance = ((x.detach() - mean) ** 2).sum(list(axes), keepdim=True) / (count - 1)
    seen = (value.mean(0).flatten() for value in (mean, variance))  # (C,)
    return Running(
        *((1 - momentum) * old + momentum * new for old, new in zip(running, seen, strict=True))
    )


def _channels(value: Tensor, x: Tensor) -> Tensor:
    return value.reshape(1, -1, *[1] * (x.dim() - 2))


def _per_channel(y: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    y = y if scale is None else y * _channels(scale, y)
    return y if shift is None else y + _channels(shift, y)
