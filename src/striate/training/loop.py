"""The steps of an epoch: a generator, so that the caller saves, draws or stops between them."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate import devices
from striate.data import sampling
from striate.data.batches import Batch, Pictures

from . import growing
from .recipe import Recipe
from .sharing import Share, taught
from .step import DivergedError, Learner, Snapshot, checked_update, is_finite, update

# What a seed is for: mixed in, so that order, weights and dropout draw different numbers.
WEIGHTS, ORDER, STEPS, PIXELS = range(4)
# An accelerator is waited for once in so many steps, or once in `sharing.SECONDS`.
WINDOW = 50
# The curves of a run of so few epochs are drawn by step: so many points an epoch.
SHORT, POINTS = 10, 25


class Step(NamedTuple):
    """What a step did."""

    number: int  # steps done, this one included
    epoch: int  # from 0
    loss: float  # mean over the batch before the step, in nats
    correct: int
    pictures: int
    rate: float


@dataclass
class Progress:
    """Where a training is; all that a checkpoint holds besides weights and optimiser."""

    step: int = 0  # steps done
    epochs: int = 0  # epochs done and evaluated
    loss_sum: float = 0.0  # of the epoch under way
    correct: int = 0
    pictures: int = 0
    seconds: float = 0.0
    taught: float = 0.0  # seconds of the steps of the epoch under way
    waited: float = 0.0  # those of them in which the next batch was not there yet
    history: list[dict[str, Any]] = field(default_factory=list)
    trail: list[dict[str, Any]] = field(default_factory=list)  # points of curves by step, as sums

    def count(self, step: Step, *, span: int = 1) -> None:
        """Add a step to the epoch under way, and to its point of the curves, of `span` steps."""
        self.step = step.number
        self.loss_sum += step.loss * step.pictures
        self.correct += step.correct
        self.pictures += step.pictures
        if self.epochs < SHORT:
            self._extend(step, span)

    def _extend(self, step: Step, span: int) -> None:
        if not self.trail or (self.trail[-1]["step"] - 1) // span != (step.number - 1) // span:
            self.trail.append({"loss_sum": 0.0, "correct": 0, "pictures": 0})
        point = self.trail[-1]
        point |= {"step": step.number, "rate": step.rate}
        point["loss_sum"] += step.loss * step.pictures
        point["correct"] += step.correct
        point["pictures"] += step.pictures

    def by_step(self) -> list[dict[str, float]]:
        """Return the points of curves by step, as rows of a history; none of a long run."""
        return [
            {
                "step": point["step"],
                "rate": point["rate"],
                "train_loss": point["loss_sum"] / point["pictures"],
                "train_accuracy": point["correct"] / point["pictures"],
            }
            for point in self.trail
        ]

    @property
    def waiting(self) -> float:
        """Share of the time of this epoch's steps in which the next batch was not there yet."""
        return min(self.waited / self.taught, 1.0) if self.taught else 0.0

    def close_epoch(self, row: dict[str, Any]) -> None:
        """Enter the epoch in the history and begin the next."""
        self.history.append(row)
        self.epochs += 1
        self.loss_sum, self.correct, self.pictures = 0.0, 0, 0
        self.taught, self.waited = 0.0, 0.0
        if self.epochs > SHORT:
            self.trail = []


def steps_an_epoch(count: int, recipe: Recipe) -> int:
    """Count the steps of an epoch. A last step of one picture is left to the next epoch's order.

    Batch norm has no variance of one picture; where steps have 1 by choice, it stays.
    """
    steps, rest = divmod(count, recipe.step_size)
    lonely = rest == 1 and steps > 0 and recipe.step_size > 1
    return steps + (rest > 0 and not lonely)


def epoch(
    learner: Learner, pictures: Pictures, progress: Progress, *, window: int | None = None
) -> Iterator[list[Step]]:
    """Take the steps of the present epoch that are still to do, and yield them as they are known.

    On a CPU each step is looked at before it is taken. An accelerator is not waited for in each:
    up to `window` steps are taken before their numbers are read. At each yield the network stands
    after the last step yielded. Raises DivergedError where something is not finite: the network
    then stands where it did at the yield before.
    """
    window = window or window_on(learner.device)
    left = tasks(learner, pictures, progress)
    yield from _one_by_one(learner, left) if window == 1 else _in_windows(learner, left, window)


def window_on(device: torch.device) -> int:
    """Return how many steps are taken on a device before it is waited for."""
    return 1 if device.type == "cpu" else WINDOW


class Task(NamedTuple):
    """A step to take."""

    number: int  # steps done once it is taken
    epoch: int
    rate: float
    batch: Batch
    share: Share  # of the step's batch, which this process takes
    side: int  # of pictures, in pixels


class _Taken(NamedTuple):
    """A step whose numbers are still on the device."""

    number: int
    epoch: int
    loss: Tensor
    correct: Tensor
    pictures: int
    rate: float


