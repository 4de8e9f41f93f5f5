"""How a step's batch is taken: by one process; `together` is the same by several."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .recipe import Recipe

# An accelerator is waited for once in so many seconds, or once in so many steps.
SECONDS = 2.0


class Portion(NamedTuple):
    """Examples that go through the network at once."""

    size: int  # of this process
    weight: float  # of their mean loss in the mean over the step's batch; 0: it stands in for none
    partners: int = 0  # examples before them that they are mixed with, which are not taught
    fewest: int = 0  # that any of several processes has of them


class Share(NamedTuple):
    """What a process takes of a step's batch."""

    pictures: int  # of the whole batch
    portions: Sequence[Portion]

    @property
    def sizes(self) -> list[int]:
        """How many examples are taught, by portion."""
        return [portion.size for portion in self.portions]


class Cut(NamedTuple):
    """What a process takes of the steps to come."""

    places: Tensor | None  # of its examples among those of all steps; None: all
    sizes: int | list[int]  # examples of each step, partners too
    shares: Sequence[Share]

    def of(self, rows: Tensor) -> Tensor:
        """Pick this process's rows."""
        return rows if self.places is None else rows[self.places]


class Sharing(Protocol):
    """Takes steps, alone or with other processes."""

    @property
    def draws(self) -> tuple[int, ...]:
        """Whole numbers that the seed of what a network draws in a step is mixed with."""

    def cut(self, total: int, recipe: Recipe, /) -> Cut:
        """Cut the examples of the steps to come, of which the last may have fewer."""

    def answer(
        self, model: nn.Module, values: Tensor, portion: Portion, /, *, last: bool
    ) -> Tensor:
        """Return logits (N, K) of a portion, the last one of a step or another."""

    def backward(self, loss: Tensor, model: nn.Module, /, *, last: bool) -> None:
        """Add the gradient of a portion's part of the loss; after the last it is of all."""

    def sums(self, numbers: list[float], /) -> list[float]:
        """Add numbers up over all processes."""

    def is_over(self, taken: int, most: int, seconds: float, /) -> bool:
        """Tell whether the numbers of the steps taken are to be read now."""


class Alone:
    """One process, which takes all."""

    draws: tuple[int, ...] = ()

    def cut(self, total: int, recipe: Recipe, /) -> Cut:
        """Leave the rows as they are."""
        sizes = step_sizes(total, recipe.step_size)
        made = {size: whole(size, recipe.batch_size) for size in set(sizes)}
        return Cut(None, recipe.step_size, [made[size] for size in sizes])

    def answer(
        self, model: nn.Module, values: Tensor, portion: Portion, /, *, last: bool
    ) -> Tensor:
        """Ask the network."""
        del portion, last
        logits: Tensor = model(values)
        return logits

    def backward(self, loss: Tensor, model: nn.Module, /, *, last: bool) -> None:
        """Add the gradient."""
        del model, last
        loss.backward()

    def sums(self, numbers: list[float], /) -> list[float]:
        """Return the numbers."""
        return numbers

    def is_over(self, taken: int, most: int, seconds: float, /) -> bool:
        """Tell whether so many steps are taken, or so much time is over."""
        return taken >= most or seconds > SECONDS


def step_sizes(total: int, size: int) -> list[int]:
    """Cut a number of examples into steps.

    >>> step_sizes(10, 4)
    [4, 4, 2]
    """
    whole, rest = divmod(total, size)
    return [size] * whole + [rest] * (rest > 0)


def parts(pictures: int, batch_size: int) -> list[int]:
    """Return the sizes of a step's parts, whose gradients are added up.

    They are nearly equal: of a last one of a single picture norms would have no variance.

    >>> parts(9, 4)
    [3, 3, 3]
    """
    number = -(-pictures // batch_size)
    return [len(part) for part in torch.empty(pictures, 0).tensor_split(number)]


def whole(pictures: int, batch_size: int) -> Share:
    """Return the share of one process: all."""
    sizes = parts(pictures, batch_size)
    return Share(pictures, [Portion(size, size / pictures) for size in sizes])


def taught(values: Tensor, share: Share) -> Tensor:
    """Leave out the partners, once they are mixed in."""
    if not any(portion.partners for portion in share.portions):
        return values
    kept, start = [], 0
    for portion in share.portions:
        start += portion.partners
        kept.append(values[start : start + portion.size])
        start += portion.size
    return torch.cat(kept)
