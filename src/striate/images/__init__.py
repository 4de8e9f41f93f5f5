"""Files, and pictures in memory, to 8-bit grey or RGB: the one room that decodes a picture."""

from .decoding import (
    MAX_PIXELS,
    PictureError,
    Stored,
    TooLargeError,
    decode,
    header,
    opened,
    to_png,
    upright,
)
from .formats import FORMATS, KNOWN, SUFFIXES, is_picture
from .levels import GREYS, eight_bit, from_array

__all__ = [
    "FORMATS",
    "GREYS",
    "KNOWN",
    "MAX_PIXELS",
    "SUFFIXES",
    "PictureError",
    "Stored",
    "TooLargeError",
    "decode",
    "eight_bit",
    "from_array",
    "header",
    "is_picture",
    "opened",
    "to_png",
    "upright",
]
