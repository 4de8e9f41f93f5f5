"""Pictures to tensors and back: sizes of all levels, the bleed around a picture, masks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from striate.errors import UsageError
from striate.painting.settings import Settings

from . import colour
from .scene import Region, Scene

# Coarse to fine in steps of the square root of two, from this long side in pixels.
COARSEST = 128
# Pixels around the picture that are painted as well, and cut off: the network repeats its border,
# so that what is there counts several times, and is painted worse for it.
BLEED = 8


class Style(NamedTuple):
    """A picture to paint like, its share among those of its region, and a mask of that region."""

    picture: Image.Image
    share: float = 1.0
    mask: Image.Image | None = None  # white where it is for; None: wherever no mask is


def levels(size: int) -> list[int]:
    """List the long sides from coarse to fine, the last of them `size`.

    >>> levels(512)
    [128, 181, 256, 362, 512]
    >>> levels(100)
    [100]
    """
    sides = [float(size)]
    while sides[-1] / 2**0.5 >= COARSEST - 1:
        sides.append(sides[-1] / 2**0.5)
    return [round(side) for side in reversed(sides)]


def scene(content: Image.Image, styles: Sequence[Style], side: int, settings: Settings) -> Scene:
    """Build the scene of one level: content with its bleed, and styles, in the colours chosen."""
    own = photo = pixels(fitted(content, side))
    pictures = [pixels(_style(style.picture, side, settings.style_scale)) for style in styles]
    if settings.colour == "linear":
        pictures = [colour.match(picture, own) for picture in pictures]
    elif settings.colour == "keep":
        pictures = [colour.match_luminance(picture, own) for picture in pictures]
        own = colour.luminance(own)
    found = regions(styles, *own.shape[2:])
    masked = [one if one.mask is None else one._replace(mask=bled(one.mask)) for one in found]
    return Scene(bled(own), pictures, masked, photo)


def bled(picture: Tensor) -> Tensor:
    """Return a picture (..., H, W) with BLEED pixels around it, in which it is mirrored."""
    for axis in (-2, -1):
        length = picture.shape[axis]
        places = torch.arange(-BLEED, length + BLEED, device=picture.device) % (2 * length)
        picture = picture.index_select(axis, torch.minimum(places, 2 * length - 1 - places))
    return picture


def trimmed(picture: Tensor) -> Tensor:
    """Return a picture (..., H, W) without its bleed: a view."""
    return picture[..., BLEED:-BLEED, BLEED:-BLEED]


def regions(styles: Sequence[Style], height: int, width: int) -> list[Region]:
    """Return a region for each mask, and one for the rest; masks add up to 1 at each pixel."""
    masks: list[Image.Image | None] = []
    members: list[dict[int, float]] = []
    for number, style in enumerate(styles):
        if style.mask not in masks:
            masks.append(style.mask)
            members.append({})
        members[masks.index(style.mask)][number] = style.share
    shares = [{n: s / sum(one.values()) for n, s in one.items()} for one in members]
    if masks == [None]:
        return [Region(None, shares[0])]
    drawn = [None if mask is None else _mask(mask, height, width) for mask in masks]
    covered = torch.stack([mask for mask in drawn if mask is not None]).sum(0)
    if None not in masks and float(covered.max()) <= 0:
        raise UsageError("the masks are black: white is where a style goes")
    rest = (1 - covered).clamp_min(0)
    scale = covered.clamp_min(1)
    return [
        Region(rest if mask is None else mask / scale, share)
        for mask, share in zip(drawn, shares, strict=True)
    ]


def fitted(image: Image.Image, side: float) -> Image.Image:
    """Resize a picture to a long side in pixels."""
    size = fitted_size(image, side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def fitted_size(image: Image.Image, side: float) -> tuple[int, int]:
    """Return the width and height of a picture resized to a long side in pixels."""
    factor = side / max(image.size)
    return max(1, round(image.width * factor)), max(1, round(image.height * factor))


def pixels(image: Image.Image) -> Tensor:
    """Convert a picture to (1, 3, H, W) in [0, 1]."""
    array = np.array(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(array).permute(2, 0, 1)[None].div_(255).contiguous()


def image(picture: Tensor) -> Image.Image:
    """Convert pixels (3, H, W) in [0, 1] to a picture of 8 bits."""
    array = picture.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(array.contiguous().cpu().numpy())


def _style(picture: Image.Image, side: int, scale: float) -> Image.Image:
    # Enlarging a painting beyond its own pixels would teach its blur.
    return fitted(picture, min(side * scale, max(picture.size)))


def _mask(mask: Image.Image, height: int, width: int) -> Tensor:
    resized = mask.convert("L").resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.array(resized, dtype=np.float32)).div_(255)
