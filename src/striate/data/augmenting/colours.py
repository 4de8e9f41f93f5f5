"""Changes of colour, batched, a factor a picture, as torchvision's `adjust_*`.

Pictures x are float (N, C, H, W) in [0, 1], factors (N, 1, 1, 1). All is elementwise, or a sum of
whole numbers, so values do not depend on the batch.
"""

import torch
from torch import Tensor

# ITU-R BT.601, in the four digits that torchvision takes.
_GREY = (0.2989, 0.587, 0.114)


def brightened(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor."""
    return (x * factor).clamp(0, 1)


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """Move away from each picture's mean grey, or towards it below 1."""
    return blended(x, _mean_grey(x), factor)


def saturated(x: Tensor, factor: Tensor) -> Tensor:
    """Move away from each pixel's grey, or towards it below 1; grey pictures stay."""
    return blended(x, _grey(x), factor) if x.shape[1] == 3 else x


def blended(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """Go from `other` (factor 0) to x (1) and beyond."""
    return (x * factor + other * (1 - factor)).clamp(0, 1)


def hue_turned(x: Tensor, turns: Tensor) -> Tensor:
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


def mean_colours(images: Tensor) -> Tensor:
    """Compute the mean (N, C, 1, 1) of each picture's channels, uint8 as the pictures."""
    count = images.shape[2] * images.shape[3]
    sums = images.sum((2, 3), keepdim=True, dtype=torch.int64)
    return ((2 * sums + count) // (2 * count)).to(torch.uint8)


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
