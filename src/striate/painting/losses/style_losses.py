"""The style losses by name: what each keeps of feature maps, and how it compares that.

Gram: Gatys et al. 2015, https://arxiv.org/abs/1508.06576. Moments: Li et al. 2017,
https://arxiv.org/abs/1701.01036. Sliced: Heitz et al. 2021, https://arxiv.org/abs/2006.07229.
Wasserstein stands in `wasserstein`. Letters: M positions of a layer, P projections.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .wasserstein import covariance, wasserstein_to

# What a loss keeps of the features of one layer, (C, M) or (C, H, W); where a loss is additive, the
# statistics of a whole are the sums of those of its parts.
Statistics = tuple[Tensor, ...]
Loss = Callable[[Statistics], Tensor]

# Bytes of features, in the precision of their sums, that are worked on at a time: larger blocks
# leave the cache, smaller ones are many calls.
PART = 2**19
PROJECTIONS = 64
# Directions that are sorted and compared at a time.
ROWS = 8
QUANTILES = 4096


class StyleLoss(NamedTuple):
    """A style loss: what is kept of features, and how that is compared with a style's."""

    keep: Callable[..., Statistics]
    against: Callable[[Statistics], Loss]
    mix: Callable[[Sequence[Statistics], Sequence[float]], Statistics]
    additive: bool


def gram_loss(found: Tensor, target: Tensor) -> Tensor:
    """Compute 1/(4 C^2) times the sum of (A/m_a - G/m)^2, of matrices (C, C) already divided by m.

    Where both pictures have m positions this is 1/(4 C^2 m^2) times the sum of (A - G)^2.
    """
    return (found - target).square().mean() / 4


