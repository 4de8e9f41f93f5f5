"""One step, and the loop over steps: a generator, so that the caller saves, draws or stops."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import devices
from striate.data.batches import Batch, Pictures, order
from striate.data.kinds import Preparation
from striate.errors import DataError

from . import optim
from .recipe import Recipe

# What a seed is for: mixed in, so that order, weights and dropout draw different numbers.
WEIGHTS, ORDER, STEPS, PIXELS = range(4)


class Step(NamedTuple):
    """What a step did."""

    number: int  # steps done, this one included
    epoch: int  # from 0
    loss: float  # mean over the batch before the step, in nats
    correct: int
    pictures: int
    rate: float


class DivergedError(DataError):
    """A loss or gradient was not finite: the step was not taken."""


@dataclass
class Progress:
    """Where a training is; all that a checkpoint holds besides weights and optimiser."""

    step: int = 0  # steps done
    epochs: int = 0  # epochs done and evaluated
    loss_sum: float = 0.0  # of the epoch under way
    correct: int = 0
    pictures: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def count(self, step: Step) -> None:
        """Add a step to the epoch under way."""
        self.step = step.number
        self.loss_sum += step.loss * step.pictures
        self.correct += step.correct
        self.pictures += step.pictures

    def close_epoch(self, row: dict[str, Any]) -> None:
        """Enter the epoch in the history and begin the next."""
        self.history.append(row)
        self.epochs += 1
        self.loss_sum, self.correct, self.pictures = 0.0, 0, 0


class Augment(Protocol):
    """Changes a batch of pixels of the data set's rows, as a function of seed, epoch and row."""

    def __call__(self, pixels: Tensor, rows: Tensor, /, *, seed: int, epoch: int) -> Tensor: ...


class Learner(NamedTuple):
    """A network and all that teaching it takes."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    preprocessing: Preparation
    augment: Augment
    recipe: Recipe
    device: torch.device


def steps_an_epoch(count: int, recipe: Recipe) -> int:
    """Count the steps of an epoch. A last batch of one picture is left to the next epoch's order.

    Batch norm has no variance of one picture; where the batch size is 1 by choice, it stays.
    """
    steps, rest = divmod(count, recipe.batch_size)
    lonely = rest == 1 and steps > 0 and recipe.batch_size > 1
    return steps + (rest > 0 and not lonely)


def epoch(learner: Learner, pictures: Pictures, progress: Progress) -> Iterator[Step]:
    """Give the steps of the present epoch that are still to do, one at each `next`."""
    recipe = learner.recipe
    per_epoch = steps_an_epoch(len(pictures), recipe)
    number = progress.epochs
    done = progress.step - number * per_epoch
    rows = order(len(pictures), seed=devices.seed_of(recipe.seed, ORDER), epoch=number)
    rows = rows[done * recipe.batch_size : per_epoch * recipe.batch_size]
    for batch in pictures.batches(rows, recipe.batch_size):
        rate = optim.rate(recipe, progress.step, per_epoch)
        loss, correct = _step(learner, batch, number=progress.step, epoch=number, rate=rate)
        yield Step(progress.step + 1, number, loss, correct, len(batch.rows), rate)


def _step(
    learner: Learner, batch: Batch, *, number: int, epoch: int, rate: float
) -> tuple[float, int]:
    recipe = learner.recipe
    pixels, labels = batch.pixels.to(learner.device), batch.labels.to(learner.device)
    seed = devices.seed_of(recipe.seed, PIXELS)
    pixels = learner.augment(pixels, batch.rows.to(learner.device), seed=seed, epoch=epoch)
    # Seeded a step, not a run: a resumed run draws the same dropout without a saved state.
    torch.manual_seed(devices.seed_of(recipe.seed, STEPS, number))
    return update(learner, learner.preprocessing.values(pixels), labels, rate=rate)


def update(learner: Learner, values: Tensor, labels: Tensor, *, rate: float) -> tuple[float, int]:
    """Take one step on values (N, ...) and labels (N,): loss before it in nats, and hits.

    Raises DivergedError and takes no step where the loss or the gradient is not finite; running
    statistics are then as they were before.
    """
    model, optimiser, recipe = learner.model, learner.optimiser, learner.recipe
    model.train()
    before = [buffer.clone() for buffer in model.buffers()]
    for group in optimiser.param_groups:
        group["lr"] = rate
    with _precision(recipe, learner.device):
        logits = model(devices.ordered(values))
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = _clip(model, recipe.clip)
    if not math.isfinite(loss.item()) or not math.isfinite(norm):
        _put_back(model, before)
        raise DivergedError(_what_failed(loss.item(), norm))
    optimiser.step()
    return loss.item(), int((logits.detach().argmax(1) == labels).sum())


def _clip(model: nn.Module, largest: float | None) -> float:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if largest is not None:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), largest, norm)
    return float(norm)


def _put_back(model: nn.Module, before: list[Tensor]) -> None:
    with torch.no_grad():
        for buffer, kept in zip(model.buffers(), before, strict=True):
            buffer.copy_(kept)


def _what_failed(loss: float, norm: float) -> str:
    return f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"


def _precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    if device.type == "cpu" or recipe.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
