"""Descent in a box: projected L-BFGS (Liu & Nocedal 1989), and Adam with averaged iterates.

L-BFGS: https://doi.org/10.1007/BF01589116. Adam: Kingma & Ba 2014,
https://arxiv.org/abs/1412.6980. Pictures stay in [0, 1].
"""

import math
from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .objective import Evaluation

Evaluate = Callable[[Tensor], Evaluation]

HISTORY = 12
# Armijo's share of the slope that a step must gain, and how often a step is shortened for it.
GAIN, SHORTENED = 1e-4, 6
# A first step, or one after a restart, changes a pixel by this much at most.
FIRST = 0.05


def lbfgs(
    evaluate: Evaluate, start: Tensor, *, history: int = HISTORY
) -> Iterator[tuple[Tensor, Evaluation]]:
    """Give better and better pictures, the start first; ends where no step makes it better."""
    picture, now = start, evaluate(start)
    memory: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
    yield picture, now
    while True:
        found = None
        if memory:
            found = _search(evaluate, picture, now, _direction(picture, now.gradient, memory), 1.0)
        if found is None:
            memory.clear()
            steepest = -_free(picture, now.gradient)
            largest = float(steepest.abs().max())
            if not largest > 0:
                return
            found = _search(evaluate, picture, now, steepest, FIRST / largest)
        if found is None:
            return
        _remember(memory, found[0] - picture, found[1].gradient - now.gradient)
        picture, now = found
        yield picture, now


def adam(
    evaluate: Evaluate, start: Tensor, *, rate: float = 0.02, decay: float = 0.96
) -> Iterator[tuple[Tensor, Evaluation]]:
    """Give averages of the iterates, each with the evaluation of the newest of them."""
    picture, average = start.clone(), torch.zeros_like(start)
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    number = 0
    while True:
        number += 1
        found = evaluate(picture)
        average.mul_(decay).add_(picture, alpha=1 - decay)
        yield average / (1 - decay**number), found
        first.lerp_(found.gradient, 0.1)
        second.lerp_(found.gradient.square(), 0.01)
        scale = (second / (1 - 0.99**number)).sqrt_().add_(1e-12)
        picture = (picture - rate / (1 - 0.9**number) * first / scale).clamp_(0, 1)


def _search(
    evaluate: Evaluate, picture: Tensor, now: Evaluation, direction: Tensor, step: float
) -> tuple[Tensor, Evaluation] | None:
    """Shorten the step until the loss falls enough, by the parabola through what is known."""
    for _ in range(SHORTENED):
        tried = (picture + step * direction).clamp_(0, 1)
        # Along the projected path: at the border of the box a step is less than its direction.
        slope = float(((tried - picture) * now.gradient).sum())
        if not slope < 0:
            return None
        found = evaluate(tried)
        if found.loss <= now.loss + GAIN * slope:
            return tried, found
        bend = 2 * (found.loss - now.loss - slope)
        best = -slope / bend if math.isfinite(bend) and bend > 0 else 0.1
        step *= min(max(best, 0.1), 0.5)
    return None


def _free(picture: Tensor, gradient: Tensor) -> Tensor:
    """Give the gradient without what would push pixels out of [0, 1]."""
    held = ((picture <= 0) & (gradient > 0)) | ((picture >= 1) & (gradient < 0))
    return gradient.masked_fill(held, 0)


def _direction(
    picture: Tensor, gradient: Tensor, memory: deque[tuple[Tensor, Tensor, float]]
) -> Tensor:
    """Give the two-loop recursion's answer to the gradient, for the pixels that can move."""
    free = _free(picture, gradient)
    direction = free.clone()
    parts = []
    for moved, turned, curvature in reversed(memory):
        part = _dot(moved, direction) / curvature
        direction.sub_(turned, alpha=part)
        parts.append(part)
    moved, turned, curvature = memory[-1]
    direction.mul_(curvature / _dot(turned, turned))
    for (moved, turned, curvature), part in zip(memory, reversed(parts), strict=True):
        direction.add_(moved, alpha=part - _dot(turned, direction) / curvature)
    return direction.masked_fill_((free == 0) & (gradient != 0), 0).neg_()


def _remember(memory: deque[tuple[Tensor, Tensor, float]], moved: Tensor, turned: Tensor) -> None:
    curvature = _dot(moved, turned)
    # Where the slope did not grow along the step, the pair would point uphill.
    if curvature > 1e-10 * _dot(turned, turned) and curvature > 0:
        memory.append((moved, turned, curvature))


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))
