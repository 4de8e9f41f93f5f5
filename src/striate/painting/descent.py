"""Descent in a box: projected L-BFGS (Liu & Nocedal 1989), and Adam with averaged iterates.

L-BFGS: https://doi.org/10.1007/BF01589116. Adam: Kingma & Ba 2014,
https://arxiv.org/abs/1412.6980. Pictures stay in [0, 1].

Pixels are a bad basis: slopes are mostly fine grain, and L-BFGS by itself takes dozens of
steps until it has found what is coarse. Pictures have amplitudes like one over the frequency (Field
1987, https://doi.org/10.1364/JOSAA.4.002379), so the first guess of the inverse curvature weighs
frequencies like that: half as many steps come to the same loss.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .losses.objective import Evaluation, Objective, Residuals

HISTORY = 12
# Adam's iterations between two averages of them that are shown.
STRIDE = 5
# Armijo's share of the slope that a step must gain, and how often a step is shortened for it.
GAIN, SHORTENED = 1e-4, 6
# A first step, or one after a restart, changes a pixel by this much at most.
FIRST = 0.05


def lbfgs(
    objective: Objective, start: Tensor, *, history: int = HISTORY
) -> Iterator[tuple[Tensor, Residuals]]:
    """Yield better and better pictures than the start; ends where no step improves the loss."""
    picture, now = start, objective.evaluate(start)
    smooth = smoother(start.shape, start.device)
    # One block for all pairs: many of a few megabytes leave holes between what is freed.
    places = itertools.cycle(start.new_empty((history, 2, *start.shape)))
    del start
    memory: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
    while True:
        found = None
        if memory:
            direction = _direction(picture, now.gradient, memory, smooth)
            found = _search(objective, picture, now, direction, 1.0)
        if found is None:
            memory.clear()
            steepest = -smooth(_free(picture, now.gradient))
            largest = float(steepest.abs().max())
            if not largest > 0:
                return
            found = _search(objective, picture, now, steepest, FIRST / largest)
        if found is None:
            return
        _remember(memory, found[0] - picture, found[1].gradient - now.gradient, places)
        picture, now = found
        yield picture, now.residuals


def adam(
    objective: Objective, start: Tensor, *, rate: float = 0.02, decay: float = 0.96
) -> Iterator[tuple[Tensor, Residuals]]:
    """Yield the average of the iterates, with its residuals, once every STRIDE iterations."""
    picture, average = start.clone(), torch.zeros_like(start)
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    del start  # large pictures: freed as soon as nothing needs them
    number = 0
    while True:
        for _ in range(STRIDE):
            number += 1
            gradient = objective.evaluate(picture).gradient
            first.lerp_(gradient, 0.1)
            second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            del gradient
            # One colour at a time: a third of the memory for what lies between.
            for plane, one, other in zip(picture[0], first[0], second[0], strict=True):
                scale = (other / (1 - 0.99**number)).sqrt_().add_(1e-12)
                plane.addcdiv_(one, scale, value=-rate / (1 - 0.9**number)).clamp_(0, 1)
            average.mul_(decay).add_(picture, alpha=1 - decay)
        shown = average / (1 - decay**number)
        yield shown, objective.residuals(shown)
        del shown


def _search(
    objective: Objective, picture: Tensor, now: Evaluation, direction: Tensor, step: float
) -> tuple[Tensor, Evaluation] | None:
    """Shorten the step until the loss falls enough, by the parabola through what is known."""
    for _ in range(SHORTENED):
        tried = (picture + step * direction).clamp_(0, 1)
        # Along the projected path: at the border of the box a step is less than its direction.
        slope = float(((tried - picture) * now.gradient).sum())
        if not slope < 0:
            return None
        found = objective.evaluate(tried)
        if found.loss <= now.loss + GAIN * slope:
            return tried, found
        bend = 2 * (found.loss - now.loss - slope)
        best = -slope / bend if math.isfinite(bend) and bend > 0 else 0.1
        step *= min(max(best, 0.1), 0.5)
    return None


def _free(picture: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient without what would push pixels out of [0, 1]."""
    outward = ((picture <= 0) & (gradient > 0)) | ((picture >= 1) & (gradient < 0))
    return gradient.masked_fill(outward, 0)


def smoother(
    shape: Sequence[int], device: torch.device | None = None
) -> Callable[[Tensor], Tensor]:
    """Return a filter of pictures (1, 3, H, W): a frequency weighs 1/(1 + cycles in a long side).

    The picture is mirrored at its border, so that opposite borders have nothing to do with each
    other.
    """
    height, width = shape[2:]
    down = torch.fft.fftfreq(2 * height, device=device)[:, None]
    right = torch.fft.rfftfreq(2 * width, device=device)
    weights = 1 / (1 + max(height, width) * torch.hypot(down, right))

    def smooth(picture: Tensor) -> Tensor:
        found = torch.empty_like(picture)
        for plane, out in zip(picture[0], found[0], strict=True):  # one at a time: for the memory
            half = torch.cat([plane, plane.flip(1)], dim=1)
            spectrum = torch.fft.rfft2(torch.cat([half, half.flip(0)])).mul_(weights)
            out.copy_(torch.fft.irfft2(spectrum, s=(2 * height, 2 * width))[:height, :width])
        return found

    return smooth


def _direction(
    picture: Tensor,
    gradient: Tensor,
    memory: deque[tuple[Tensor, Tensor, float]],
    smooth: Callable[[Tensor], Tensor],
) -> Tensor:
    """Compute the direction by the two-loop recursion, for the pixels that can move."""
    free = _free(picture, gradient)
    direction = free.clone()
    parts = []
    for moved, turned, curvature in reversed(memory):
        part = _dot(moved, direction) / curvature
        direction.sub_(turned, alpha=part)
        parts.append(part)
    moved, turned, curvature = memory[-1]
    direction = smooth(direction).mul_(curvature / _dot(turned, smooth(turned)))
    for (moved, turned, curvature), part in zip(memory, reversed(parts), strict=True):
        direction.add_(moved, alpha=part - _dot(turned, direction) / curvature)
    return direction.masked_fill_((free == 0) & (gradient != 0), 0).neg_()


def _remember(
    memory: deque[tuple[Tensor, Tensor, float]],
    moved: Tensor,
    turned: Tensor,
    places: Iterator[Tensor],
) -> None:
    """Put a pair into the next place: that of the oldest pair, which `memory` drops."""
    curvature = _dot(moved, turned)
    # Where the slope did not grow along the step, the pair would point uphill.
    if curvature > 1e-10 * _dot(turned, turned) and curvature > 0:
        place = next(places)
        place[0], place[1] = moved, turned
        memory.append((place[0], place[1], curvature))


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))