def tasks(learner: Learner, pictures: Pictures, progress: Progress) -> Iterator[Task]:
    """Yield the steps of the present epoch that are still to do."""
    recipe, number, done = learner.recipe, progress.epochs, progress.step
    per_epoch = steps_an_epoch(len(pictures), recipe)
    seed = devices.seed_of(recipe.seed, ORDER)
    rows = learner.order(pictures.labels, seed=seed, epoch=number)
    places = sampling.places(rows, len(pictures))
    first = (done - number * per_epoch) * recipe.step_size
    left = slice(first, per_epoch * recipe.step_size)
    cut = learner.sharing.cut(len(rows[left]), recipe)
    batches = _timed(pictures.batches(cut.of(rows[left]), cut.sizes), progress)
    placed = _placed(batches, cut.of(places[left]), cut.sizes)
    for step, (batch, share) in enumerate(zip(placed, cut.shares, strict=True), done):
        rate = learner.rate(recipe, step, per_epoch)
        side = growing.side(recipe, step, recipe.epochs * per_epoch)
        yield Task(step + 1, number, rate, batch, share, side)


def _timed(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    """Yield batches, and count the seconds in which the next one is not there yet."""
    while True:
        began = time.monotonic()
        batch = next(batches, None)
        progress.waited += time.monotonic() - began
        if batch is None:
            return
        yield batch


def _placed(batches: Iterator[Batch], places: Tensor, size: int | list[int]) -> Iterator[Batch]:
    """Yield batches with the places that their changes are drawn by, in place of their rows."""
    chunks: Sequence[Tensor] = ()
    for number, batch in enumerate(batches):
        # Once an epoch, not a step: the host waits until they are on the device.
        chunks = chunks or places.to(batch.rows.device).split(size)
        yield batch._replace(rows=chunks[number])


def _one_by_one(learner: Learner, tasks: Iterator[Task]) -> Iterator[list[Step]]:
    for task in tasks:
        values, targets = in_values(learner, task)
        loss, correct = checked_update(learner, values, targets, rate=task.rate, share=task.share)
        learner.follow(task.number)
        yield [Step(task.number, task.epoch, loss, correct, task.share.pictures, task.rate)]


def _in_windows(learner: Learner, tasks: Iterator[Task], window: int) -> Iterator[list[Step]]:
    kept, began = Snapshot.of(learner), time.monotonic()
    taken: list[_Taken] = []
    for task in tasks:
        values, targets = in_values(learner, task)
        loss, correct = update(learner, values, targets, rate=task.rate, share=task.share)
        learner.follow(task.number)
        pictures = task.share.pictures
        taken.append(_Taken(task.number, task.epoch, loss, correct, pictures, task.rate))
        if learner.sharing.is_over(len(taken), window, time.monotonic() - began):
            yield _read(learner, taken, kept)
            kept, taken, began = Snapshot.of(learner), [], time.monotonic()
    if taken:
        yield _read(learner, taken, kept)


def _read(learner: Learner, taken: Sequence[_Taken], kept: Snapshot) -> list[Step]:
    """Read the numbers of steps from the device, all at once; where one is not finite, go back."""
    losses = torch.stack([step.loss.double() for step in taken])
    hits = torch.stack([step.correct.double() for step in taken])
    finite = is_finite(learner.model).double().expand(1)
    *own, good = torch.cat([losses, hits, finite]).tolist()
    *numbers, broken = learner.sharing.sums([*own, float(not good)])  # on how many processes
    steps = [
        Step(step.number, step.epoch, loss, int(correct), step.pictures, step.rate)
        for step, loss, correct in zip(
            taken, numbers[: len(taken)], numbers[len(taken) :], strict=True
        )
    ]
    bad = next((place for place, step in enumerate(steps) if not math.isfinite(step.loss)), None)
    if bad is None and not broken:
        return steps
    kept.put_back(learner)
    if bad is None:
        raise DivergedError("a weight is not finite", ahead=len(steps) - 1)
    raise DivergedError(f"the loss is {steps[bad].loss}", ahead=bad)


def in_values(learner: Learner, task: Task) -> tuple[Tensor, Tensor]:
    """Augment, mix and normalise a batch: values (N, ...) and targets on the learner's device."""
    recipe, device = learner.recipe, learner.device
    # Not the rows: what is drawn for them is drawn on the CPU, which would wait for their return.
    rows, *moved = task.batch
    pixels, labels = (part.to(device, non_blocking=True) for part in moved)
    seed = devices.seed_of(recipe.seed, PIXELS)
    pixels = learner.augment(pixels, rows, seed=seed, epoch=task.epoch)
    pixels, targets = learner.mix(pixels, labels, rows, seed=seed, epoch=task.epoch)
    # Seeded a step, not a run: a resumed run draws the same dropout without a saved state.
    torch.manual_seed(devices.seed_of(recipe.seed, STEPS, task.number - 1, *learner.sharing.draws))
    values = learner.preprocessing.values(taught(pixels, task.share))
    if recipe.progressive < 1:
        values = growing.resized(values, task.side)
    return values, taught(targets, task.share)
