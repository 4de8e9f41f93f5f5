"""The mean of a network's weights over the last steps, which often answers better than the last."""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Average(NamedTuple):
    """A copy of a network, whose weights and running statistics follow the network's own."""

    model: nn.Module
    decay: float  # share that stays in a step, once there were many

    @torch.no_grad()
    def follow(self, model: nn.Module, steps: int) -> None:
        """Move towards the network after so many steps.

        Running statistics of norms are averaged as the weights are, which they belong to; whole
        numbers, as the count of batches, are copied.
        """
        share = 1 - decay_after(steps, self.decay)
        pairs = list(zip(_state(self.model), _state(model), strict=True))
        means, values = zip(*(p for p in pairs if p[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(means, values, share)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)


def average_of(model: nn.Module, decay: float) -> Average | None:
    """Return an average that begins as the network is; None for a decay of 0."""
    if not decay:
        return None
    return Average(copy.deepcopy(model).requires_grad_(False).eval(), decay)


def decay_after(steps: int, decay: float) -> float:
    """Return the share that stays: a mean over about the last tenth, until it has reached `decay`.

    A short training, of fewer steps than the mean is long, would else keep its first weights.

    >>> [round(decay_after(steps, 0.999), 3) for steps in (1, 10, 100, 100_000)]
    [0.182, 0.55, 0.918, 0.999]
    """
    return min(decay, (1 + steps) / (10 + steps))


def _state(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
