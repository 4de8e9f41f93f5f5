"""Pixels of any kind, in a Pillow picture or an array, to 8-bit grey or RGB: one rule for both."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.errors import UsageError

_COLOURS = ("RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "P")
GREYS = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_MODES = {2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels
# Tags of a TIFF (its specification, section 8).
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def eight_bit(image: Image.Image) -> Image.Image:
    """Return a picture of any mode as "L" or "RGB"; what is transparent becomes white.

    16-bit grey is divided by 257, so nothing is clipped. 32-bit integers and floats have no known
    white: their own smallest to largest value becomes 0 to 255, and a constant picture 0.
    """
    image.load()
    if image.mode.startswith("I;16"):
        return _of_sixteen(image)
    if image.mode in ("I", "F"):
        # PNG and PNM have at most 16 bits, though Pillow may hold them in 32.
        sixteen = image.mode == "I" and image.format in ("PNG", "PPM")
        values = np.asarray(image)
        grey = _scaled(values, 65535) if sixteen else _stretched(values)
        return Image.fromarray(255 - grey if _white_is_zero(image) else grey)
    if image.mode in ("RGBa", "La"):
        return _over_white(image.convert(image.mode.upper()))
    if image.has_transparency_data and _is_usable(image):
        return _over_white(image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA"))
    if image.mode in ("1", "L"):
        return image if image.mode == "L" else image.convert("L")
    if image.mode in _COLOURS:
        return image if image.mode == "RGB" else image.convert("RGB")
    raise ValueError(f"pixels of Pillow's mode {image.mode} are not supported")


def from_array(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an array as a file of its pixels would be read: (H, W) grey or (H, W, 3) RGB.

    It is (H, W) or (H, W, C) with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels;
    uint8, uint16, bool (white is true) or floats in [0, 1]. Whatever has no known white is refused.
    """
    shape = picture.shape
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (2,), (3,), (4,)) or 0 in shape:
        raise UsageError(
            f"an array {shape} is no picture: give (H, W) or (H, W, C) with 1 to 4 channels "
            "(tensors are (C, H, W))"
        )
    levels = _levels(picture[:, :, 0] if shape[2:] == (1,) else picture)
    if shape[2:] in ((2,), (4,)):
        levels = np.array(_over_white(Image.fromarray(levels, _MODES[shape[2]])))
    # torch takes no negative strides, and warns of arrays that may not be written to.
    return np.require(levels, requirements=("C", "W"))


def _levels(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    kind = values.dtype
    if kind == np.uint8:
        return np.ascontiguousarray(values, dtype=np.uint8)
    if kind == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if kind.newbyteorder("=") == np.uint16:
        # Of 16-bit colour, files give the upper byte; of grey, the nearest level.
        whole = values.astype(np.int32)
        return _scaled(whole, 65535) if values.ndim == 2 else (whole >> 8).astype(np.uint8)
    if kind.kind != "f":
        raise UsageError(
            f"an array of {kind} is no picture, as its white is not known: give uint8, uint16, "
            "bool or floats in [0, 1]"
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # nor is any number in a range with NaN
        raise UsageError(
            f"the values of a float picture lie in [0, 1], these in [{low:g}, {high:g}]"
        )
    return (values.astype(np.float64) * 255).round().astype(np.uint8)


def _of_sixteen(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    white = (1 << int(_tag(image, _BITS) or 16)) - 1  # a TIFF may have 12 bits
    grey = _scaled(values, white)
    if _white_is_zero(image):
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _tag(image: Image.Image, number: int) -> int | None:
    """Return the first value of a TIFF's tag; None where the picture is none, or has none."""
    value = getattr(image, "tag_v2", {}).get(number) if image.format == "TIFF" else None
    return value[0] if isinstance(value, tuple) else value


def _white_is_zero(image: Image.Image) -> bool:
    # Pillow turns those of 8 bits and fewer by itself.
    return _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO


def _scaled(values: NDArray[np.generic], white: int) -> NDArray[np.uint8]:
    """Return the nearest of 255 levels; `white` is odd, so no value lies half way between two."""
    whole: NDArray[np.int32] = np.clip(values, 0, white).astype(np.int32)
    return ((whole * 255 + white // 2) // white).astype(np.uint8)


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise ValueError("some pixels are not finite numbers")
    low, high = float(values.min()), float(values.max())
    grey = np.round((values.astype(np.float64) - low) * (255 / ((high - low) or 1.0)))
    return grey.clip(0, 255).astype(np.uint8)


def _over_white(image: Image.Image) -> Image.Image:
    plain = image.convert(image.mode.removesuffix("A"))
    white = Image.new(plain.mode, image.size, "white")
    white.paste(plain, mask=image.getchannel("A"))
    return white


def _is_usable(image: Image.Image) -> bool:
    # In a 16-bit colour PNG the transparent colour has 16 bits, the pixels that Pillow gives 8.
    colour = image.info.get("transparency")
    return image.mode != "RGB" or (isinstance(colour, tuple) and max(colour) <= 255)
