"""Steps that several processes take as one: torch's DistributedDataParallel, on a batch in parts.

The batch, its order, its pixels and its statistics are those of one process, so that the result is
the same but for rounding; only what a network draws itself, as dropout does, is drawn otherwise.
"""

import contextlib
import inspect
import itertools
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from striate import devices, ranks
from striate.data.augmenting.mixing import unmixed
from striate.errors import UsageError
from striate.layers.synchronised import Synchronised
from striate.wording import counted

from .loop import steps_an_epoch
from .recipe import Recipe
from .sharing import SECONDS, Cut, Portion, Share, parts, step_sizes
from .stages import Teaching
from .step import Learner


def shared(teaching: Teaching) -> Teaching:
    """Let all processes take the steps of a stage, where there are several."""
    if ranks.count() == 1:
        return teaching
    learner = teaching.learner
    check(learner.recipe, len(teaching.pictures["train"]))
    some = next(teaching.pictures["train"].batches(_first_two(teaching), 2))
    values = learner.preprocessing.values(some.pixels.to(learner.device))
    partly = is_partly_used(learner, devices.ordered(values))
    return teaching._replace(learner=learner._replace(sharing=Together(learner, partly=partly)))


def _first_two(teaching: Teaching) -> Tensor:
    return torch.arange(min(2, len(teaching.pictures["train"])))


def is_partly_used(learner: Learner, values: Tensor) -> bool:
    """Tell whether weights that learn have no part in the answer; the network stays as it was."""
    model = learner.model
    learner.mode(model)
    before = [buffer.clone() for buffer in model.buffers()]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.random.fork_rng(devices=[learner.device] if values.is_cuda else []):
        found = torch.autograd.grad(model(values).sum(), learning, allow_unused=True)
    with torch.no_grad():
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)
    return any(gradient is None for gradient in found)


def _without_buffers() -> dict[str, Any]:
    """Name the choice that buffers stay as they are: here they are the same, or made so."""
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    # torch 2.14 has a new name for it, and warns of the old one.
    return {next(n for n in ("forward_sync_buffers", "broadcast_buffers") if n in known): False}


class Together:
    """This process among several, each of which takes a part of every batch."""

    def __init__(self, learner: Learner, *, partly: bool) -> None:
        self._network = DistributedDataParallel(
            learner.model,
            find_unused_parameters=partly,
            gradient_as_bucket_view=True,
            **_without_buffers(),
        )
        self._mixes = learner.mix is not unmixed
        self._apart = learner.recipe.batch_statistics == "rank"
        self._window, self._since = 1, time.monotonic()
        self.draws: tuple[int, ...] = (ranks.rank(),)  # else all would have the same dropout

    def cut(self, total: int, recipe: Recipe, /) -> Cut:
        """Take this process's part of each part of a step's batch, and the partners of its rows."""
        sizes = step_sizes(total, recipe.step_size)
        made = {size: self._share(size, recipe) for size in set(sizes)}
        starts = itertools.accumulate(sizes, initial=0)
        index = [made[size][0] + start for size, start in zip(sizes, starts, strict=False)]
        return Cut(
            torch.cat(index) if index else torch.empty(0, dtype=torch.long),
            [len(made[size][0]) for size in sizes],
            [made[size][1] for size in sizes],
        )

    def _share(self, pictures: int, recipe: Recipe) -> tuple[Tensor, Share]:
        """Return which of a step's examples this process takes, and as what."""
        rows: list[int] = []
        portions: list[Portion] = []
        start = 0
        for size in parts(pictures, recipe.batch_size):
            own = range(start, start + size)[ranks.mine(size)]
            start += size
            partners = int(self._mixes and len(own) > 0)
            # Of a batch that is too small for all, one takes part that counts nothing: a network
            # need not know what to do with no examples.
            portions.append(Portion(max(1, len(own)), len(own) / pictures, partners))
            before = [(own.start - 1) % pictures] if partners else []
            rows += [*before, *(own or [start - 1])]
        return torch.tensor(rows), Share(pictures, portions)

    def answer(
        self, model: nn.Module, values: Tensor, portion: Portion, /, *, last: bool
    ) -> Tensor:
        """Ask the network, its batch norms over all processes; gradients meet in the last."""
        del model
        with contextlib.ExitStack() as stack:
            if not last:
                stack.enter_context(self._network.no_sync())
            if not self._apart:
                stack.enter_context(Synchronised(counts=portion.weight > 0))
            logits: Tensor = self._network(values)
        return logits

    def backward(self, loss: Tensor, model: nn.Module, /, *, last: bool) -> None:
        """Add the gradient: the mean over the processes, so each gives its own so many times."""
        (loss * ranks.count()).backward()
        if self._apart and last:
            _average(model)

    def sums(self, numbers: list[float], /) -> list[float]:
        """Add numbers up over all processes."""
        return ranks.sums(numbers)

    def is_over(self, taken: int, most: int, seconds: float, /) -> bool:
        """Tell whether so many steps are taken as all have agreed on, by the time of those before.

        No clock is asked in between: theirs differ, and all must read at once.
        """
        del seconds
        if taken < min(self._window, most):
            return False
        now = time.monotonic()
        spent = ranks.sums([now - self._since])[0] / ranks.count() / taken
        self._window, self._since = max(1, min(most, int(SECONDS / max(spent, 1e-6)))), now
        return True


@torch.no_grad()
def _average(model: nn.Module) -> None:
    """Make running statistics the mean of those of all processes."""
    floating = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    if not floating:
        return
    flat = torch.cat([buffer.double().flatten() for buffer in floating])
    means = ranks.add_up(flat).div_(ranks.count()).split([buffer.numel() for buffer in floating])
    for buffer, mean in zip(floating, means, strict=True):
        buffer.copy_(mean.view_as(buffer))


def check(recipe: Recipe, pictures: int) -> None:
    """Raise UsageError where parts of batches are too small for statistics of their own."""
    if recipe.batch_statistics == "global" or ranks.count() == 1:
        return
    steps = step_sizes(pictures, recipe.step_size)[: steps_an_epoch(pictures, recipe)]
    least = min(size for step in set(steps) for size in parts(step, recipe.batch_size))
    if least < 2 * ranks.count():
        raise UsageError(
            f"--batch-statistics rank takes those of each process's part, and a batch of {least} "
            f"has fewer than 2 pictures for each of {counted(ranks.count(), 'processes')}: give "
            "global, or another --batch-size"
        )
