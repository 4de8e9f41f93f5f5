"""The kinds of examples, pictures, sounds and clips, and what the preprocessing of each has."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import images
from striate.errors import DataError, UsageError

from .clips import Clips
from .preprocessing import Preprocessing
from .spectrograms import Spectrograms
from .whitening import Zca

MOST_MEGAPIXELS = 10_000


class Values(Protocol):
    """What turns pixels that are held in memory into a network's input."""

    def values(self, batch: Tensor, /) -> Tensor:
        """Return the network's input, float32, of a batch of pixels."""


class Preparation(Values, Protocol):
    """What turns an example into a network's input; fitted in training, saved with the network."""

    kind: ClassVar[str]
    dtype: ClassVar[torch.dtype]  # of what `pixels` gives

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the network's input: (C, H, W), of clips (C, T, H, W)."""

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of what `pixels` gives."""

    def __call__(self, example: Any, /) -> Tensor:
        """Return the network's input of one example."""

    def pixels(self, example: Any, /) -> Tensor:
        """Return an example as whole numbers of a fixed shape, which are held in memory."""

    def image(self, pixels: Tensor, /) -> NDArray[np.uint8]:
        """Draw an example's pixels for people: (H, W) or (H, W, 3)."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""

    def describe(self) -> str:
        """Say in one line what happens to an example."""


KINDS: dict[str, Callable[[dict[str, Any]], Preparation]] = {
    "pictures": Preprocessing.from_json,
    "sounds": Spectrograms.from_json,
    "clips": Clips.from_json,
}


def limited(preparation: Preparation, megapixels: float | None) -> Preparation:
    """Return the preprocessing with another limit on a picture's size; with None, as it is."""
    if megapixels is None:
        return preparation
    most = max_pixels(megapixels)
    if isinstance(preparation, Preprocessing):
        return dataclasses.replace(preparation, max_pixels=most)
    if isinstance(preparation, Clips):
        frame = dataclasses.replace(preparation.picture, max_pixels=most)
        return dataclasses.replace(preparation, picture=frame)
    raise UsageError(f"--max-megapixels is for pictures and clips, not {preparation.kind}")


def max_pixels(megapixels: float) -> int:
    """Return the limit in pixels; UsageError for one that can mean nothing."""
    if not 0 < megapixels <= MOST_MEGAPIXELS:  # NaN is in no range
        raise UsageError(
            f"--max-megapixels is above 0 and at most {MOST_MEGAPIXELS:,}, not {megapixels:g}"
        )
    return max(1, round(1e6 * megapixels))


def allowance(preparation: Preparation) -> float:
    """Return how many times the usual memory and time the decoding of its largest picture may take.

    The usual is enough for 50 million pixels.
    """
    picture = preparation.picture if isinstance(preparation, Clips) else preparation
    most = picture.max_pixels if isinstance(picture, Preprocessing) else 0
    return max(1.0, most / images.MAX_PIXELS)


def read_preparation(document: dict[str, Any], zca: Zca | None = None) -> Preparation:
    """Read a preprocessing of any kind; a document that names none is of pictures."""
    fields = dict(document)
    kind = fields.pop("kind", "pictures")
    if kind == "pictures":
        return Preprocessing.from_json(fields, zca)
    if kind not in KINDS:
        raise DataError(f"the preprocessing is of {kind}: a newer striate wrote it")
    return KINDS[kind](fields)
