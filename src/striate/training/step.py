"""One step of a training: forward, backward, optimiser; with and without waiting for the device."""

import contextlib
import math
from collections.abc import Collection
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from striate import devices
from striate.data.augmenting.mixing import Mix, unmixed
from striate.data.preparation.kinds import Values
from striate.data.sampling import natural
from striate.errors import DataError

from . import optim
from .averaging import Average
from .losses import Loss, cross_entropy
from .recipe import Recipe
from .sharing import Alone, Portion, Share, Sharing, whole


class DivergedError(DataError):
    """A loss, a gradient or a weight is not finite; `ahead` steps after the state that is kept."""

    def __init__(self, message: str, *, ahead: int = 0) -> None:
        super().__init__(message)
        self.ahead = ahead


class Augment(Protocol):
    """Changes a batch of pixels of the data set's rows, as a function of seed, epoch and row."""

    def __call__(self, pixels: Tensor, rows: Tensor, /, *, seed: int, epoch: int) -> Tensor: ...


class Order(Protocol):
    """Chooses the rows that an epoch shows, as many as there are labels (N,)."""

    def __call__(self, labels: Tensor, /, *, seed: int, epoch: int) -> Tensor: ...


class Mode(Protocol):
    """Puts a network into the mode in which it is taught, where it is not in it."""

    def __call__(self, model: nn.Module, /) -> None: ...


class Rate(Protocol):
    """Return the learning rate of a step, counted from 0."""

    def __call__(self, recipe: Recipe, step: int, steps_an_epoch: int, /) -> float: ...


def training(model: nn.Module, /) -> None:
    """Put the whole network into training mode."""
    if not model.training:
        model.train()


class Learner(NamedTuple):
    """A network and all that teaching it takes."""

    model: nn.Module
    optimiser: torch.optim.Optimizer  # each group has its `share` of the rate
    preprocessing: Values
    augment: Augment
    recipe: Recipe
    device: torch.device
    mix: Mix = unmixed
    order: Order = natural
    loss: Loss = cross_entropy
    average: Average | None = None
    mode: Mode = training
    rate: Rate = optim.rate
    head: str = ""  # the path of the last layer, where a choice needs it
    turned: Collection[Tensor] = ()  # weights for Muon
    sharing: Sharing = Alone()

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and saved: the mean of the weights where there is one."""
        return self.average.model if self.average else self.model

    def follow(self, steps: int) -> None:
        """Let the mean of the weights follow, after so many steps."""
        if self.average:
            self.average.follow(self.model, steps)


def update(
    learner: Learner, values: Tensor, targets: Tensor, *, rate: float, share: Share | None = None
) -> tuple[Tensor, Tensor]:
    """Take one step on values (N, ...) and targets: the loss before it in nats, and the hits.

    Targets are labels (N,), or shares of classes (N, K), of which the greatest is a hit. Where they
    are a `share` of a batch, both numbers are its parts of the batch's.

    Both are numbers on the device, and nothing waits for them. A step is taken whatever they are:
    what is not finite spreads to the weights, where `is_finite` finds it later.
    """
    loss, correct = _gradients(learner, values, targets, rate, share)
    if learner.recipe.clip is not None:
        nn.utils.clip_grad_norm_(learner.model.parameters(), learner.recipe.clip)
    learner.optimiser.step()
    return loss, correct


def checked_update(
    learner: Learner, values: Tensor, targets: Tensor, *, rate: float, share: Share | None = None
) -> tuple[float, int]:
    """Take one step as `update` does, after a look at its numbers, which are the whole batch's.

    Raises DivergedError and takes no step where the loss or the gradient is not finite; running
    statistics are then as they were before.
    """
    model, clip = learner.model, learner.recipe.clip
    before = [buffer.clone() for buffer in model.buffers()]
    own, hits = _gradients(learner, values, targets, rate, share)
    norm = nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)
    broken = not math.isfinite(norm.item())
    loss, correct, anywhere = learner.sharing.sums([own.item(), hits.item(), float(broken)])
    if not math.isfinite(loss) or anywhere:
        _put_back(list(model.buffers()), before)
        what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's norm is {norm.item()}"
        raise DivergedError(f"the {what}")
    if clip is not None:
        nn.utils.clip_grads_with_norm_(model.parameters(), clip, norm)
    learner.optimiser.step()
    return loss, int(correct)


class Snapshot(NamedTuple):
    """A finite state to go back to, on the device: weights, their mean, buffers and optimiser."""

    tensors: list[Tensor]  # the live ones
    values: list[Tensor]  # copies
    fresh: bool  # the optimiser had no state yet

    @classmethod
    def of(cls, learner: Learner) -> "Snapshot":
        """Copy the present state."""
        networks = (learner.model, *([learner.average.model] if learner.average else []))
        tensors = [t for net in networks for t in (*net.parameters(), *net.buffers())]
        tensors += [
            value
            for state in learner.optimiser.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        with torch.no_grad():
            return cls(tensors, [t.clone() for t in tensors], not learner.optimiser.state)

    def put_back(self, learner: Learner) -> None:
        """Make the state what it was."""
        _put_back(self.tensors, self.values)
        if self.fresh:
            learner.optimiser.state.clear()


@torch.no_grad()
def is_finite(model: nn.Module) -> Tensor:
    """Tell whether every weight and buffer is finite: a bool () on the device, without a wait."""
    floating = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    return torch.stack([t.isfinite().all() for t in floating]).all()


def _gradients(
    learner: Learner, values: Tensor, targets: Tensor, rate: float, share: Share | None
) -> tuple[Tensor, Tensor]:
    """Set the rates and compute the gradients; return the loss () and the hits () of a share."""
    model, optimiser, recipe = learner.model, learner.optimiser, learner.recipe
    learner.mode(model)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    share = share or whole(len(values), recipe.batch_size)
    parts = zip(values.split(share.sizes), targets.split(share.sizes), share.portions, strict=True)
    losses: list[Tensor] = []
    hits: list[Tensor] = []
    for number, (part, wanted, portion) in enumerate(parts, 1):
        last = number == len(share.portions)
        loss, correct = _answered(learner, part, wanted, portion, last=last)
        if not losses:
            optimiser.zero_grad(set_to_none=True)
        learner.sharing.backward(loss, model, last=last)
        losses.append(loss.detach())
        hits.append(correct)
    return torch.stack(losses).sum(), torch.stack(hits).sum()


def _answered(
    learner: Learner, values: Tensor, targets: Tensor, portion: Portion, *, last: bool
) -> tuple[Tensor, Tensor]:
    """Return a portion's part of the loss (), and its hits ()."""
    with _precision(learner.recipe, learner.device):
        logits = learner.sharing.answer(learner.model, devices.ordered(values), portion, last=last)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = learner.loss(precise, targets, smoothing=learner.recipe.label_smoothing)
    labels = targets if targets.ndim == 1 else targets.argmax(1)
    hits = (logits.detach().argmax(1) == labels).sum()
    return loss * portion.weight, hits if portion.weight else 0 * hits


def lacks_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether a training in bfloat16 continues on a CPU without instructions for it."""
    without = device.type == "cpu" and not devices.multiplies_bfloat16(device)
    return recipe.precision == "bfloat16" and without


@torch.no_grad()
def _put_back(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, kept in zip(tensors, values, strict=True):
        tensor.copy_(kept)


def _precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    if recipe.precision != "bfloat16" or lacks_bfloat16(recipe, device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
