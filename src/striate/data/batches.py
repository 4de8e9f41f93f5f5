"""Pictures of a split as uint8 pixels: in memory where they fit, else in a file or decoded anew."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices
from striate.decoding import CHUNK, Decoders, Failed, each
from striate.errors import DataError
from striate.images import PictureError
from striate.stopping import Poll, Reading, unheard

from . import pixelfile
from .preparation.kinds import Preparation, allowance
from .preparation.preprocessing import Moments
from .splits import Split, is_stored

# A quarter of most machines' memory.
HELD_BYTES = 4 << 30
# Of an accelerator's free memory, for the pixels of one split.
DEVICE_SHARE = 1 / 4

Look = Callable[[Tensor], None]


class Unreadable(NamedTuple):
    """A picture that was left out."""

    file: str
    reason: str

    def __str__(self) -> str:
        """Name the file and the reason, as messages do."""
        return f"{self.file}: {self.reason}"


class Batch(NamedTuple):
    """Some pictures of a split; all three on the device that holds the split's pixels."""

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
        pixels: Tensor | None = None,
        workers: int = 0,
        moments: Moments | None = None,
    ) -> None:
        self.split = split
        self.labels = torch.from_numpy(split.labels)
        self.pixels = pixels
        self.moments = moments  # of all pixels, where they were looked at as they were read
        self._preprocessing = preprocessing
        self._decoders = Decoders(
            functools.partial(_pixels, split, preprocessing),  # not a method: that were a cycle
            workers,
            guarded=is_stored(split.pictures),
            allowance=allowance(preprocessing),
        )

    def on(self, device: torch.device) -> "Pictures":
        """Return the same pictures with their pixels on a device, where a share of it holds them.

        Batches are then cut out there, and nothing is copied for each step.
        """
        if self.pixels is None or device.type == "cpu":
            return self
        if self.pixels.nbytes > DEVICE_SHARE * devices.free_bytes(device):
            return self
        pixels = self.pixels.to(device)
        return Pictures(self.split, self._preprocessing, pixels=pixels)

    def holding(self, pixels: Tensor) -> "Pictures":
        """Return the same pictures with other pixels, a row each: what a network makes of them."""
        return Pictures(self.split, self._preprocessing, pixels=pixels)

    def close(self) -> None:
        """End the decoders; batches that are not held in memory open them again."""
        self._decoders.close()

    def __len__(self) -> int:
        return len(self.split)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example's pixels: channels, height and width of a picture."""
        return self._preprocessing.pixel_shape

    def image(self, row: int) -> NDArray[np.uint8]:
        """Draw what the network saw: uint8 (H, W) or (H, W, 3)."""
        batch = next(self.batches(torch.tensor([row]), 1))
        return self._preprocessing.image(batch.pixels[0].cpu())

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Yield these pictures, in this order, `size` at a time."""
        if self.pixels is not None:
            labels = self.labels.to(self.pixels.device)
            for chunk in rows.to(self.pixels.device).split(size):
                yield Batch(chunk, self.pixels[chunk], labels[chunk])
            return
        chunks = rows.split(size)
        for chunk, pixels in zip(chunks, self._decoded(chunks), strict=True):
            yield Batch(chunk, torch.stack(pixels), self.labels[chunk])

    def all(self, size: int = 512) -> Iterator[Batch]:
        """Yield all pictures in the split's order."""
        return self.batches(torch.arange(len(self)), size)

    def _decoded(self, chunks: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        places = [chunk.tolist() for chunk in chunks]
        with contextlib.closing(self._decoders.ask(places)) as found:
            for chunk, results in zip(places, found, strict=True):
                for row, result in zip(chunk, results, strict=True):
                    if isinstance(result, Failed):
                        raise PictureError(self.split.names[row], result.reason)
                yield results


def _pixels(split: Split, preprocessing: Preparation, row: int) -> Tensor:
    return preprocessing.pixels(split.pictures[row])


def part_of(splits: Mapping[str, Split], name: str, poll: Poll) -> Poll:
    """Poll with how far the reading of all these splits has come, while one of them is read."""
    total = sum(map(len, splits.values()))
    before = sum(map(len, itertools.takewhile(lambda s: s is not splits[name], splits.values())))

    def poll_of_all(reading: Reading | None = None, /) -> None:
        poll(reading and Reading(before + reading.done, total, splits[name].kind))

    return poll_of_all


def read(  # noqa: PLR0913
    split: Split,
    preprocessing: Preparation,
    *,
    workers: int | None = None,
    strict: bool = False,
    poll: Poll = unheard,
    held_bytes: int | None = None,
    cache: Path | None = None,
    look: Look | None = None,
) -> tuple[Pictures, list[Unreadable]]:
    """Decode every picture of a split once: keep the pixels if they fit, list what is unreadable.

    Pixels that do not fit into memory go to a file in the folder `cache`, or are found there from
    an earlier time; without one they are decoded anew when they are asked for. With `strict` the
    first unreadable picture is a PictureError. `poll` is called between batches, `look` with the
    pixels of all that are readable, in their order.
    """
    count = devices.processors() if workers is None else workers
    moments: Moments | None = None
    needed = len(split) * int(np.prod(preprocessing.pixel_shape)) * preprocessing.dtype.itemsize
    results = decoded(split, preprocessing, count, strict=strict, poll=poll)
    if needed <= (HELD_BYTES if held_bytes is None else held_bytes):
        whole = torch.empty((len(split), *preprocessing.pixel_shape), dtype=preprocessing.dtype)
        kept = _in_memory(results, whole)
    elif cache is not None and is_stored(split.pictures):
        kept = _in_file(split, preprocessing, results, cache, needed)
    else:
        moments = Moments() if preprocessing.dtype == torch.uint8 else None
        kept = None, _passing(results, look, moments)
    pixels, reasons = kept
    part, unreadable = readable(split, reasons)
    if strict and unreadable:  # as the file of pixels says
        raise PictureError(*unreadable[0])
    pictures = Pictures(part, preprocessing, pixels=pixels, workers=count, moments=moments)
    if look and pixels is not None:
        for batch in pictures.all(2048):
            poll()
            look(batch.pixels)
    return pictures, unreadable


Found = tuple[Tensor | None, dict[int, str]]  # pixels, and why others have none


def decoded(
    split: Split, preprocessing: Preparation, workers: int, *, strict: bool, poll: Poll
) -> Generator[Tensor | str]:
    """Yield each picture's pixels (C, H, W), or why it has none; with `strict` that is an error."""
    found = each(
        preprocessing.pixels,
        split.pictures,
        workers=workers,
        guarded=is_stored(split.pictures),
        allowance=allowance(preprocessing),
        poll=part_of({"": split}, "", poll),
    )
    with contextlib.closing(found):
        for row, result in found:
            if strict and isinstance(result, Failed):
                raise PictureError(split.names[row], result.reason)
            yield result.reason if isinstance(result, Failed) else result


def _in_memory(results: Iterator[Tensor | str], whole: Tensor) -> Found:
    reasons: dict[int, str] = {}
    for row, result in enumerate(results):
        if isinstance(result, str):
            reasons[row] = result
        else:
            whole[row - len(reasons)] = result
    return whole[: len(whole) - len(reasons)], reasons


def _passing(
    results: Iterator[Tensor | str], look: Look | None, moments: Moments | None
) -> dict[int, str]:
    """Show pixels as they pass and keep none; return why pictures have none."""
    numbered, reasons = enumerate(results), {}
    while batch := list(itertools.islice(numbered, CHUNK)):
        reasons.update({row: result for row, result in batch if isinstance(result, str)})
        pixels = [result for _, result in batch if isinstance(result, Tensor)]
        if look and pixels:
            look(torch.stack(pixels))
        if moments and pixels:
            moments.add(torch.stack(pixels).flatten(2, -2))  # of clips (N, C, T * H, W)
    return reasons


def _in_file(
    split: Split,
    preprocessing: Preparation,
    results: Iterator[Tensor | str],
    cache: Path,
    most_bytes: int,
) -> Found:
    path = pixelfile.place(cache, split, preprocessing)
    found = pixelfile.load(path, preprocessing.pixel_shape, preprocessing.dtype)
    if found is None:
        pixelfile.save(path, results, most_bytes=most_bytes)
        found = pixelfile.load(path, preprocessing.pixel_shape, preprocessing.dtype)
    if found is None:
        raise DataError(f"{path} was changed while it was written")
    return found.pixels, found.unreadable


def readable(split: Split, reasons: Mapping[int, str]) -> tuple[Split, list[Unreadable]]:
    """Leave out the pictures at the places that have a reason; DataError if none is left."""
    unreadable = [Unreadable(split.names[row], reason) for row, reason in reasons.items()]
    good = [row for row in range(len(split)) if row not in reasons]
    if good:
        return split.take(np.array(good)) if unreadable else split, unreadable
    if unreadable:
        raise DataError(f"no picture can be read; the first: {': '.join(unreadable[0])}")
    raise DataError("there are no pictures")


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order of an epoch: a permutation (N,) that follows from seed and epoch alone."""
    generator = torch.Generator().manual_seed(devices.seed_of(seed, epoch))
    return torch.randperm(count, generator=generator)
