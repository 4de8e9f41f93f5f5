"""Random boxes in pictures: crops that are resized, and parts that are covered.

Boxes are tensors (N,) of whole numbers: top, left, height, width.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .chance import ATTEMPTS, CUTOUT, ERASED, RESIZED, Chance
from .colours import mean_colours
from .series import exponential

# As torchvision's RandomResizedCrop, and as RandomErasing (Zhong et al. 2017,
# https://arxiv.org/abs/1708.04896): shares of the area, and ratios of the sides.
CROP_ASPECTS = (3 / 4, 4 / 3)
ERASED_AREAS = (0.02, 0.33)
ERASED_ASPECTS = (0.3, 3.3)


class Box(NamedTuple):
    """Part of each picture."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def mask(self, height: int, width: int, device: torch.device) -> Tensor:
        """Mark the pixels inside, on a device: bool (N, 1, H, W)."""
        top, left, down, right = (part.to(device).view(-1, 1) for part in self)
        y, x = torch.arange(height, device=device), torch.arange(width, device=device)
        rows = (y >= top) & (y < top + down)  # (N, H)
        columns = (x >= left) & (x < left + right)  # (N, W)
        return rows[:, None, :, None] & columns[:, None, None, :]


def crop_and_resize(images: Tensor, chance: Chance, *, least: float) -> Tensor:
    """Cut out a box of at least `least` of the area and resize it to the whole: bilinear."""
    box = crop_box(chance, *images.shape[2:], least=least)
    return resized(images, box)


