"""TrivialAugment and RandAugment: which operation a picture gets, and how much of it.

Spaces and magnitudes are torchvision's: TrivialAugment "wide" (Mueller & Hutter 2021,
https://arxiv.org/abs/2103.10158), one operation of any magnitude, and RandAugment (Cubuk et al.
2019, https://arxiv.org/abs/1909.13719), several of one magnitude.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .chance import POLICY, Chance
from .operations import OPERATIONS, Chosen, changed

BINS = 31  # magnitudes, from none to the space's limits
PER = 3  # draws an operation


class Space(NamedTuple):
    """The largest magnitude of each operation."""

    shear: float
    shift: tuple[float, float]  # pixels across and along
    degrees: float
    factor: float  # of brightness, colour, contrast and sharpness, added to 1
    bits: float  # that posterize takes off


def space(policy: str, height: int, width: int) -> Space:
    """Return a policy's space for pictures of this size."""
    if policy == "trivial-wide":
        return Space(0.99, (32.0, 32.0), 135.0, 0.99, 6.0)
    return Space(0.3, (150 / 331 * width, 150 / 331 * height), 30.0, 0.9, 4.0)


def trivial_augment(images: Tensor, chance: Chance) -> Tensor:
    """Change each picture by one operation: all operations and all magnitudes are as likely."""
    drawn = chance.draw(POLICY[:PER])
    own = space("trivial-wide", *images.shape[2:])
    return changed(images, chosen(drawn, 0, own, (drawn["bin_0"] * BINS).long()))


def rand_augment(images: Tensor, chance: Chance, *, operations: int, magnitude: int) -> Tensor:
    """Change each picture by several operations, one after the other, of one magnitude."""
    own = space("rand-augment", *images.shape[2:])
    drawn = chance.draw(POLICY[: PER * operations])
    for number in range(operations):
        bins = torch.full_like(drawn["bin_0"], magnitude).long()
        images = changed(images, chosen(drawn, number, own, bins))
    return images


def chosen(drawn: dict[str, Tensor], number: int, of: Space, bins: Tensor) -> Chosen:
    """Read an operation a picture out of its draws, with a magnitude in [0, BINS)."""
    operation = (drawn[f"operation_{number}"] * len(OPERATIONS)).long()
    sign = torch.where(drawn[f"sign_{number}"] < 0.5, -1.0, 1.0).double()
    amount = torch.zeros_like(sign)
    for name, limit in _limits(of).items():
        own = operation == OPERATIONS.index(name)
        amount = torch.where(own, sign * (limit * bins / (BINS - 1)), amount)
    share = bins / (BINS - 1)
    posterize, solarize = (operation == OPERATIONS.index(n) for n in ("posterize", "solarize"))
    amount = torch.where(posterize, (8 - of.bits * share).round(), amount)
    return Chosen(operation, torch.where(solarize, 1 - share, amount))


def _limits(of: Space) -> dict[str, float]:
    """Return the largest amount of each operation that has a sign; of a rotation in radians."""
    across, along = of.shift
    return {
        "shear_x": of.shear,
        "shear_y": of.shear,
        "translate_x": across,
        "translate_y": along,
        "rotate": math.radians(of.degrees),
        **dict.fromkeys(("brightness", "colour", "contrast", "sharpness"), of.factor),
    }
