"""Mixtures of training examples: mixup and CutMix, with targets that are shares of classes.

An example's partner is its neighbour in the batch: the one before it, of the first the last. The
order of an epoch is a function of seed and epoch, and its batches are cut from it, so a run that
is resumed has the same partners. By how much two are mixed is drawn for each example by its place.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.errors import UsageError

from .boxes import Box
from .chance import MIXED, Chance

WHOLE = 2**16  # shares are whole numbers of this: sums of products are exact
LEVELS = 4096  # shares that can be drawn


class Mix(Protocol):
    """Mixes the examples of a batch: pixels and labels (N,) -> pixels and targets.

    Targets are labels, or shares of classes (N, K). It is a function of seed, epoch, and places.
    """

    def __call__(
        self, pixels: Tensor, labels: Tensor, places: Tensor, /, *, seed: int, epoch: int
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Mixture:
    """How examples are mixed; both numbers are the a of a Beta(a, a) distribution, 0 for never.

    With both, each example is mixed in one of the two ways, as likely.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            if not 0 <= getattr(self, name) <= 100:
                raise UsageError(
                    f"{name} is 0 or more and at most 100, not {getattr(self, name)!r}"
                )


class Mixer:
    """Mixes the examples of batches, on their device."""

    def __init__(self, how: Mixture, classes: int, device: torch.device) -> None:
        self.how, self.classes = how, classes
        # Put on the device once: in each step the host would wait.
        self.tables = {
            name: torch.from_numpy(shares(getattr(how, name))).to(device)
            for name in ("mixup", "cutmix")
            if getattr(how, name)
        }

    def __call__(
        self, pixels: Tensor, labels: Tensor, places: Tensor, /, *, seed: int, epoch: int
    ) -> tuple[Tensor, Tensor]:
        """Mix pixels (N, ...) and labels (N,): pixels alike, and shares of classes (N, K)."""
        drawn = Chance(seed, epoch, places).draw(MIXED)
        drawn = {name: values.to(pixels.device) for name, values in _levels(drawn).items()}
        mixed, kept = self._mixed(pixels, drawn)
        own = kept[:, None].float() / WHOLE
        targets = one_hot(labels, self.classes)
        return mixed, own * targets + (1 - own) * targets.roll(1, 0)

    def _mixed(self, pixels: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Mix pixels; return also how much of each example is its own, in WHOLE (N,)."""
        if "cutmix" not in self.tables:
            return mixed_up(pixels, self.tables["mixup"][drawn["mix_share"]])
        cut = pasted(pixels, self.tables["cutmix"][drawn["mix_share"]], drawn)
        if "mixup" not in self.tables:
            return cut
        up = mixed_up(pixels, self.tables["mixup"][drawn["mix_share"]])
        first = drawn["mix"] < LEVELS // 2
        chosen = torch.where(first.view(-1, *[1] * (pixels.ndim - 1)), up[0], cut[0])
        return chosen, torch.where(first, up[1], cut[1])


def mix_of(how: Mixture, classes: int, device: torch.device) -> Mix:
    """Return what mixes the examples of batches, on a device."""
    return unmixed if how == Mixture() else Mixer(how, classes, device)


def unmixed(
    pixels: Tensor, labels: Tensor, places: Tensor, /, *, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Leave examples and labels as they are."""
    del places, seed, epoch
    return pixels, labels


def mixed_up(pixels: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Add the partner, by its share, to what is kept.

    Zhang et al. 2017, https://arxiv.org/abs/1710.09412.
    """
    whole = torch.int32 if pixels.dtype == torch.uint8 else torch.int64
    own = kept.view(-1, *[1] * (pixels.ndim - 1)).to(whole)
    sums = pixels.to(whole) * own + pixels.roll(1, 0).to(whole) * (WHOLE - own)
    return ((sums + WHOLE // 2) >> 16).to(pixels.dtype), kept


def pasted(pixels: Tensor, kept: Tensor, drawn: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Paste a box of the partner over pictures or clips.

    What is kept is what remains to be seen: a box at the border is cut off there. Yun et al. 2019,
    https://arxiv.org/abs/1905.04899.
    """
    height, width = pixels.shape[-2:]
    box = _box(1 - kept.double() / WHOLE, drawn, height, width)
    mask = box.mask(height, width, pixels.device)
    if pixels.ndim == 5:  # of clips the same in all frames
        mask = mask[:, :, None]
    area = height * width
    seen = (area - box.height * box.width) * WHOLE // area
    return torch.where(mask, pixels.roll(1, 0), pixels), seen


def _box(share: Tensor, drawn: dict[str, Tensor], height: int, width: int) -> Box:
    """Place a box of a share of the area about a drawn pixel, cut off at the border."""
    half = share.sqrt() / 2
    edges = []
    for name, side in (("mix_y", height), ("mix_x", width)):
        centre, reach = drawn[name] * side // LEVELS, (half * side).long()
        edges.append(((centre - reach).clamp(min=0), (centre + reach).clamp(max=side)))
    (top, bottom), (left, right) = edges
    return Box(top, left, bottom - top, right - left)


def _levels(drawn: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: (values * LEVELS).long() for name, values in drawn.items()}


def shares(alpha: float) -> NDArray[np.int64]:
    """Compute LEVELS quantiles of Beta(alpha, alpha), as likely each, as whole numbers of WHOLE."""
    from scipy.special import betaincinv  # slow to import

    middles = (np.arange(LEVELS) + 0.5) / LEVELS
    found: NDArray[np.int64] = np.rint(betaincinv(alpha, alpha, middles) * WHOLE).astype(np.int64)
    return found


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Write labels (N,) as shares of classes, float32 (N, K), without a wait for the device."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()
