"""Pictures of a split as uint8 pixels: held in memory where they fit, else decoded as needed."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate import devices
from striate.errors import DataError
from striate.images import PictureError

from .preprocessing import Preprocessing
from .splits import Split

# A quarter of most machines' memory; above it pictures are decoded anew in each epoch.
HELD_BYTES = 4 << 30
# Decoded pictures that wait for their turn, in batches: enough to hide an uneven decoder.
AHEAD = 3

Poll = Callable[[], None]


class Unreadable(NamedTuple):
    """A picture that was left out."""

    file: str
    reason: str


class Batch(NamedTuple):
    """Some pictures of a split."""

    rows: Tensor  # (N,), their places in the split
    pixels: Tensor  # (N, C, H, W), uint8
    labels: Tensor  # (N,)


class Pictures:
    """The pixels of a split: uint8 (C, H, W) a picture, the same each time they are asked for."""

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
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
    def channels(self) -> int:
        """Channels of a picture, as the network gets it."""
        return self._preprocessing.channels

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._preprocessing.size

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
        def pixels(row: int) -> Tensor:
            return self._preprocessing.pixels(self.split.pictures[row])

        return ahead(pixels, [chunk.tolist() for chunk in chunks], self._workers)


def ahead(
    work: Callable[[Any], Any], chunks: Sequence[Sequence[Any]], workers: int
) -> Iterator[list[Any]]:
    """Do `work` on every item on `workers` threads, a few chunks ahead; results keep their order.

    Decoders let go of Python's lock while they work, so threads serve as well as processes.
    """
    if workers < 1:
        yield from ([work(item) for item in chunk] for chunk in chunks)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="striate-decode")
    pending: deque[list[Future[Any]]] = deque()
    try:
        for chunk in chunks:
            pending.append([pool.submit(work, item) for item in chunk])
            if len(pending) > AHEAD:
                yield [future.result() for future in pending.popleft()]
        while pending:
            yield [future.result() for future in pending.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def read(
    split: Split,
    preprocessing: Preprocessing,
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
    shape = (preprocessing.channels, *preprocessing.size)
    hold = len(split) * int(np.prod(shape)) <= (HELD_BYTES if held_bytes is None else held_bytes)
    held = torch.empty((len(split), *shape), dtype=torch.uint8) if hold else None
    good: list[int] = []
    unreadable: list[Unreadable] = []

    def attempt(row: int) -> Tensor | Unreadable:
        try:
            return preprocessing.pixels(split.pictures[row])
        except PictureError as error:
            if strict:
                raise
            return Unreadable(split.names[row], error.reason)

    rows = range(len(split))
    chunks = [rows[start : start + 256] for start in rows[::256]]
    for chunk, results in zip(chunks, ahead(attempt, chunks, count), strict=True):
        poll()
        for row, result in zip(chunk, results, strict=True):
            if isinstance(result, Unreadable):
                unreadable.append(result)
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
