"""A rate range test: steps at rising rates, and how the loss answers (Smith 2017, https://arxiv.org/abs/1506.01186)."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from striate import figures
from striate.data.batches import Pictures

from .loop import Progress, in_values, steps_an_epoch, tasks
from .step import Learner, update

LOWEST, HIGHEST = 1e-6, 10.0
A_DECADE = 15  # steps in which the rate grows tenfold
STEPS = round(A_DECADE * math.log10(HIGHEST / LOWEST)) + 1
# One batch's loss says little: a mean with this share of the one before, as fastai's.
SMOOTH = 0.8
# Where the loss is so many times the least, or this much above the first, the steps have failed.
FAILED = 2.0
# The loss has to fall by this share of the first before anything is read from it.
FALL = 0.1
RISEN = 1.25  # the last mean beside the least, where the rates went high enough
# The mean lags behind, and a long training is less robust than these few steps.
BELOW_LEAST = 4.0


class Tried(NamedTuple):
    """A step at a rate."""

    rate: float
    loss: float  # of its batch before the step, in nats


class Found(NamedTuple):
    """What the test found."""

    rate: float | None  # None: unclear
    reason: str
    tried: tuple[Tried, ...]

    def line(self) -> str:
        """Say it in a line."""
        head = "rate unclear" if self.rate is None else f"rate {self.rate:g}"
        return f"{head}: {self.reason}"

    def drawing(self, title: str) -> bytes:
        """Draw the loss against the rate: PNG."""
        rates, losses = zip(*self.tried, strict=True)
        return figures.rate_range(rates, losses, smoothed(losses), title=title, chosen=self.rate)


def trying(learner: Learner, pictures: Pictures) -> Iterator[Tried]:
    """Take steps at rates that rise from step to step, until the loss fails or the rate is high.

    The learner is spoilt by it.
    """
    losses: list[float] = []
    progress = Progress()
    per_epoch = steps_an_epoch(len(pictures), learner.recipe)
    while len(losses) < STEPS and not has_failed(losses):
        for task in tasks(learner, pictures, progress):
            if len(losses) == STEPS or has_failed(losses):
                break
            rate = LOWEST * 10 ** (len(losses) / A_DECADE)
            values, targets = in_values(learner, task)
            losses.append(update(learner, values, targets, rate=rate, share=task.share)[0].item())
            yield Tried(rate, losses[-1])
        progress.step += per_epoch
        progress.epochs += 1


def found(tried: Sequence[Tried]) -> Found:
    """Read a rate from the steps: a quarter of the one at which the loss was least.

    Unclear where the loss hardly fell, or never rose again.
    """
    means = smoothed([step.loss for step in tried])
    known = [place for place, mean in enumerate(means) if math.isfinite(mean)]
    least = min(known, key=means.__getitem__)
    first = means[min(A_DECADE, len(means)) - 1]
    fallen = 1 - means[least] / first if first > 0 else 0.0
    if fallen < FALL:
        reason = f"the loss fell by {100 * max(fallen, 0):.0f} % at most, from {first:.3g}"
        return Found(None, reason, tuple(tried))
    top = tried[least].rate
    if means[-1] <= RISEN * means[least]:
        reason = f"the loss still fell, or did not rise again, at the highest rate ({HIGHEST:g})"
        return Found(None, reason, tuple(tried))
    rate = float(f"{top / BELOW_LEAST:.2g}")
    fall = f"{means[least]:.3g}, from {first:.3g}"
    reason = f"a quarter of {top:.2g}, at which the loss was least ({fall})"
    return Found(rate, reason, tuple(tried))


def smoothed(losses: Sequence[float]) -> list[float]:
    """Compute a running mean of losses, without the pull of a start at 0.

    >>> [round(mean, 3) for mean in smoothed([1.0, 1.0, 2.0])]
    [1.0, 1.0, 1.41]
    """
    means, mean = [], 0.0
    for count, loss in enumerate(losses, 1):
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        means.append(mean / (1 - SMOOTH**count))
    return means


def has_failed(losses: Sequence[float]) -> bool:
    """Tell whether the last loss is not finite, or far above the least and the first."""
    if not losses or not math.isfinite(losses[-1]):
        return bool(losses)
    means = smoothed(losses)
    return means[-1] > FAILED * min(means) and means[-1] > means[0]
