"""What excites each map of a layer most: parts of pictures, cut out as far as the map sees.

After Zeiler and Fergus (2014, https://arxiv.org/abs/1311.2901), without their deconvolution.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import devices, features
from striate.data.batches import Batch
from striate.data.preparation.kinds import Preparation
from striate.geometry import Field

from .layers import Layer


class Patches(NamedTuple):
    """The strongest answers of each of a layer's C maps, one a picture, the strongest first."""

    layer: Layer
    answers: NDArray[np.float32]  # (C, top)
    rows: NDArray[np.int64]  # (C, top), places of the pictures in the split
    boxes: NDArray[np.int64]  # (C, top, 4): top, left, bottom, right, in pixels; 0 to the size


def patches(
    model: nn.Module,
    preprocessing: Preparation,
    batches: Iterable[Batch],
    layers: Sequence[Layer],
    *,
    top: int = 9,
) -> list[Patches]:
    """Look through pictures for what excites each map of these layers most.

    Where fewer than `top` pictures are given, there are as many columns.
    """
    device = next(model.parameters()).device
    best = {layer.name: _Best() for layer in layers}
    with torch.inference_mode():
        for batch in batches:
            values = devices.ordered(preprocessing.values(batch.pixels.to(device)))
            for name, maps in features.activations(model, values, list(best)).items():
                best[name].add(maps, batch.rows, top)
    size = preprocessing.shape[1:]
    return [
        Patches(layer, *best[layer.name].done(), _boxes(layer, best[layer.name].places, size))
        for layer in layers
    ]


def cut(picture: NDArray[np.uint8], box: Sequence[int]) -> NDArray[np.uint8]:
    """Cut a part out of a picture (H, W) or (H, W, 3)."""
    top, left, bottom, right = box
    return picture[top:bottom, left:right]


class _Best:
    """The largest numbers of each map so far, of which picture they are, and where."""

    def __init__(self) -> None:
        self.answers = torch.empty(0)
        self.rows = self.places = torch.empty(0, dtype=torch.int64)

    def add(self, maps: Tensor, rows: Tensor, top: int) -> None:
        """Look at maps (N, C, h, w) of the pictures at these rows."""
        answers = maps.amax((2, 3)).T.cpu()  # (C, N)
        own, new = rows.cpu().expand_as(answers), torch.full(answers.shape, -1)
        known = self.answers.shape[-1]
        if known:
            answers = torch.cat([self.answers, answers], 1)
            own = torch.cat([self.rows, own], 1)
            new = torch.cat([self.places, new], 1)
        # Stable, so that of equal answers the earlier picture stays, whatever the batches.
        order = answers.argsort(dim=1, descending=True, stable=True)[:, :top]
        self.answers, self.rows, places = (found.gather(1, order) for found in (answers, own, new))
        # Where on its map is sought for those that are kept: of all maps it takes ten times longer.
        channels, columns = (places < 0).nonzero(as_tuple=True)
        pictures = order[channels, columns] - known
        chosen = maps[pictures.to(maps.device), channels.to(maps.device)]  # (M, h, w)
        places[channels, columns] = chosen.flatten(1).argmax(1).cpu()
        self.places = places

    def done(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.answers.float().numpy(), self.rows.numpy()


def _boxes(layer: Layer, places: Tensor, size: Sequence[int]) -> NDArray[np.int64]:
    """Say which pixels elements see that lie at places of a flat map: (C, top, 4)."""
    across = layer.shape[-1]
    sides = [
        _span(field, where.numpy(), side)
        for field, where, side in zip(
            layer.fields, (places // across, places % across), size, strict=True
        )
    ]
    return np.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], axis=-1)


def _span(
    field: Field, where: NDArray[np.int64], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = np.vectorize(lambda place: int((field.start + int(place) * field.jump) // 1))(where)
    reach = int(-(-field.size // 1))
    low = first.clip(0, side)
    return low, (first + reach).clip(0, side)
