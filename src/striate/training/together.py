"""Steps that several processes take as one: torch's DistributedDataParallel, on a batch in parts.

The batch, its order, its pixels and its statistics are those of one process, so that the result is
the same but for rounding; only what a network draws itself, as dropout does, is drawn otherwise.
"""

import contextlib
import inspect
import itertools
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from striate import devices, ranks
from striate.data.augmenting.mixing import unmixed
from striate.errors import UsageError
from striate.layers.alike import Alike, Streams, Watch
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
    ways = ways_of(learner, devices.ordered(values))
    return teaching._replace(learner=learner._replace(sharing=Together(learner, ways)))


def _first_two(teaching: Teaching) -> Tensor:
    return torch.arange(min(2, len(teaching.pictures["train"])))


class Ways(NamedTuple):
    """How a network comes to its answers."""

    partly: bool = False  # weights that learn may have no part in one
    decides: bool = False  # it takes decisions, at random or by its numbers: to skip a layer, say


def ways_of(learner: Learner, values: Tensor) -> Ways:
    """Watch a network as it answers; it stays as it was, and all processes find the same."""
    model = learner.model
    learner.mode(model)
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.random.fork_rng(devices=[learner.device] if values.is_cuda else []):
        with Watch(buffers) as watch:
            answer = model(values)
        found = torch.autograd.grad(answer.sum(), learning, allow_unused=True)
    with torch.no_grad():
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
    idle = any(gradient is None for gradient in found)
    partly, decides = ranks.sums([float(idle), float(watch.decides)])
    return Ways(partly > 0 or decides > 0, decides > 0)


def _without_buffers() -> dict[str, Any]:
    """Name the choice that buffers stay as they are: here they are the same, or made so."""
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    # torch 2.14 has a new name for it, and warns of the old one.
    return {next(n for n in ("forward_sync_buffers", "broadcast_buffers") if n in known): False}


class _BesideIdle(nn.Module):
    """A network, and a weight that has no part in its answers.

    Where all weights had one, DistributedDataParallel would warn that it looks for idle ones.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.idle = nn.Parameter(next(model.parameters()).new_zeros(1))

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.model(values)
        return logits


class Together:
    """This process among several, each of which takes a part of every batch."""

    def __init__(self, learner: Learner, ways: Ways) -> None:
        self._network = DistributedDataParallel(
            _BesideIdle(learner.model) if ways.partly else learner.model,
            find_unused_parameters=ways.partly,
            gradient_as_bucket_view=True,
            **_without_buffers(),
        )
        self._mixes = learner.mix is not unmixed
        self._apart = learner.recipe.batch_statistics == "rank"
        self._window, self._since = 1, time.monotonic()
        self._decides, self._streams = ways.decides, Streams.on(learner.device)
        self._begun: int | None = None  # the seed of the step
        # Else all would have the same dropout; a network that decides draws with `Alike`.
        self.draws: tuple[int, ...] = () if ways.decides else (ranks.rank(),)

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
            fewest = size // ranks.count()
            portions.append(Portion(max(1, len(own)), len(own) / pictures, partners, fewest))
            before = [(own.start - 1) % pictures] if partners else []
            rows += [*before, *(own or [start - 1])]
        return torch.tensor(rows), Share(pictures, portions)

    def answer(
        self, model: nn.Module, values: Tensor, portion: Portion, /, *, last: bool
    ) -> Tensor:
        """Ask the network, its batch norms over all processes; gradients meet in the last."""
        del model
        agree = _Agreeing() if self._decides and not self._apart else None
        with contextlib.ExitStack() as stack:
            if not last:
                stack.enter_context(self._network.no_sync())
            if not self._apart:
                stack.enter_context(Synchronised(counts=portion.weight > 0, agree=agree))
            if self._decides:
                stack.enter_context(self._alike(portion))
            logits: Tensor = self._network(values)
            if agree:
                agree(0)
        return logits

    def _alike(self, portion: Portion) -> Alike:
        """Let decisions be drawn alike, the rest by each process, from the seed of the step."""
        if torch.initial_seed() != self._begun:
            self._begun = torch.initial_seed()
            self._streams.begin(self._begun, ranks.rank())
        return Alike(self._streams, plain=portion.fewest < 2)

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


class _Agreeing:
    """Asks, before each batch norm and at the end, whether all processes have come there."""

    def __init__(self) -> None:
        self._norms = 0

    def __call__(self, channels: int) -> None:
        self._norms += 1
        here = torch.tensor([self._norms, channels], device="cpu")
        if (ranks.beside(here) != here).any():
            raise UsageError(
                "processes took different ways through the network: a layer with batch norm is "
                "skipped by one and not by another. Let all skip alike, by a number of its own for "
                "each decision (torch.rand(()) draws the same on all), or give "
                "--batch-statistics rank"
            )


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