def resized(images: Tensor, box: Box) -> Tensor:
    """Enlarge a box of each picture to the picture's size, as torchvision's `resized_crop`."""
    if images.device.type == "cpu":
        return _resized_one_by_one(images, box)
    height, width = images.shape[2:]
    y = _source(box.top, box.height, height).float().to(images.device)  # (N, H)
    x = _source(box.left, box.width, width).float().to(images.device)  # (N, W)
    # grid_sample counts -1 to 1 from border to border.
    y, x = (2 * y + 1) / height - 1, (2 * x + 1) / width - 1
    grid = torch.stack(
        [x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=3
    )
    sampled = F.grid_sample(
        images.float().contiguous(), grid, padding_mode="border", align_corners=False
    )
    return sampled.round().clamp(0, 255).to(torch.uint8)


def _resized_one_by_one(images: Tensor, box: Box) -> Tensor:
    """Do the same on a CPU, in bytes: a third of the time of floats, and off by a level at most.

    One by one, as their boxes differ, and what one picture takes stays in its cache.
    """
    found = torch.empty_like(images)
    given = images.numpy()
    for row, (top, left, down, across) in enumerate(
        zip(*(part.tolist() for part in box), strict=True)
    ):
        # Cut out by NumPy: torch would copy a part pixel by pixel.
        part = np.ascontiguousarray(given[row, :, top : top + down, left : left + across])
        found[row] = F.interpolate(torch.from_numpy(part)[None], images.shape[2:], mode="bilinear")[
            0
        ]
    return found


def _source(first: Tensor, extent: Tensor, side: int) -> Tensor:
    """Compute where each of `side` pixels comes from, (N, side); nothing from beyond the box."""
    first, extent = first.double()[:, None], extent.double()[:, None]
    places = (torch.arange(side, device=first.device) + 0.5) * (extent / side) - 0.5
    return first + torch.minimum(places.clamp(min=0), extent - 1)


def crop_box(chance: Chance, height: int, width: int, *, least: float) -> Box:
    """Draw what to cut out; where no attempt fits, the middle, as much as the aspects allow."""
    drawn = chance.draw(RESIZED)
    wide, high = _attempts(drawn, "resized", (least, 1.0), CROP_ASPECTS, height * width)
    fits = (high > 0) & (wide > 0) & (high <= height) & (wide <= width)
    middle = (
        min(height, round(width / CROP_ASPECTS[0])),
        min(width, round(height * CROP_ASPECTS[1])),
    )
    high, wide = _first(high, fits, middle[0]), _first(wide, fits, middle[1])
    top, left = _place(drawn["resized_y"], high, height), _place(drawn["resized_x"], wide, width)
    found = fits.any(1)
    top = torch.where(found, top, (height - middle[0]) // 2)
    left = torch.where(found, left, (width - middle[1]) // 2)
    return Box(top, left, high, wide)


def erase(images: Tensor, chance: Chance, *, share: float) -> Tensor:
    """Cover a box of a share of the pictures by their mean colour."""
    height, width = images.shape[2:]
    box = erased_box(chance, height, width, share=share)
    return _covered(images, box)


def erased_box(chance: Chance, height: int, width: int, *, share: float) -> Box:
    """Draw what to cover; where nothing is covered, or no attempt fits, the box is empty."""
    drawn = chance.draw(ERASED)
    # torchvision's ratio is of height to width here, and of width to height in a crop.
    high, wide = _attempts(drawn, "erase", ERASED_AREAS, ERASED_ASPECTS, height * width)
    fits = (high < height) & (wide < width) & (drawn["erase"] < share)[:, None]
    high, wide = _first(high, fits, 0), _first(wide, fits, 0)
    top, left = _place(drawn["erase_y"], high, height), _place(drawn["erase_x"], wide, width)
    return Box(top, left, high, wide)


def cut_out(images: Tensor, chance: Chance, *, side: float) -> Tensor:
    """Cover a square of `side`, a share of the picture's, by its mean colour.

    Its centre is any pixel, so that part of it may lie outside (DeVries & Taylor 2017,
    https://arxiv.org/abs/1708.04552).
    """
    height, width = images.shape[2:]
    box = cutout_box(chance, height, width, side=side)
    return _covered(images, box)


def cutout_box(chance: Chance, height: int, width: int, *, side: float) -> Box:
    """Draw the square; what lies outside the picture is part of it."""
    drawn = chance.draw(CUTOUT)
    high, wide = max(1, round(side * height)), max(1, round(side * width))
    top = (drawn["cutout_y"] * height).long() - high // 2
    left = (drawn["cutout_x"] * width).long() - wide // 2
    return Box(top, left, torch.full_like(top, high), torch.full_like(left, wide))


def _covered(images: Tensor, box: Box) -> Tensor:
    height, width = images.shape[2:]
    mask = box.mask(height, width, images.device)
    return torch.where(mask, mean_colours(images), images)


def _attempts(
    drawn: dict[str, Tensor],
    name: str,
    shares: tuple[float, float],
    aspects: tuple[float, float],
    area: int,
) -> tuple[Tensor, Tensor]:
    """Draw both sides of boxes, whole numbers (N, ATTEMPTS); the aspect is first to second.

    Areas have even odds in `shares` of the whole, logarithms of aspects in those of `aspects`.
    """
    areas = torch.stack([drawn[f"{name}_area_{i}"] for i in range(ATTEMPTS)], 1)
    turns = torch.stack([drawn[f"{name}_aspect_{i}"] for i in range(ATTEMPTS)], 1)
    areas = (shares[0] + areas * (shares[1] - shares[0])) * area
    low, high = map(math.log, aspects)
    ratios = exponential(low + turns * (high - low))
    return (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()


def _place(drawn: Tensor, extent: Tensor, side: int) -> Tensor:
    """Draw where a part of a side begins, every place as likely."""
    return (drawn * (side - extent + 1)).long()


def _first(sides: Tensor, fits: Tensor, otherwise: int) -> Tensor:
    """Take the side (N,) of the first attempt (N, ATTEMPTS) that fits."""
    none = torch.full_like(sides[:, :1], otherwise)
    # The last column stands for no attempt; argmax of equals is not the first on every device.
    order = torch.arange(ATTEMPTS, 0, -1, device=sides.device)
    best = (fits * order).amax(1, keepdim=True)
    place = ATTEMPTS - best  # ATTEMPTS where none fits
    return torch.cat([sides, none], 1).gather(1, place).squeeze(1)
