"""Random changes of training pictures, a pure function of the seed, the epoch and the picture.

No state: the number drawn for a picture is a hash of (seed, epoch, index, which draw), so a picture
changes in the same way, to the last bit, in any batch, in any order, and after a restart. For that
every operation on pixels is elementwise with one rounding, or a sum of whole numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.devices import seed_of
from striate.errors import UsageError

# A draw keeps its place in the row, so that one setting does not change what another draws.
DRAWS = (
    *("crop_y", "crop_x", "flip", "brightness", "contrast", "saturation", "hue"),
    *("rotate", "translate_y", "translate_x", "zoom"),
)
# ITU-R BT.601, in the four digits that torchvision takes.
_GREY = (0.2989, 0.587, 0.114)
_LIMITS = {"hue": 0.5, "rotate": 180.0, "translate": 1.0}


@dataclass(frozen=True)
class Augmentation:
    """Which random changes are made, and how large; every one is off by default."""

    crop_padding: int = 0  # pixels that the picture moves at most; reflected at its border
    flip: bool = False  # left and right, every other time
    brightness: float = 0.0  # strength s: a factor in [max(0, 1 - s), 1 + s]
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # share of the colour circle, at most half
    rotate: float = 0.0  # degrees, either way
    translate: float = 0.0  # share of the side, either way
    zoom: float = 0.0  # z: a factor in [1 - z, 1 + z]

    def __post_init__(self) -> None:
        if type(self.crop_padding) is not int or self.crop_padding < 0:
            raise UsageError(f"crop_padding is in whole pixels, not {self.crop_padding!r}")
        for name in ("brightness", "contrast", "saturation", "hue", "rotate", "translate"):
            value, limit = getattr(self, name), _LIMITS.get(name, math.inf)
            if not (0 <= value <= limit and math.isfinite(value)):
                upper = "finite" if limit == math.inf else f"at most {limit:g}"
                raise UsageError(f"{name} is 0 or more and {upper}, not {value!r}")
        if not 0 <= self.zoom < 1:
            raise UsageError(f"zoom is 0 or more and below 1, not {self.zoom!r}")


def augment(images: Tensor, indices: Tensor, how: Augmentation, *, seed: int, epoch: int) -> Tensor:
    """Change images (N, C, H, W), uint8, of the data set's rows `indices` (N,).

    With everything off the images themselves come back.
    """
    if how == Augmentation():
        return images
    drawn = uniform(seed, epoch, indices, len(DRAWS))
    draws = dict(zip(DRAWS, drawn.unbind(1), strict=True))
    if how.crop_padding or how.flip:
        images = _cropped(images, draws, how)
    if how.rotate or how.translate or how.zoom:
        images = _moved(images, draws, how)
    if how.brightness or how.contrast or (images.shape[1] == 3 and (how.saturation or how.hue)):
        images = _coloured(images, draws, how)
    return images


def uniform(seed: int, epoch: int, indices: Tensor, count: int) -> Tensor:
    """Draw `count` numbers in [0, 1) for each index (N,): float64 (N, count), on their device.

    A counter-based generator: splitmix64 (Steele et al. 2014,
    https://doi.org/10.1145/2714064.2660195) of the index, then of which draw it is. MPS has no
    float64: there the numbers are on the CPU.
    """
    if indices.device.type in ("cpu", "mps"):
        # NumPy's calls cost a third of torch's for so few numbers.
        numbers = indices.cpu().numpy().astype(np.int64)
        hashed = _hashed(numbers, np.arange(1, count + 1), seed_of(seed, epoch))
        bits = torch.from_numpy(hashed)
    else:
        places = torch.arange(1, count + 1, device=indices.device)
        bits = _hashed(indices.long(), places, seed_of(seed, epoch))
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


def _cropped(images: Tensor, draws: dict[str, Tensor], how: Augmentation) -> Tensor:
    """Move by up to `crop_padding` and flip, as one gather.

    With 128 x 3 x 32 x 32 pixels 0.5 ms on one core of a server, the gather alone 0.3; instead of
    it flat take took 0.8, indexing 2.4, NumPy's take_along_axis 1.4, slices of a padded batch 0.6.
    """
    count, channels, height, width = images.shape
    if how.crop_padding >= min(height, width):
        raise UsageError(
            f"crop_padding {how.crop_padding} is not below the side of {height} x {width} pictures"
        )
    place = draws["crop_y"].device
    rows = torch.arange(height, device=place) + _shift(draws["crop_y"], how)
    rows = _reflected(rows, height)  # (N, H)
    columns = torch.arange(width, device=place).expand(count, width)
    if how.flip:
        columns = torch.where(draws["flip"][:, None] < 0.5, columns.flip(1), columns)
    columns = _reflected(columns + _shift(draws["crop_x"], how), width)  # (N, W)
    chosen = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)  # (N, 1, H * W)
    chosen = chosen.to(images.device).expand(-1, channels, -1)
    return images.reshape(count, channels, -1).gather(2, chosen).view(images.shape)


def _shift(draw: Tensor, how: Augmentation) -> Tensor:
    return (draw * (2 * how.crop_padding + 1)).long()[:, None] - how.crop_padding


def _reflected(places: Tensor, side: int) -> Tensor:
    """Mirror places in (-side, 2 * side - 1) at the centres of the border's pixels."""
    return (side - 1) - ((side - 1) - places.abs()).abs()


def _moved(images: Tensor, draws: dict[str, Tensor], how: Augmentation) -> Tensor:
    """Rotate and zoom about the centre, then translate, with one bilinear sampling."""
    count, _, height, width = images.shape
    placed = _placed(draws, how).to(images.device)  # (4, N)
    cos, sin, right, down = (numbers.view(count, 1, 1) for numbers in placed)
    y = torch.arange(height, device=images.device).view(1, -1, 1) - (height - 1) / 2
    x = torch.arange(width, device=images.device).view(1, 1, -1) - (width - 1) / 2
    y, x = y - down * height, x - right * width  # (N, H, 1) and (N, 1, W)
    # Where each pixel comes from; grid_sample counts -1 to 1 from border to border.
    across = (x * cos + y * sin) * (2 / width)  # (N, H, W)
    along = (y * cos - x * sin) * (2 / height)
    grid = torch.stack([across, along], dim=3)
    # Reflected: black corners would tell a network how far a picture was turned.
    sampled: Tensor = F.grid_sample(
        images.float().contiguous(), grid, padding_mode="reflection", align_corners=False
    )
    return sampled.round().clamp(0, 255).to(torch.uint8)


def _placed(draws: dict[str, Tensor], how: Augmentation) -> Tensor:
    """Compute each picture's cosine and sine over its zoom, and its shifts as shares: (4, N)."""
    turn, grow, right, down = (
        2 * draws[name] - 1 for name in ("rotate", "zoom", "translate_x", "translate_y")
    )
    cos, sin = _turned(turn * math.radians(how.rotate))
    factor = 1 + grow * how.zoom
    placed = [cos / factor, sin / factor, right * how.translate, down * how.translate]
    return torch.stack(placed).float()


def _turned(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of angles in [-pi, pi], float64, alike on every device.

    Not torch.cos: its vector and its remainder code may differ in the last bit. The series of the
    half angle, at most pi / 2, is exact to 1e-15.
    """
    half = angles / 2
    square = half * half
    cos, sin = torch.zeros_like(half), torch.zeros_like(half)
    for power in range(22, -1, -2):
        sign = (-1) ** (power // 2)
        cos = cos * square + sign / math.factorial(power)
        sin = sin * square + sign / math.factorial(power + 1)
    sin = sin * half
    return 1 - 2 * sin * sin, 2 * sin * cos


def _coloured(images: Tensor, draws: dict[str, Tensor], how: Augmentation) -> Tensor:
    """Brightness, contrast, saturation, hue, in this order, as torchvision's `adjust_*`."""
    x = images.float() / 255

    def factor(name: str) -> Tensor:
        strength: float = getattr(how, name)
        low = max(0.0, 1 - strength)
        values = low + draws[name] * (1 + strength - low)
        return values.float().to(images.device).view(-1, 1, 1, 1)

    if how.brightness:
        x = (x * factor("brightness")).clamp(0, 1)
    if how.contrast:
        x = _blended(x, _mean_grey(x), factor("contrast"))
    if how.saturation and x.shape[1] == 3:
        x = _blended(x, _grey(x), factor("saturation"))
    if how.hue and x.shape[1] == 3:
        turns = (2 * draws["hue"] - 1) * how.hue
        x = _hue_turned(x, turns.float().to(images.device).view(-1, 1, 1))
    return (x * 255).round().to(torch.uint8)


def _blended(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (x * factor + other * (1 - factor)).clamp(0, 1)


def _grey(x: Tensor) -> Tensor:
    """Weigh colours (N, 3, H, W) -> (N, 1, H, W); grey stays as it is."""
    if x.shape[1] == 1:
        return x
    red, green, blue = (x[:, i : i + 1] * _GREY[i] for i in range(3))
    return red + green + blue


def _mean_grey(x: Tensor) -> Tensor:
    """Mean (N, 1, 1, 1) of each picture's grey, of sums of 2**-16 so that their order is free."""
    whole = (_grey(x) * 2**16).round()
    sums = whole.sum((1, 2, 3), keepdim=True, dtype=torch.int64)
    return sums.float() / (2**16 * x.shape[2] * x.shape[3])


def _hue_turned(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue by shares of the circle (N, 1, 1), in the hexagon of HSV (Smith 1978)."""
    red, green, blue = x.unbind(1)  # (N, H, W)
    value, low = x.amax(1), x.amin(1)
    chroma = value - low
    safe = torch.where(chroma == 0, 1.0, chroma)
    sixths = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    sixths = sixths + turns * 6
    planes = []
    for corner in (5, 3, 1):
        place = sixths + corner
        place = place - (place / 6).floor() * 6
        planes.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(planes, 1)
