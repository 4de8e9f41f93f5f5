"""The maps of a network that people can look at: which there are, and a few of many."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate import features
from striate.errors import UsageError
from striate.features import path_of
from striate.geometry import Field
from striate.tracing import map_fields

# Kinds of modules that hand on what they are given, or a coarser version of it.
_SAME = ("Dropout", "DropPath", "Identity", "Flatten")
_COARSER = ("Pool",)


class Layer(NamedTuple):
    """A map of a network."""

    name: str  # of the activation, as in `striate.features`
    kind: str  # the module's class
    shape: tuple[int, ...]  # (C, H, W), of clips (C, T, H, W)
    fields: tuple[Field, ...]  # what one of its elements sees, along each axis of the picture

    @property
    def field(self) -> tuple[int, ...]:
        """How many pixels an element sees, along each axis of the picture."""
        return tuple(int(-(-field.size // 1)) for field in self.fields)


def listed(model: nn.Module, shape: Sequence[int]) -> list[Layer]:
    """List a network's maps for inputs of a shape (C, H, W), in the order in which they are made.

    What has one place only, and what is laid out otherwise than the picture, is no map.
    """
    made = features.listed(model, sample(model, shape))
    seen = map_fields(model, shape)
    return [
        Layer(one.name, one.kind, one.shape, seen[one.name])
        for one in made
        if one.name in seen and any(side > 1 for side in one.shape[1:])
    ]


def sample(model: nn.Module, shape: Sequence[int]) -> Tensor:
    """Make one black input (1, C, H, W) of a network, where its weights are."""
    first = next(model.parameters(), torch.empty(0))
    return torch.zeros(1, *shape, device=first.device, dtype=first.dtype)


def parts(model: nn.Module, shape: Sequence[int], *, most: int = 8) -> list[Layer]:
    """Choose maps from first to last, evenly by depth; the first and the last are among them."""
    found = _made(model, shape, _SAME)
    if len(found) <= most:
        return found
    places = [round(number * (len(found) - 1) / (most - 1)) for number in range(most)]
    return [found[place] for place in places]


def last(model: nn.Module, shape: Sequence[int]) -> Layer:
    """Find the map that the classifier's answer is read from: the last one that is no pooling.

    UsageError for a network that has none.
    """
    found = _made(model, shape, _SAME + _COARSER)
    if not found:
        raise UsageError(
            f"this network ({type(model).__name__}) has no maps of the picture: it cannot be said "
            "where it looked"
        )
    return found[-1]


def _made(model: nn.Module, shape: Sequence[int], passing: Sequence[str]) -> list[Layer]:
    """List the maps but for those of a Sequential, which are its last part's, and those passed."""
    return [
        one
        for one in listed(model, shape)
        if not isinstance(model.get_submodule(path_of(one.name)), nn.Sequential)
        and not any(word in one.kind for word in passing)
    ]
