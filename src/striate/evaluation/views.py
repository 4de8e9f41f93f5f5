"""Test-time augmentation: logits averaged over a picture, its mirror image, and small shifts.

Logits are averaged, not probabilities: so a temperature never changes an answer.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from striate.errors import UsageError, choose

SHIFT = 32  # a shift is one pixel in so many of the side


class Views(NamedTuple):
    """Ways to look at pixels (N, ..., H, W), each with its share; the first is as they are."""

    name: str
    number: int
    of: Callable[[Tensor], Iterator[tuple[Tensor, float]]]
    spoken: str  # as in "accuracy 94.1 % with flips"


def as_it_is(pixels: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield the pixels alone."""
    yield pixels, 1.0


def flipped(pixels: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield the pixels and their mirror image, with equal shares."""
    yield pixels, 1 / 2
    yield pixels.flip(-1), 1 / 2


def shifted(pixels: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield six views: in place, up and left, down and right, each also mirrored.

    Those in place have half of the average, as airbench's (Jordan 2024,
    https://arxiv.org/abs/2404.00498). What a shift uncovers is reflected.
    """
    for moved, share in ((0, 1 / 2), (1, 1 / 4), (-1, 1 / 4)):
        view = _moved(pixels, moved) if moved else pixels
        yield view, share / 2
        yield view.flip(-1), share / 2


def _moved(pixels: Tensor, direction: int) -> Tensor:
    for axis in (-2, -1):
        side = pixels.shape[axis]
        step = direction * min(max(1, side // SHIFT), side - 1)
        places = (torch.arange(side, device=pixels.device) + step).abs()
        places = (side - 1) - ((side - 1) - places).abs()  # mirrored at the last pixel's centre
        pixels = pixels.index_select(axis, places)
    return pixels


PLAIN = Views("none", 1, as_it_is, "one view")
VIEWS = {
    "none": PLAIN,
    "flip": Views("flip", 2, flipped, "flips"),
    "crops": Views("crops", 6, shifted, "flips and shifts"),
}


def choose_views(name: str, kind: str) -> Views:
    """Return views by name; UsageError for an unknown one, and for sounds, which have none."""
    views = VIEWS[choose("way for --tta", name, VIEWS)]
    if kind == "sounds" and views is not PLAIN:
        raise UsageError(
            f"--tta {name} mirrors pictures and clips: this network takes sounds, leave it out"
        )
    return views


def averaged(ask: Callable[[Tensor], Tensor], pixels: Tensor, views: Views) -> Tensor:
    """Ask about each view of pixels, and average: the logits as they are, and of the views.

    Returns (1, N, K) of pixels as they are alone, else (2, N, K).
    """
    found = [(ask(view), share) for view, share in views.of(pixels)]
    plain = found[0][0]
    if len(found) == 1:
        return plain[None]
    return torch.stack([plain, torch.stack([share * logits for logits, share in found]).sum(0)])
