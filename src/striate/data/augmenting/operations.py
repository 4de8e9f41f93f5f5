"""The operations of TrivialAugment and RandAugment, batched: each picture has its own.

As torchvision's on uint8 pictures, within rounding.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colours
from .series import turned

# Which operation a picture has is its place here.
OPERATIONS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("brightness", "colour", "contrast", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)
Change = Callable[[Tensor, Tensor], Tensor]  # of pictures, by a number or a matrix each
MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


class Chosen(NamedTuple):
    """An operation a picture: its number in OPERATIONS, and by how much; both (N,)."""

    operation: Tensor
    amount: Tensor  # float64: of a rotation radians, of a shift pixels, of posterize bits

    def among(self, names: Sequence[str]) -> Tensor:
        """Tell which pictures have one of these operations: bool (N,)."""
        found = torch.zeros_like(self.operation, dtype=torch.bool)
        for name in names:
            found = found | (self.operation == OPERATIONS.index(name))
        return found

    def of(self, name: str, otherwise: float = 0.0) -> Tensor:
        """Return the amounts of one operation, and another number for the other pictures."""
        return torch.where(self.operation == OPERATIONS.index(name), self.amount, otherwise)


def changed(images: Tensor, chosen: Chosen) -> Tensor:
    """Change pictures (N, C, H, W), uint8, each by its operation."""
    matrices = _matrices(chosen, *images.shape[2:])
    images = _only(chosen.among(MOVES), _moved, images, matrices)
    amounts = chosen.amount.float()
    for name, change in _CHANGES.items():
        images = _only(chosen.among([name]), change, images, amounts)
    return images


def _only(chosen: Tensor, change: Change, images: Tensor, numbers: Tensor) -> Tensor:
    """Change the chosen pictures alone; `numbers` are (N, ...), a row a picture.

    On an accelerator all are changed, and the chosen ones kept: to count them would be to wait.
    """
    if images.device.type != "cpu":
        kept = chosen.to(images.device).view(-1, 1, 1, 1)
        return torch.where(kept, change(images, numbers.to(images.device)), images)
    rows = chosen.nonzero().squeeze(1)
    if not len(rows):
        return images
    return images.index_copy(0, rows, change(images[rows], numbers[rows]))


def _matrices(chosen: Chosen, height: int, width: int) -> Tensor:
    """Compute where pixels come from, counted from the centre: float32 (N, 6), rows x and y.

    Shears keep the upper left corner, as torchvision's do here.
    """
    cos, sin = turned(chosen.of("rotate"))
    shear_x, shear_y = chosen.of("shear_x"), chosen.of("shear_y")
    across = -chosen.of("translate_x").trunc() + shear_x * (height / 2)
    along = -chosen.of("translate_y").trunc() + shear_y * (width / 2)
    return torch.stack([cos, shear_x - sin, across, shear_y + sin, cos, along], 1).float()


def _moved(images: Tensor, matrix: Tensor) -> Tensor:
    """Take each pixel from where its matrix says: the nearest one, black from outside."""
    count, channels, height, width = images.shape
    a, b, c, d, e, f = (part.view(-1, 1, 1) for part in matrix.unbind(1))
    y = torch.arange(height, device=images.device).view(1, -1, 1) - (height - 1) / 2
    x = torch.arange(width, device=images.device).view(1, 1, -1) - (width - 1) / 2
    across = (a * x + b * y + c + (width - 1) / 2).round().long()  # (N, H, W)
    along = (d * x + e * y + f + (height - 1) / 2).round().long()
    inside = (across >= 0) & (across < width) & (along >= 0) & (along < height)
    places = torch.where(inside, along * width + across, 0).view(count, 1, -1)
    taken = images.reshape(count, channels, -1).gather(2, places.expand(-1, channels, -1))
    return torch.where(inside[:, None], taken.view(images.shape), 0)


def _scaled(change: Change) -> Change:
    """Make an operation on uint8 pictures of one that takes x in [0, 1] and a factor."""

    def scaled(images: Tensor, amounts: Tensor) -> Tensor:
        found = change(images.float() / 255, (1 + amounts).view(-1, 1, 1, 1))
        return (found * 255).round().to(torch.uint8)

    return scaled


def _sharpened(images: Tensor, amounts: Tensor) -> Tensor:
    """Move away from the blurred picture, or towards it below 0; the border stays."""
    height, width = images.shape[2:]
    if height <= 2 or width <= 2:
        return images
    x = images.float()
    rows = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inside = x[:, :, 1:-1, 1:-1]
    blurred = ((box + 4 * inside) / 13).round()
    sharpened = inside + (inside - blurred) * amounts.view(-1, 1, 1, 1)
    found = images.clone()
    found[:, :, 1:-1, 1:-1] = sharpened.round().clamp(0, 255).to(torch.uint8)
    return found


def _posterized(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each level."""
    step = torch.bitwise_left_shift(torch.ones_like(bits, dtype=torch.int32), 8 - bits.int())
    mask = (256 - step).to(torch.uint8).view(-1, 1, 1, 1)
    return images & mask


def _solarized(images: Tensor, bounds: Tensor) -> Tensor:
    """Invert the levels from a bound on, a share of the greatest."""
    return torch.where(images >= (255 * bounds).view(-1, 1, 1, 1), 255 - images, images)


def _stretched(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel from its least and greatest level to 0 and 255."""
    low, high = (edge(images, (2, 3), keepdim=True).int() for edge in (torch.amin, torch.amax))
    found = (images.int() - low) * 255 // (high - low).clamp(min=1)
    return torch.where(high > low, found.to(torch.uint8), images)


def _equalised(images: Tensor, _: Tensor) -> Tensor:
    """Make all levels of each channel about as frequent.

    Pillow's rule, in whole numbers; a channel of almost one level stays as it is.
    """
    count, channels = images.shape[:2]
    pixels = images.reshape(count, channels, -1).long()
    own = torch.arange(count * channels, device=images.device).view(count, channels, 1) * 256
    # In one dimension: so each device has an algorithm that gives the same bits each time.
    places = (pixels + own).flatten()
    counts = torch.zeros(count * channels * 256, dtype=torch.int64, device=images.device)
    counts = counts.scatter_add(0, places, torch.ones_like(places)).view(count, channels, 256)
    greatest = counts.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - greatest) // 255
    before = F.pad(counts.cumsum(2)[..., :-1], (1, 0))
    table = ((before + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.to(torch.uint8).gather(2, pixels).view(images.shape)


_CHANGES: dict[str, Change] = {
    "brightness": _scaled(colours.brightened),
    "colour": _scaled(colours.saturated),
    "contrast": _scaled(colours.contrasted),
    "sharpness": _sharpened,
    "posterize": _posterized,
    "solarize": _solarized,
    "autocontrast": _stretched,
    "equalize": _equalised,
}
