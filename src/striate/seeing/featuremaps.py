"""Feature maps of a few pictures, layer by layer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import features

from .layers import Layer, parts


class Maps(NamedTuple):
    """A layer's maps of P pictures."""

    layer: Layer
    values: NDArray[np.float32]  # (P, C, h, w)

    @property
    def signed(self) -> bool:
        """Tell whether there are numbers below 0, as before a ReLU."""
        return bool((self.values < 0).any())

    @property
    def zero(self) -> float:
        """Share of the maps, of each picture and channel, that are zero everywhere."""
        return float((self.values == 0).all((-2, -1)).mean())

    @property
    def silent(self) -> list[int]:
        """The channels whose maps of all these pictures are zero everywhere."""
        return np.flatnonzero((self.values == 0).all((0, 2, 3))).tolist()

    @property
    def varied(self) -> NDArray[np.int64]:
        """The channels by the variance over places of their maps, the most varied first."""
        return np.argsort(-self.values.var((2, 3), dtype=np.float64).mean(0), kind="stable")


def maps(
    model: nn.Module, values: Tensor, *, chosen: Sequence[Layer] | None = None, most: int = 8
) -> list[Maps]:
    """Run inputs (P, C, H, W) through a network and keep their maps, of `most` layers.

    They are what the layers gave: copies, before anything overwrites them in place.
    """
    wanted = parts(model, values.shape[1:], most=most) if chosen is None else list(chosen)
    if not wanted:
        return []
    with torch.no_grad():
        found = features.activations(model, values, [layer.name for layer in wanted])
    return [Maps(layer, found[layer.name].float().cpu().numpy()) for layer in wanted]