class _Moments(torch.autograd.Function):
    """Mean and second moments whose backward pass is one product, with no copy of features."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, shares: Tensor, pairs: bool, known: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(features, shares)
        counted = features[:, :0] if known else features
        mean, second = _sums(counted, shares[:0] if known and shares.ndim else shares, pairs=pairs)
        return (mean, second) if shares.ndim else (mean * shares, second * shares)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        features, shares = ctx.saved_tensors
        # The slope of a covariance is a small difference too: no bfloat16.
        exact = torch.promote_types(features.dtype, torch.float32)
        mean, second = (gradient.to(exact) for gradient in gradients)
        second = second + second.T if second.ndim == 2 else 2 * second
        # As rows of channels: the layout in which the convolutions take it.
        found = torch.empty_like(features.movedim(0, -1), memory_format=torch.contiguous_format)
        rows, done = found.view(-1, len(features)), 0
        add = torch.addmm if second.ndim == 2 else torch.addcmul
        for part, weights in _parts(features, shares, exact):
            slope = add(mean, part.T.to(exact), second).mul_(weights.to(exact)[:, None])
            rows[done : done + len(slope)] = slope
            done += len(slope)
        return found.movedim(-1, 0), None, None, None


def _sums(features: Tensor, shares: Tensor, *, pairs: bool) -> tuple[Tensor, Tensor]:
    """Add up features (C, M) and their products, or only their squares, in double precision.

    A covariance is the small difference of large sums: in single precision a cut into tiles would
    be seen in it. One share for all is left to the caller.
    """
    size = len(features)
    mean = features.new_zeros(size, dtype=torch.float64)
    second = features.new_zeros((size, size) if pairs else size, dtype=torch.float64)
    # Consumer GPUs have few units for doubles: there the products of a part are single. So are
    # those of bfloat16 everywhere, whose own rounding moves the slope thirty times as much.
    single = features.is_cuda or features.dtype == torch.bfloat16
    exact = torch.float32 if single else torch.float64
    for part, weights in _parts(features, shares, exact):
        values = part.to(exact)
        weighted = values * weights.to(exact) if shares.ndim else values
        mean += weighted.sum(1)
        second += weighted @ values.T if pairs else (weighted * values).sum(1)
    return mean, second


def _parts(features: Tensor, shares: Tensor, exact: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield some positions at a time, (C, positions), with their shares."""
    size = _part(features, exact)
    if features.ndim == 2:
        parts: Iterable[Tensor] = features.split(size, dim=1)
    else:
        # A tile's core: as one matrix it would be a copy, kept for the backward pass. Rows
        # are copied as well, but some at a time.
        rows = features.movedim(0, -1).split(max(1, size // features.shape[2]))
        parts = (part.reshape(-1, len(features)).T for part in rows)
    given = shares.expand(features[0].numel())
    for part in parts:
        weights, given = given[: part.shape[1]], given[part.shape[1] :]
        yield part, weights


def _part(features: Tensor, exact: torch.dtype) -> int:
    # A GPU has no use for caches so small, and waits for each call.
    size = PART // (exact.itemsize * len(features))
    return max(1, size) * (64 if features.is_cuda else 1)


def keep_moments(features: Tensor, shares: Tensor, *, known: bool = False) -> Statistics:
    """Compute the mean (C) and the second moments (C, C) of features (C, M), in double precision.

    Shares are one number for all positions, or one each (M); over all positions of a picture they
    add up to 1, so that the results of its parts add up as well. Where they are known already, they
    are zeros here, and only the backward pass is right.
    """
    mean, second = _Moments.apply(features, shares, True, known)
    return mean, second


def keep_diagonal(features: Tensor, shares: Tensor, *, known: bool = False) -> Statistics:
    """Compute the mean (C) and the mean square (C) of each channel; as `keep_moments`."""
    mean, square = _Moments.apply(features, shares, False, known)
    return mean, square


class _Sorted(torch.autograd.Function):
    """Features along directions, in order, that keeps four bytes of each where torch keeps eight.

    Some rows or positions after the other: all of a layer at once are twice what a step takes.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, along: Tensor) -> Tensor:
        ctx.dtype = features.dtype
        rows = along.new_empty(len(along), features.shape[1])
        size = _part(features, along.dtype)
        for found, part in zip(rows.split(size, 1), features.split(size, 1), strict=True):
            found.copy_(along @ part.to(along))
        order = torch.empty_like(rows, dtype=torch.int32)
        for values, places in zip(rows.split(ROWS), order.split(ROWS), strict=True):
            found = values.sort(dim=1)
            values.copy_(found.values)
            places.copy_(found.indices)
        ctx.save_for_backward(order, along)
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        order, along = ctx.saved_tensors
        rows = torch.empty_like(gradients[0])
        parts = (one.split(ROWS) for one in (rows, order, gradients[0]))
        for found, places, slope in zip(*parts, strict=True):
            found.scatter_(1, places.long(), slope)
        size = _part(along.T, along.dtype)
        # As rows of channels, like the convolutions.
        slopes = rows.new_empty(rows.shape[1], along.shape[1], dtype=ctx.dtype)
        for found, part in zip(slopes.split(size), rows.split(size, 1), strict=True):
            found.copy_(part.T @ along)
        return slopes.T, None


def keep_sorted(features: Tensor, shares: Tensor) -> Statistics:
    """Sort features along fixed directions: (C, ...) -> (P, positions with a share)."""
    features = features.flatten(1)
    # A soft mask has no order: what has half of the largest share or more is inside.
    if shares.ndim:
        features = features[:, shares >= shares.max() / 2]
    exact = torch.promote_types(features.dtype, torch.float32)
    found: Tensor = _Sorted.apply(features, directions(len(features)).to(features.device, exact))
    return (found,)


def directions(channels: int) -> Tensor:
    """Draw PROJECTIONS unit directions (P, C), the same each time: a descent needs one landscape.

    They are orthogonal as far as there are channels.
    """
    drawn = torch.randn(PROJECTIONS, channels, generator=torch.Generator().manual_seed(channels))
    rows = [torch.linalg.qr(part.T.double()).Q.T for part in drawn.split(channels)]
    return torch.cat(rows)


def to_gram(style: Statistics) -> Loss:
    """Compare second moments as matrices; the mean is not used."""
    return lambda found: gram_loss(found[1], style[1])


def to_wasserstein(style: Statistics) -> Loss:
    """Compare as normal distributions; per channel, so that layers of any width are alike."""
    distance = wasserstein_to(style[0], covariance(style[0], style[1]))
    return lambda found: distance(found[0], covariance(found[0], found[1])) / len(style[0])


def to_moments(style: Statistics) -> Loss:
    """Compare each channel's mean and standard deviation."""
    # Keeps the slope of the root finite where a channel is constant.
    floor = 1e-6 * style[1].mean() + 1e-20

    def deviation(kept: Statistics) -> Tensor:
        return ((kept[1] - kept[0].square()).clamp_min(0) + floor).sqrt()

    target = deviation(style)
    return lambda found: (
        (found[0] - style[0]).square().mean() + (deviation(found) - target).square().mean()
    )


def to_sorted(style: Statistics) -> Loss:
    """Compare each direction's quantiles: Wasserstein-2 squared in one dimension."""

    def loss(found: Statistics) -> Tensor:
        apart = [
            (rows - quantiles(wanted, rows.shape[1])).square().sum()
            for rows, wanted in zip(found[0].split(ROWS), style[0].split(ROWS), strict=True)
        ]
        return torch.stack(apart).sum() / found[0].numel()

    return loss


def quantiles(ordered: Tensor, count: int) -> Tensor:
    """Compute `count` quantiles at equal steps of each row in order: (P, M) -> (P, count)."""
    if ordered.shape[1] == count:
        return ordered
    places = (torch.arange(count, dtype=torch.float64) + 0.5) * (ordered.shape[1] / count) - 0.5
    places = places.clamp(0, ordered.shape[1] - 1).to(ordered.device)
    low = places.long()
    part = (places - low).to(ordered)
    return torch.lerp(ordered[:, low], ordered[:, (low + 1).clamp_max(ordered.shape[1] - 1)], part)


def mix_sums(kept: Sequence[Statistics], shares: Sequence[float]) -> Statistics:
    """Compute the moments of a mixture of styles in these shares."""
    return tuple(
        torch.stack([value * share for value, share in zip(values, shares, strict=True)]).sum(0)
        for values in zip(*kept, strict=True)
    )


def mix_sorted(kept: Sequence[Statistics], shares: Sequence[float]) -> Statistics:
    """Compute the quantiles of a mixture of styles in these shares."""
    if len(kept) == 1:
        return kept[0]
    counts = [max(1, round(QUANTILES * share)) for share in shares]
    parts = [quantiles(one[0], count) for one, count in zip(kept, counts, strict=True)]
    return (torch.cat(parts, dim=1).sort(dim=1).values,)


LOSSES: dict[str, StyleLoss] = {
    "gram": StyleLoss(keep_moments, to_gram, mix_sums, additive=True),
    "w2": StyleLoss(keep_moments, to_wasserstein, mix_sums, additive=True),
    "moments": StyleLoss(keep_diagonal, to_moments, mix_sums, additive=True),
    "sliced": StyleLoss(keep_sorted, to_sorted, mix_sorted, additive=False),
}
