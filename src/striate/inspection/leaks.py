"""Pictures of the test that the network has seen in training, or nearly."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from striate.data.batches import Pictures
from striate.wording import counted, percent

from . import duplicates

# Pairs of pictures up to which the search for near copies takes a minute; above, exact ones only.
MOST_PAIRS = 5_000_000_000


@dataclass(frozen=True)
class Leak:
    """How many pictures of a split have a copy in the training split, and one such pair."""

    split: str
    copies: int
    pictures: int  # of the split; or sounds, or clips
    example: tuple[str, str]  # the picture's name, and that of its copy in training

    def line(self) -> str:
        """Say it in one line."""
        return leak_line(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Give the document that runs and `--json` hold."""
        return {**asdict(self), "example": list(self.example)}


def leak_line(leak: Mapping[str, Any]) -> str:
    """Say in one line what a run has recorded of a leak."""
    share = leak["copies"] / leak["pictures"]
    one, other = leak["example"]
    return (
        f"leak: {leak['copies']:,} of {counted(leak['pictures'], leak['split'] + ' pictures')} "
        f"({percent(share)}) with a copy in train, which makes their accuracy too high: "
        f"{one} is {other}"
    )


def leaks(
    pictures: Mapping[str, Pictures], *, poll: Callable[[], None] = lambda: None
) -> list[Leak]:
    """Look for copies of the other splits' pictures in training, as the network gets them.

    Exact ones; of pictures from 16 pixels on re-encoded, resized, and (in colour) mirrored ones.
    """
    if "train" not in pictures:
        return []
    train = pictures["train"]
    exact = {digest: row for row, digest in enumerate(_digests(train))}
    thumbs: duplicates.Thumbs | None = None
    found = []
    for name in ("validation", "test"):
        if name not in pictures:
            continue
        part = pictures[name]
        copies = {
            row: exact[digest] for row, digest in enumerate(_digests(part)) if digest in exact
        }
        if _have_thumbs(part) and len(part) * len(train) <= MOST_PAIRS:
            thumbs = thumbs or _thumbs(train)
            mirrored = part.shape[0] == 3
            for pair in duplicates.near(_thumbs(part), thumbs, mirrored=mirrored, poll=poll):
                copies.setdefault(pair.first, pair.second)
        if copies:
            row, other = next(iter(copies.items()))
            example = (part.split.names[row], train.split.names[other])
            found.append(Leak(name, len(copies), len(part), example))
    return found


def _have_thumbs(pictures: Pictures) -> bool:
    return pictures.split.kind == "pictures" and duplicates.is_large(*pictures.shape[1:])


def _digests(pictures: Pictures) -> list[bytes]:
    return [
        hashlib.blake2b(row, digest_size=16).digest()
        for batch in pictures.all(2048)
        for row in batch.pixels.flatten(1).numpy()
    ]


def _thumbs(pictures: Pictures) -> duplicates.Thumbs:
    parts = [duplicates.of_pixels(batch.pixels) for batch in pictures.all(2048)]
    return duplicates.Thumbs(
        torch.cat([part.grey for part in parts]), torch.cat([part.colours for part in parts])
    )
