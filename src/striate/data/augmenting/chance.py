"""Random numbers by place: a pure function of the seed, the epoch, the example, and which draw.

No state: a number is a hash of all four, so an example draws the same in any batch, in any order,
and after a restart.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate.devices import seed_of

ATTEMPTS = 10  # at a box that fits into the picture, as torchvision makes
OPERATIONS = 8  # of a policy on a picture, at most

CHANGES = (
    *("crop_y", "crop_x", "flip", "brightness", "contrast", "saturation", "hue"),
    *("rotate", "translate_y", "translate_x", "zoom"),
)
RESIZED = ("resized_y", "resized_x", *(f"resized_area_{i}" for i in range(ATTEMPTS)))
RESIZED += tuple(f"resized_aspect_{i}" for i in range(ATTEMPTS))
CUTOUT = ("cutout_y", "cutout_x")
ERASED = ("erase", "erase_y", "erase_x", *(f"erase_area_{i}" for i in range(ATTEMPTS)))
ERASED += tuple(f"erase_aspect_{i}" for i in range(ATTEMPTS))
MIXED = ("mix", "mix_share", "mix_y", "mix_x")
POLICY = tuple(
    f"{what}_{number}" for number in range(OPERATIONS) for what in ("operation", "bin", "sign")
)
# A draw keeps its place in the row, so that one setting does not change what another draws, and a
# run of an earlier version goes on with the same: new draws come after the old ones.
ROW = (*CHANGES, *RESIZED, *CUTOUT, *ERASED, *MIXED, *POLICY)


class Chance(NamedTuple):
    """What random numbers are a function of, besides which draw it is."""

    seed: int
    epoch: int
    indices: Tensor  # (N,), the examples' places in the data set

    def draw(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Draw numbers in [0, 1), float64 (N,), under names that are neighbours in ROW."""
        first = ROW.index(names[0])
        assert ROW[first : first + len(names)] == tuple(names), "one stretch of the row"
        drawn = uniform(self.seed, self.epoch, self.indices, len(names), first=first)
        return dict(zip(names, drawn.unbind(1), strict=True))


def uniform(seed: int, epoch: int, indices: Tensor, count: int, *, first: int = 0) -> Tensor:
    """Draw `count` numbers in [0, 1) for each index (N,): float64 (N, count), on their device.

    A counter-based generator: splitmix64 (Steele et al. 2014,
    https://doi.org/10.1145/2714064.2660195) of the index, then of which draw it is, counted from
    `first`. MPS has no float64: there the numbers are on the CPU.
    """
    if indices.device.type in ("cpu", "mps"):
        # NumPy's calls cost a third of torch's for so few numbers.
        numbers = indices.cpu().numpy().astype(np.int64)
        places = np.arange(first + 1, first + count + 1)
        bits = torch.from_numpy(_hashed(numbers, places, seed_of(seed, epoch)))
    else:
        on_device = torch.arange(first + 1, first + count + 1, device=indices.device)
        bits = _hashed(indices.long(), on_device, seed_of(seed, epoch))
    return bits.double() * 2.0**-53


def _hashed(counters: Any, steps: Any, seed: int) -> Any:
    """Hash int64 (N,) and (count,) to 53 bits each, (N, count): both arrays or both tensors."""
    streams = _mixed(_mixed((counters[:, None] + 1) * _GOLDEN) ^ seed)
    return _shifted(_mixed(streams + steps * _GOLDEN), 11)


def _signed(number: int) -> int:
    """Return the signed whole number with the same 64 bits; int64 products wrap around alike."""
    return number - 2**64 if number >= 2**63 else number


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _mixed(state: Any) -> Any:
    state = (state ^ _shifted(state, 30)) * _FIRST
    state = (state ^ _shifted(state, 27)) * _SECOND
    return state ^ _shifted(state, 31)


def _shifted(state: Any, count: int) -> Any:
    """Shift 64 bits to the right and fill with zeros, where int64 would repeat the sign."""
    return (state >> count) & ((1 << (64 - count)) - 1)
