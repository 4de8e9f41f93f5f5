"""Feature maps: what a filter answers at every place of a picture, m = f(W * x + b)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from striate.errors import UsageError, choose

from .detectors import Filter

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class Sliding(NamedTuple):
    """How filters slide over a picture, and what becomes of their answers."""

    stride: int = 1
    padding: int = 0
    bias: float = 0.0
    f: str = "relu"


class Response(NamedTuple):
    """A filter and its map; for a drawing also where its whole pattern is."""

    filter: Filter
    values: Tensor  # (h, w)
    matches: Tensor | None  # (h, w), bool
    found: Tensor | None  # (H, W), uint8: 1 in the ink of a match, 2 in its middle, else 0

    @property
    def places(self) -> list[tuple[int, int]]:
        """The matches as (row, column) of the map; none where the picture is no drawing."""
        marks = [] if self.matches is None else self.matches.nonzero().tolist()
        return [(row, column) for row, column in marks]


def look(
    pixels: NDArray[np.uint8], filters: Sequence[Filter], how: Sliding | None = None
) -> list[Response]:
    """Slide filters over a picture, (H, W) or (H, W, 3); where it is a drawing, find matches.

    UsageError if a filter does not fit.
    """
    how = how or Sliding()
    _check(how)
    x = volume(pixels)
    drawing = is_drawing(pixels)
    responses = []
    for one in filters:
        weights = spanned(one, x)
        _check_fit(one, x, how)
        where = matches(x, weights, how) if drawing else None
        found = None if where is None else marks(where, weights, how, (x.shape[1], x.shape[2]))
        responses.append(Response(one, feature_map(x, weights, how), where, found))
    return responses


def volume(pixels: NDArray[np.uint8]) -> Tensor:
    """Return a picture as numbers (C, H, W): brightness in [0, 1], or a drawing's ink 1, paper 0.

    A drawing has two values; ink is the rarer one, the darker where both are equally many.
    """
    if is_drawing(pixels):
        low = pixels == pixels.min()
        ink = low if 2 * np.count_nonzero(low) <= low.size else ~low
        ink = ink if ink.ndim == 2 else ink[:, :, 0]
        return torch.from_numpy(ink.astype(np.float32))[None]
    layers = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return torch.from_numpy(layers.astype(np.float32) / 255).permute(2, 0, 1)


def is_drawing(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether a picture has exactly two values, the same ones in every channel."""
    if pixels.ndim == 3 and (pixels != pixels[:, :, :1]).any():
        return False
    return bool(np.count_nonzero(np.bincount(pixels.reshape(-1))) == 2)


def feature_map(x: Tensor, weights: Tensor, how: Sliding) -> Tensor:
    """Return f((W * x) + b) of a volume (C, H, W) and a filter (C, e, e) as deep: (h, w)."""
    answers = F.conv2d(x[None], weights[None], stride=how.stride, padding=how.padding)[0, 0]
    return ACTIVATIONS[how.f](answers + how.bias)


def matches(x: Tensor, weights: Tensor, how: Sliding) -> Tensor:
    """Tell where a drawing (1, H, W) has ink under every positive weight, paper under negative.

    There the answer is the greatest that a drawing can give. Weights of 0 do not care; beyond the
    edge is paper.
    """
    linear = how._replace(bias=0.0, f="linear")
    # Counted in whole numbers, which float32 has exactly.
    right = feature_map(x, weights.sign(), linear)
    return right == (weights > 0).sum()


def marks(where: Tensor, weights: Tensor, how: Sliding, size: tuple[int, int]) -> Tensor:
    """Mark on a drawing (H, W) what matches (h, w) cover, as Response.found says."""
    ink = (weights > 0).float()
    middle = torch.zeros_like(ink)
    middle[:, ink.shape[1] // 2, ink.shape[2] // 2] = 1
    marked = _stamped(where, ink, how, size).to(torch.uint8)
    marked[_stamped(where, middle, how, size)] = 2
    return marked


def _stamped(where: Tensor, stamp: Tensor, how: Sliding, size: tuple[int, int]) -> Tensor:
    """Put a stamp (1, e, e) at each match (h, w), and tell which cells (H, W) it inks."""
    # The transpose of the convolution that found them.
    inked = F.conv_transpose2d(where[None, None].float(), stamp[None], stride=how.stride)[0, 0]
    p = how.padding
    down, across = (side + p - reached for side, reached in zip(size, inked.shape, strict=True))
    return F.pad(inked, (-p, across, -p, down)) > 0


def spanned(one: Filter, x: Tensor) -> Tensor:
    """Return a filter as deep as the volume (C, H, W); a flat one is spread evenly over them."""
    weights = torch.from_numpy(one.weights).to(x.dtype)
    if weights.dim() == 2:
        weights = weights.expand(len(x), -1, -1) / len(x)
    if len(weights) != len(x):
        raise UsageError(
            f"filter {one.name} has {len(weights)} slices, but the picture has {len(x)}: "
            "a filter spans the whole depth of its input"
        )
    return weights


def _check_fit(one: Filter, x: Tensor, how: Sliding) -> None:
    sides, room = one.weights.shape[-2:], [side + 2 * how.padding for side in x.shape[1:]]
    if sides[0] > room[0] or sides[1] > room[1]:
        raise UsageError(
            f"filter {one.name} of {sides[1]}x{sides[0]} does not fit in {room[1]}x{room[0]}, "
            "the picture with its padding"
        )


def _check(how: Sliding) -> None:
    choose("f", how.f, ACTIVATIONS)
    if how.stride < 1 or how.padding < 0:
        raise UsageError("--stride is 1 or more and --padding 0 or more")
    if not np.isfinite(how.bias):
        raise UsageError(f"--bias is a number, not {how.bias}")
