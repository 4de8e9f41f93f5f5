"""The first layer's filters as pictures: ordered by what they look for, dead and equal ones named.

What a filter looks for is read from its power spectrum: a direction and a frequency.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from striate import features
from striate.errors import UsageError
from striate.features import path_of

from .layers import sample

Values = NDArray[np.floating]

DEAD = 0.01  # of the median filter's length
ALIKE = 0.98  # cosine from which on two filters are copies of each other
COLOURED = 0.4  # share of a filter's energy that is not grey
DIRECTIONS = 8  # into which grey filters are sorted, before their frequency
_SPECTRUM = 64  # places along each axis of a spectrum


class Alike(NamedTuple):
    """Two filters that answer to the same."""

    first: int
    second: int
    cosine: float


class Filters(NamedTuple):
    """The first layer's filters, in the network's order, and in which order to look at them."""

    layer: str
    weights: Values  # (F, C, h, w), float32
    order: NDArray[np.int64]  # (F,): grey ones by direction and frequency, coloured by hue, dead
    kinds: tuple[str, ...]  # of each: grey, coloured or dead
    lengths: Values  # (F,)
    directions: Values  # (F,), degrees in [0, 180): 0 changes from left to right, 90 downwards
    frequencies: Values  # (F,), cycles a pixel
    hues: Values  # (F,), degrees in [0, 360), where it is coloured
    alike: tuple[Alike, ...]  # by cosine

    @property
    def dead(self) -> list[int]:
        """The filters that have next to no weights."""
        return [number for number, kind in enumerate(self.kinds) if kind == "dead"]


def filters(model: nn.Module, shape: Sequence[int]) -> Filters:
    """Find the filters of a network's first layer, for inputs of a shape (C, H, W).

    Of a fully connected layer each unit is a filter of the whole picture. UsageError where the
    first layer cannot be drawn: of clips, or of other than one or three channels.
    """
    layer, weights = _first(model, shape)
    if weights.ndim != 4 or weights.shape[1] not in (1, 3):
        raise UsageError(
            f"the filters of {layer}, {'x'.join(map(str, weights.shape[1:]))}, are no pictures of "
            "one or three channels"
        )
    return ordered(layer, weights)


def ordered(layer: str, weights: Values) -> Filters:
    """Order filters (F, C, h, w), and find the dead and the equal ones."""
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    lengths = np.linalg.norm(flat, axis=1)
    is_dead = lengths <= DEAD * np.median(lengths)
    directions, frequencies = _spectral(weights.mean(1, dtype=np.float64))
    hues, colour = _coloured(weights.astype(np.float64))
    coloured = colour > COLOURED
    kinds = np.where(is_dead, "dead", np.where(coloured, "coloured", "grey"))
    width = 180 / DIRECTIONS
    sector = np.floor((directions + width / 2) / width) % DIRECTIONS
    # The last key counts first.
    order = np.lexsort(
        (
            np.where(coloured, 0, frequencies),
            np.where(coloured, hues, sector),
            coloured & ~is_dead,
            is_dead,
        )
    )
    return Filters(
        layer,
        weights.astype(np.float32),
        order,
        tuple(kinds.tolist()),
        lengths,
        directions,
        frequencies,
        hues,
        _alike(flat, lengths, is_dead),
    )


def filter_pictures(weights: Values, *, shared: bool = False) -> NDArray[np.uint8]:
    """Draw filters (F, C, h, w) as pictures (F, h, w), or (F, h, w, 3): zero is 128, mid-grey.

    Each has a scale of its own, so that its largest weight is black or white; or all `shared` one.
    """
    sizes = np.abs(weights).max(axis=None if shared else (1, 2, 3), keepdims=True)
    drawn = np.round(128 + 127 * weights / np.where(sizes == 0, 1.0, sizes)).astype(np.uint8)
    return drawn[:, 0] if drawn.shape[1] == 1 else np.moveaxis(drawn, 1, 3)


def _first(model: nn.Module, shape: Sequence[int]) -> tuple[str, Values]:
    """Find the first convolution or fully connected layer that runs."""
    for made in features.listed(model, sample(model, shape)):
        layer = model.get_submodule(path_of(made.name))
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            weights = layer.weight.detach().float().cpu().numpy()
            if isinstance(layer, nn.Linear) and weights.shape[1] == np.prod(shape):
                weights = weights.reshape(len(weights), *shape)
            return path_of(made.name), weights
    raise UsageError("this network has no layer with filters")


def _spectral(grey: Values) -> tuple[Values, Values]:
    """Measure direction (degrees) and frequency (cycles a pixel) of filters (F, h, w).

    A direction is the axis along which the power spectrum is longest.
    """
    side = max(_SPECTRUM, *grey.shape[1:])
    power = np.abs(np.fft.fft2(grey, (side, side))) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    total = power.sum((1, 2))
    total = np.where(total == 0, 1.0, total)
    twice = np.arctan2(
        2 * (power * down * across).sum((1, 2)), (power * (across**2 - down**2)).sum((1, 2))
    )
    frequencies = (power * np.hypot(down, across)).sum((1, 2)) / total
    return np.degrees(twice) / 2 % 180, frequencies


def _coloured(weights: Values) -> tuple[Values, Values]:
    """Measure hue (degrees) and the share of energy that is not grey, of (F, C, h, w)."""
    mean = weights.mean(1, keepdims=True)
    energy = (weights**2).sum((1, 2, 3))
    share = ((weights - mean) ** 2).sum((1, 2, 3)) / np.where(energy == 0, 1.0, energy)
    if weights.shape[1] != 3:
        return np.zeros(len(weights)), share
    # Of the place where the colour is strongest: opposite colours of one axis differ in sign.
    flat = (weights - mean).reshape(len(weights), 3, -1)
    place = (flat**2).sum(1).argmax(1)
    red, green, blue = np.take_along_axis(flat, place[:, None, None], 2)[:, :, 0].T
    return np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360, share


def _alike(flat: Values, lengths: Values, is_dead: NDArray[np.bool_]) -> tuple[Alike, ...]:
    unit = np.where(is_dead[:, None], 0.0, flat / np.where(is_dead, 1.0, lengths)[:, None])
    cosines = np.triu(unit @ unit.T, 1)
    pairs = [Alike(int(a), int(b), float(cosines[a, b])) for a, b in np.argwhere(cosines > ALIKE)]
    return tuple(sorted(pairs, key=lambda pair: -pair.cosine))
