"""The kinds of examples, pictures, sounds and clips, and what the preprocessing of each has."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import images, sounds, videos
from striate.errors import DataError, UsageError

from .clips import Clips
from .preprocessing import Preprocessing
from .spectrograms import Spectrograms
from .whitening import Zca

MOST_MEGAPIXELS = 10_000
# Files by which the kind of a folder is told.
LOOKED_AT = 1000
_OPENED = 16  # of those that may be pictures or clips


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


class Kind(NamedTuple):
    """A kind of examples."""

    suffixes: frozenset[str]  # of its files, in lower case
    from_json: Callable[[dict[str, Any]], Preparation]


KINDS: dict[str, Kind] = {
    "pictures": Kind(images.SUFFIXES, Preprocessing.from_json),
    "sounds": Kind(sounds.SUFFIXES, Spectrograms.from_json),
    "clips": Kind(videos.SUFFIXES, Clips.from_json),
}


def is_of(kind: str, path: Any) -> bool:
    """Tell by its name whether a file should be a picture, a sound, or a clip."""
    return is_named(kind, path.name)


def is_named(kind: str, name: str) -> bool:
    """Tell by a file's name whether it should be a picture, a sound, or a clip."""
    stem, _, ending = name.rpartition(".")
    return f".{ending.lower()}" in KINDS[kind].suffixes and stem != "" and stem[0] != "."


def is_example(path: Any) -> bool:
    """Tell by its name whether a file may be of any kind."""
    return any(is_of(kind, path) for kind in KINDS)


def may_be_example(path: Any) -> bool:
    """Tell by its name whether a file is of some kind, readable or not."""
    return is_example(path) or path.suffix.lower() in images.KNOWN


def recognised(files: Iterable[Any]) -> str:
    """Tell what files are, by most of the first 1,000; GIFs that all move are clips.

    Pictures that cannot be read are pictures all the same, and the film that a phone writes beside
    a photograph, under its name, tells nothing.
    """
    seen = list(itertools.islice(files, LOOKED_AT))
    kinds = [_kind(path) for path in seen]
    photographs = {
        _stem(path) for path, kind in zip(seen, kinds, strict=True) if kind == "pictures"
    }
    count = Counter(
        kind
        for path, kind in zip(seen, kinds, strict=True)
        if path.suffix.lower() != ".mov" or _stem(path) not in photographs
    )
    kind = max(KINDS, key=lambda name: count[name])  # the first where none has more
    if kind == "pictures" and all(_may_move(path) for path in seen):
        chosen = seen[:: -(-len(seen) // _OPENED) or 1]
        return "clips" if chosen and all(map(videos.is_animated, chosen)) else kind
    return kind


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
    return KINDS[kind].from_json(fields)


def _kind(path: Any) -> str:
    known = next((kind for kind in KINDS if is_of(kind, path)), "")
    return known or ("pictures" if path.suffix.lower() in images.KNOWN else "")


def _stem(path: Any) -> str:
    return str(path).removesuffix(path.suffix)


def _may_move(path: Any) -> bool:
    return path.suffix.lower() in videos.ANIMATIONS
