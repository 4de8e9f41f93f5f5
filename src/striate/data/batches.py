"""Pictures of a split as uint8 pixels: in memory where they fit, else in a file or decoded anew."""

import contextlib
import functools
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices, files, ranks
from striate.decoding import Decoders, Failed, each, fetching
from striate.errors import DataError
from striate.images import PictureError
from striate.processors import memory_bytes, return_memory
from striate.stopping import Poll, Reading, unheard

from . import pixelfile
from .preparation.kinds import Preparation, allowance
from .preparation.preprocessing import Moments
from .splits import Split, is_stored

# After so many bytes of pixels that pass by, memory that was freed goes back to the system: threads
# take it and the main one frees it, which else leaves ten times as much in pieces.
PASSED = 32 << 20
SAMPLED = 8  # pictures that each of several processes decodes, to see that theirs are the same
LOOKED_AT = 16  # pictures that are looked at together as they pass, where none are kept
# Of the machine's memory, for the pixels of all splits together.
MEMORY_SHARE = 1 / 4
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
        in_file: bool = False,
    ) -> None:
        self.split = split
        self.labels = torch.from_numpy(split.labels)
        self.pixels = pixels
        self.moments = moments  # of all pixels, where they were looked at as they were read
        self._in_file = in_file  # the pixels are a file's, which is mapped into memory
        self.preprocessing = preprocessing
        fetch = fetching(split.pictures)
        self._decoders = Decoders(
            # Not a method: that were a cycle.
            preprocessing.pixels if fetch else functools.partial(_pixels, split, preprocessing),
            workers,
            guarded=is_stored(split.pictures),
            allowance=allowance(preprocessing),
            fetch=fetch,
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
        return Pictures(self.split, self.preprocessing, pixels=pixels)

    def holding(self, pixels: Tensor) -> "Pictures":
        """Return the same pictures with other pixels, a row each: what a network makes of them."""
        return Pictures(self.split, self.preprocessing, pixels=pixels)

    def close(self) -> None:
        """End the decoders; batches that are not held in memory open them again."""
        self._decoders.close()

    def __len__(self) -> int:
        return len(self.split)

    @property
    def held_bytes(self) -> int:
        """How many bytes of pixels are kept in memory; those of a mapped file are not."""
        return 0 if self.pixels is None or self._in_file else self.pixels.nbytes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example's pixels: channels, height and width of a picture."""
        return self.preprocessing.pixel_shape

    def image(self, row: int) -> NDArray[np.uint8]:
        """Draw what the network saw: uint8 (H, W) or (H, W, 3)."""
        batch = next(self.batches(torch.tensor([row]), 1))
        return self.preprocessing.image(batch.pixels[0].cpu())

    def faster(self) -> str:
        """Say in a few words how batches would come sooner; "" where pixels are in memory."""
        needed, room = pixel_bytes(self.split, self.preprocessing), memory_bytes() // 2
        # With a digit after the point: rounded up, so that the pixels fit.
        hold = f"--memory {math.ceil(10 * needed / 2**30) / 10:g}G holds their pixels in memory"
        if self.pixels is not None:
            return (hold if needed < room else "a faster disk for --cache") if self._in_file else ""
        if self._decoders.workers < devices.processors():
            return f"--workers {devices.processors()} decodes on all processors"
        if needed < room:
            return hold
        if is_stored(self.split.pictures):
            return f"--cache FOLDER keeps their pixels in a file ({needed / 1e9:.1f} GB)"
        return "a faster Dataset: decoding its items takes longer than training on them"

    def batches(self, rows: Tensor, size: int | list[int]) -> Iterator[Batch]:
        """Yield these pictures, in this order, `size` at a time, or so many each time."""
        if self.pixels is not None:
            labels = self.labels.to(self.pixels.device)
            for chunk in rows.to(self.pixels.device).split(size):
                yield Batch(chunk, self.pixels[chunk], labels[chunk])
            return
        for chunk, pixels in self._decoded(rows, size):
            yield Batch(chunk, _stacked(pixels, self.preprocessing), self.labels[chunk])

    def all(self, size: int = 512) -> Iterator[Batch]:
        """Yield all pictures in the split's order."""
        return self.batches(torch.arange(len(self)), size)

    def _decoded(
        self, rows: Tensor, size: int | list[int]
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        chunks = rows.split(size)
        # Listed as they are wanted: whole numbers of Python take 36 bytes each.
        places, passing = (chunk.tolist() for chunk in chunks), _Passing()
        with contextlib.closing(self._decoders.ask(places, len(rows))) as found:
            for chunk, results in zip(chunks, found, strict=True):
                for row, result in zip(chunk.tolist(), results, strict=True):
                    if isinstance(result, Failed):
                        raise PictureError(self.split.names[row], result.reason)
                yield chunk, results
                passing.add(results)


class _Passing:
    """Counts the bytes of pixels that pass by, and gives back what was freed of them."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, pixels: list[Tensor]) -> None:
        self._bytes += sum(one.nbytes for one in pixels)
        if self._bytes > PASSED:
            self._bytes = 0
            return_memory()


def _stacked(pixels: list[Tensor], preprocessing: Preparation) -> Tensor:
    if pixels:
        return torch.stack(pixels)
    return torch.empty((0, *preprocessing.pixel_shape), dtype=preprocessing.dtype)


def _pixels(split: Split, preprocessing: Preparation, row: int) -> Tensor:
    return preprocessing.pixels(split.pictures[row])


def usual_memory() -> int:
    """Return how many bytes of pixels are kept in memory where nobody says how many."""
    # torchrun starts several processes on a machine, which share it.
    return int(MEMORY_SHARE * memory_bytes()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def pixel_bytes(split: Split, preprocessing: Preparation) -> int:
    """Return how many bytes the pixels of a split take."""
    return len(split) * int(np.prod(preprocessing.pixel_shape)) * preprocessing.dtype.itemsize


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
    known: bool = False,
) -> tuple[Pictures, list[Unreadable]]:
    """Decode every picture of a split once: keep the pixels if they fit, list what is unreadable.

    Pixels that do not fit into memory go to a file in the folder `cache`, or are found there from
    an earlier time; without one they are decoded anew when they are asked for. With `strict` the
    first unreadable picture is a PictureError. `poll` is called between batches, `look` with the
    pixels of all that are readable, in their order. Pictures that are `known` to be readable, as a
    run has read them before, are not decoded now where their pixels are not kept.

    Processes that work as one each decode a part of the pictures, and look at a part; what they
    found they have in common. A file of pixels is written by one of them on each host.
    """
    count = devices.processors() if workers is None else workers
    moments: Moments | None = None
    needed = pixel_bytes(split, preprocessing)
    held = needed <= (usual_memory() if held_bytes is None else held_bytes)
    in_file = not held and cache is not None and is_stored(split.pictures)
    if held:
        results = _shared(split, preprocessing, count, strict=strict, poll=poll)
        whole = torch.empty((len(split), *preprocessing.pixel_shape), dtype=preprocessing.dtype)
        kept = _in_memory(results, whole)
    elif in_file:
        assert cache is not None
        results = decoded(split, preprocessing, count, strict=strict, poll=poll)
        kept = _in_file(split, preprocessing, results, cache, needed)
    elif known and look is None:
        kept = None, {}
    else:
        results = _shared(split, preprocessing, count, strict=strict, poll=poll)
        moments = Moments() if preprocessing.dtype == torch.uint8 else None
        kept = None, _passing(results, look, moments, ranks.mine(len(split)).start)
    pixels, reasons = kept
    part, unreadable = readable(split, reasons)
    if strict and unreadable:  # as the file of pixels says
        raise PictureError(*unreadable[0])
    pictures = Pictures(
        part, preprocessing, pixels=pixels, workers=count, moments=moments, in_file=in_file
    )
    if look and pixels is not None:
        for batch in pictures.batches(torch.arange(len(pictures))[ranks.mine(len(pictures))], 2048):
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
        passing = _Passing()
        for row, result in found:
            if strict and isinstance(result, Failed):
                raise PictureError(split.names[row], result.reason)
            if isinstance(result, Failed):
                yield result.reason
            else:
                passing.add([result])
                yield result


def _shared(
    split: Split, preprocessing: Preparation, workers: int, *, strict: bool, poll: Poll
) -> Iterator[Tensor | str]:
    """Yield what `decoded` does of the pictures that are this process's to decode."""
    if ranks.count() == 1:
        return decoded(split, preprocessing, workers, strict=strict, poll=poll)
    ranks.require_same(_sample(split, preprocessing), f"the {split.kind}")
    mine = ranks.mine(len(split))
    own = split.take(np.arange(mine.start, mine.stop))
    results = decoded(own, preprocessing, workers, strict=strict, poll=poll)
    return ranks.in_step(results, len(own))


def _sample(split: Split, preprocessing: Preparation) -> bytes:
    """Return a digest of all names and labels, and of the pixels of a few pictures."""
    digest = hashlib.sha256(np.ascontiguousarray(split.labels).tobytes())
    for name in split.names:
        digest.update(name.encode(errors="surrogatepass") + b"\0")
    some = split.take(np.unique(np.linspace(0, len(split) - 1, SAMPLED).astype(np.int64)))
    for result in decoded(some, preprocessing, 1, strict=False, poll=unheard):
        digest.update(result.encode() if isinstance(result, str) else result.numpy().tobytes())
    return digest.digest()


def _in_memory(results: Iterator[Tensor | str], whole: Tensor) -> Found:
    reasons: dict[int, str] = {}
    for row, result in enumerate(results, ranks.mine(len(whole)).start):
        if isinstance(result, str):
            reasons[row] = result
        else:
            whole[row] = result
    ranks.fill(whole)
    reasons = _of_all(reasons)
    good = [row for row in range(len(whole)) if row not in reasons] if reasons else []
    for place, row in enumerate(good):
        whole[place] = whole[row]
    return whole[: len(whole) - len(reasons)], reasons


def _passing(
    results: Iterator[Tensor | str], look: Look | None, moments: Moments | None, first: int
) -> dict[int, str]:
    """Show pixels as they pass and keep none; return why pictures have none."""
    numbered, reasons = enumerate(results, first), {}
    while batch := list(itertools.islice(numbered, LOOKED_AT)):
        reasons.update({row: result for row, result in batch if isinstance(result, str)})
        pixels = [result for _, result in batch if isinstance(result, Tensor)]
        if look and pixels:
            look(torch.stack(pixels))
        if moments and pixels:
            moments.add(torch.stack(pixels).flatten(2, -2))  # of clips (N, C, T * H, W)
    if moments:
        moments.share()
    return _of_all(reasons)


def _of_all(reasons: dict[int, str]) -> dict[int, str]:
    """Put together why pictures have no pixels, by the processes that decoded them."""
    return {row: reason for part in ranks.each(reasons) for row, reason in part.items()}


def _in_file(
    split: Split,
    preprocessing: Preparation,
    results: Iterator[Tensor | str],
    cache: Path,
    most_bytes: int,
) -> Found:
    path = pixelfile.place(cache, split, preprocessing)
    files.make_folder(cache)
    with files.turn(path.with_suffix(".lock")):  # of several processes one decodes
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
