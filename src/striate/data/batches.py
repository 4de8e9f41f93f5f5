"""Pictures of a split as uint8 pixels: held in memory where they fit, else decoded as needed."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices
from striate.errors import DataError
from striate.images import PictureError

from .kinds import Preparation
from .splits import Split
from .workers import Failed, ahead

# A quarter of most machines' memory; above it pictures are decoded anew in each epoch.
HELD_BYTES = 4 << 30

Poll = Callable[[], None]


class Unreadable(NamedTuple):
    """A picture that was left out."""

    file: str
    reason: str


class Batch(NamedTuple):
    """Some pictures of a split."""

    rows: Tensor  # (N,), their places in the split
    pixels: Tensor  # (N, C, H, W), uint8; of sounds (N, T), int16, of clips (N, C, T, H, W)
    labels: Tensor  # (N,)


class Pictures:
    """The pixels of a split: uint8 (C, H, W) a picture, the same each time they are asked for."""

    def __init__(
        self,
        split: Split,
        preprocessing: Preparation,
        *,
        held: Tensor | None = None,
        workers: int = 0,
    ) -> None:
        self.split = split
        self.labels = torch.from_numpy(split.labels)
        self.held = held
        self._preprocessing = preprocessing
        self._workers = workers

    def __len__(self) -> int:
        return len(self.split)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example's pixels: channels, height and width of a picture."""
        return self._preprocessing.held

    def image(self, row: int) -> NDArray[np.uint8]:
        """Draw what the network saw: uint8 (H, W) or (H, W, 3)."""
        batch = next(self.batches(torch.tensor([row]), 1))
        return self._preprocessing.image(batch.pixels[0])

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Give these pictures, in this order, `size` at a time."""
        chunks = rows.split(size)
        if self.held is not None:
            for chunk in chunks:
                yield Batch(chunk, self.held[chunk], self.labels[chunk])
            return
        for chunk, pixels in zip(chunks, self._decoded(chunks), strict=True):
            yield Batch(chunk, torch.stack(pixels), self.labels[chunk])

    def all(self, size: int = 512) -> Iterator[Batch]:
        """Give all pictures in the split's order."""
        return self.batches(torch.arange(len(self)), size)

    def _decoded(self, chunks: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        places = [chunk.tolist() for chunk in chunks]
        found = ahead(self._preprocessing.pixels, self.split.pictures, places, self._workers)
        for chunk, results in zip(places, found, strict=True):
            for row, result in zip(chunk, results, strict=True):
                if isinstance(result, Failed):
                    raise PictureError(self.split.names[row], result.reason)
            yield results


def read(
    split: Split,
    preprocessing: Preparation,
    *,
    workers: int | None = None,
    strict: bool = False,
    poll: Poll = lambda: None,
    held_bytes: int | None = None,
) -> tuple[Pictures, list[Unreadable]]:
    """Decode every picture of a split once: keep the pixels if they fit, list what is unreadable.

    With `strict` the first unreadable picture is a PictureError. `poll` is called between batches.
    """
    count = devices.processors() if workers is None else workers
    shape = preprocessing.held
    needed = len(split) * int(np.prod(shape)) * preprocessing.dtype.itemsize
    hold = needed <= (HELD_BYTES if held_bytes is None else held_bytes)
    held = torch.empty((len(split), *shape), dtype=preprocessing.dtype) if hold else None
    good: list[int] = []
    unreadable: list[Unreadable] = []

    rows = range(len(split))
    chunks = [rows[start : start + 256] for start in rows[::256]]
    found = ahead(preprocessing.pixels, split.pictures, chunks, count)
    for chunk, results in zip(chunks, found, strict=True):
        poll()
        for row, result in zip(chunk, results, strict=True):
            if isinstance(result, Failed):
                if strict:
                    raise PictureError(split.names[row], result.reason)
                unreadable.append(Unreadable(split.names[row], result.reason))
                continue
            if held is not None:
                held[len(good)] = result
            good.append(row)
    kept = _kept(split, good, unreadable)
    pixels = held[: len(good)] if held is not None else None
    return Pictures(kept, preprocessing, held=pixels, workers=count), unreadable


def _kept(split: Split, good: list[int], unreadable: list[Unreadable]) -> Split:
    if good:
        return split.take(np.array(good)) if unreadable else split
    if unreadable:
        raise DataError(f"no picture can be read; the first: {': '.join(unreadable[0])}")
    raise DataError("there are no pictures")


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """Give the order of an epoch: a permutation (N,) that follows from seed and epoch alone."""
    generator = torch.Generator().manual_seed(devices.seed_of(seed, epoch))
    return torch.randperm(count, generator=generator)
