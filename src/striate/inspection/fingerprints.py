"""Fingerprints of pictures as a network gets them, by which copies are known; saved with a run."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from striate import ranks
from striate.data import Split
from striate.data.batches import Pictures
from striate.data.preparation.survey import smaller_than
from striate.errors import DataError

from . import duplicates
from .duplicates import Thumbs

# Of a split; with more, equal pictures are known and near-copies are not.
MOST_THUMBED = 200_000
_SIZE = 16  # bytes of a digest
_COLUMNS = pa.schema(
    [
        ("digest", pa.binary(_SIZE)),
        ("grey", pa.binary(duplicates.SIDE**2)),
        ("colour", pa.binary(3)),
    ]
)


class Fingerprints(NamedTuple):
    """What tells a split's pictures, sounds or clips from others, in the split's order."""

    names: Sequence[str]
    digests: list[bytes]  # of the pixels
    grey: Tensor | None = None  # (N, 256), uint8: thumbnails, zero where equality alone counts
    colours: Tensor | None = None  # (N, 3), uint8

    @property
    def thumbs(self) -> Thumbs | None:
        """What near-copies are known by."""
        if self.grey is None or self.colours is None:
            return None
        return duplicates.thumbs(self.grey, self.colours)


class Gathering:
    """Takes the fingerprints of pixels that pass by, batch after batch."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []
        self._small: list[tuple[Tensor, Tensor]] = []

    def add(self, pixels: Tensor) -> None:
        """Look at the next pixels of a split: (N, C, H, W), or what sounds and clips have."""
        pixels = pixels.cpu()
        self._digests += [
            hashlib.blake2b(row, digest_size=_SIZE).digest() for row in pixels.flatten(1).numpy()
        ]
        is_picture = pixels.ndim == 4 and pixels.dtype == torch.uint8
        if is_picture and duplicates.is_large(*pixels.shape[-2:]):
            grey, colours = duplicates.shrunk(pixels)
            grey[duplicates.are_blocks(pixels)] = 0
            self._small.append((grey, colours))
        if len(self._digests) > MOST_THUMBED:
            self._small.clear()  # 259 bytes a picture, of which none will be looked at

    def done(self, split: Split) -> Fingerprints:
        """Return the fingerprints of the split whose pixels have passed, all of them.

        Processes that work as one each saw a part of it, and tell the others.
        """
        every = ranks.each((self._digests, self._small))
        self._digests = [digest for digests, _ in every for digest in digests]
        self._small = [pair for _, small in every for pair in small]
        return self.whole(split)

    def whole(self, split: Split) -> Fingerprints:
        """Return the fingerprints of the split whose pixels have all passed in this process."""
        assert len(self._digests) == len(split), "each picture passes once"
        if not self._small or len(split) > MOST_THUMBED:
            return Fingerprints(split.names, self._digests)
        grey, colours = (torch.cat(parts) for parts in zip(*self._small, strict=True))
        grey[torch.from_numpy(smaller_than(split.pictures, duplicates.SIDE))] = 0
        return Fingerprints(split.names, self._digests, grey, colours)


def fingerprints(pictures: Pictures) -> Fingerprints:
    """Take the fingerprints of all pictures of a split."""
    gathering = Gathering()
    for batch in pictures.all(2048):
        gathering.add(batch.pixels)
    return gathering.whole(pictures.split)


def fingerprint_table(parts: Mapping[str, Fingerprints]) -> pa.Table:
    """Return a row a picture, split after split; thumbnails only of those that are trained on."""
    rows: list[tuple[bytes, bytes | None, bytes | None]] = []
    for name, part in parts.items():
        if name != "train" or part.grey is None or part.colours is None:
            rows += [(digest, None, None) for digest in part.digests]
            continue
        small = (map(bytes, values.numpy()) for values in (part.grey, part.colours))
        rows += zip(part.digests, *small, strict=True)
    return pa.Table.from_arrays(
        [
            pa.array(list(column), field.type)
            for column, field in zip(zip(*rows, strict=True), _COLUMNS, strict=True)
        ],
        schema=_COLUMNS,
    )


def from_table(table: pa.Table, names: Mapping[str, Sequence[str]]) -> dict[str, Fingerprints]:
    """Read what `fingerprint_table` gave, of the splits with these names."""
    if not table.schema.equals(_COLUMNS) or len(table) != sum(map(len, names.values())):
        raise DataError("the fingerprints of this run are not those of its pictures")
    found, start = {}, 0
    for part, listed in names.items():
        rows = table.slice(start, len(listed)).combine_chunks()
        start += len(listed)
        digests = rows["digest"].to_pylist()
        if part != "train" or rows["grey"].null_count or not listed:
            found[part] = Fingerprints(listed, digests)
            continue
        grey, colours = (
            torch.frombuffer(bytearray(b"".join(rows[key].to_pylist())), dtype=torch.uint8)
            for key in ("grey", "colour")
        )
        found[part] = Fingerprints(listed, digests, grey.view(-1, 256), colours.view(-1, 3))
    return found
