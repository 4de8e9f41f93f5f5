"""The steps that are measured: those of a real training, first as they are, then by layer."""

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from striate.data.batches import Pictures
from striate.stopping import Poll
from striate.training.loop import Progress, Task, in_values, tasks, window_on
from striate.training.step import Learner, checked_update, update

from .timeline import COPY, DATA, REST, Part, Timeline
from .watching import Layers, Seen, watched

WARM = 3  # steps that are not counted: decoders start, memory is taken, kernels are chosen
PAIRS = 4  # of a step beside one of twice as many pictures


class Measured(NamedTuple):
    """Some steps, whose times are summed up."""

    steps: int
    pictures: int
    seconds: dict[Part, float]
    each: list[float]  # seconds of each step
    computed: float  # seconds for which this thread had a processor

    @property
    def total(self) -> float:
        """Seconds of all the steps."""
        return sum(self.each)

    def of(self, phase: str) -> float:
        """Sum the seconds of a phase, of all layers."""
        return sum(seconds for part, seconds in self.seconds.items() if part.phase == phase)


class Steps:
    """Takes steps that are watched. The learner learns from them, as in any training."""

    def __init__(self, learner: Learner, pictures: Pictures, poll: Poll) -> None:
        self.last: tuple[Tensor, Tensor] | None = (
            None  # values and targets, of the largest step by layer
        )
        self._learner, self._poll = learner, poll
        self._timeline = Timeline(learner.device)
        self._source = _endless(learner, pictures)
        self._layers = Layers(learner.model, self._timeline)

    @property
    def seen(self) -> dict[str, Seen]:
        """What was seen of the layers."""
        return self._layers.seen

    def plain(self, count: int) -> Measured:
        """Take steps as a training takes them."""
        return self._measured(count, by_layer=False)

    def by_layer(self, count: int) -> Measured:
        """Take steps in which each layer is marked: they take longer by the marks."""
        return self._measured(count, by_layer=True)

    def _measured(self, count: int, *, by_layer: bool) -> Measured:
        sizes: list[int] = []
        begun = time.thread_time()
        with watched(self._learner, self._timeline) as learner:
            looking = self._layers.watched() if by_layer else contextlib.nullcontext()
            with looking:
                for _ in range(count):
                    self._poll()
                    sizes.append(self._taken(learner, keep=by_layer))
                    self._layers.forget()
        self._timeline.mark(DATA)  # where the last step ends
        computed = time.thread_time() - begun
        each: list[float] = []
        seconds: dict[Part, float] = defaultdict(float)
        for part, spent in self._timeline.spans():
            if part.phase == DATA:
                each.append(0.0)
            seconds[part] += spent
            each[-1] += spent
        return Measured(count, sum(sizes), seconds, each, computed)

    def _taken(self, learner: Learner, *, keep: bool) -> int:
        """Take a step: the pictures in it."""
        mark = self._timeline.mark
        mark(DATA)
        task = next(self._source)
        mark(COPY)
        values, targets = in_values(learner, task)
        take = checked_update if window_on(learner.device) == 1 else update
        take(learner, values, targets, rate=task.rate, share=task.share)
        mark(REST)
        learner.follow(task.number)
        if keep and (self.last is None or len(values) > len(self.last[0])):
            self.last = values, targets
        return len(values)


def _endless(learner: Learner, pictures: Pictures) -> Iterator[Task]:
    """Yield the first epoch's steps over and over: few pictures have fewer than are measured.

    Of whole pictures, where they grow.
    """
    whole = dataclasses.replace(learner.recipe, progressive=1.0)
    learner = learner._replace(recipe=whole)
    while True:
        yield from tasks(learner, pictures, Progress())


def gain_of_twice(learner: Learner, values: Tensor, targets: Tensor) -> float:
    """Return how many times as many pictures a second a batch of twice the size goes through.

    Of the passes and the update, at a rate of 0, in turns with the batch itself.
    """
    twice = learner._replace(
        recipe=dataclasses.replace(learner.recipe, batch_size=2 * learner.recipe.batch_size)
    )
    double = torch.cat([values, values]), torch.cat([targets, targets])
    rivals = ((learner, (values, targets)), (twice, double))
    least = [float("inf"), float("inf")]
    for _ in range(PAIRS):
        for place, (who, given) in enumerate(rivals):
            begun = _now(learner.device)
            update(who, *given, rate=0.0)
            least[place] = min(least[place], _now(learner.device) - begun)
    return 2 * least[0] / least[1]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
