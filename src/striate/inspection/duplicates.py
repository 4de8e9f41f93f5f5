"""Pictures that are there twice: re-encoded, resized, mirrored.

Each picture becomes a thumbnail of 16x16 grey values, without its mean and of length 1; two are as
alike as the product of their thumbnails. A fixed limit would take thousands of MNIST's ones
for copies of each other, so a pair counts where it is far closer than what else lies near: at most
RATIO of the distance to the tenth neighbour, after Lowe's test for features (2004,
https://doi.org/10.1023/B:VISI.0000029664.99615.94).

A picture that was enlarged has no more to be told by than before: one of fewer than 16 pixels is
compared by equality alone, so its thumbnail is left empty, also where its pixels were repeated as
blocks; a smooth one, as enlarging leaves it, needs a similarity of ALIKE.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIDE = 16  # of the thumbnails
NEIGHBOUR = 10  # whose distance a copy's distance is compared with
RATIO = 0.16
LEAST = 0.90  # similarity of a copy, whatever lies around it
ALIKE = 0.999  # similarity that needs no comparison: many copies of one picture are neighbours
FAR = 0.6  # the largest distance that counts as near; also where there are few pictures
COLOUR = 24.0  # levels of 255 by which the mean colours of copies may differ
# Share of a thumbnail's energy in the upper half of its frequencies. Digits of 8x8 pixels have at
# most this when they are enlarged by any smooth filter; of 110 pairs of CIFAR-10 one has less.
SMOOTH = 0.02
FLAT = 4.0  # length of a thumbnail, in levels, below which there is nothing to compare
_BLOCK = 1024  # rows at once: 250 MB of similarities beside 60,000 pictures
_COPIES = 4  # of one picture, looked at by similarity


class Thumbs(NamedTuple):
    """What is compared of N pictures."""

    grey: Tensor  # (N, 256), float32: without mean, length 1; zero where a picture is flat
    colours: Tensor  # (N, 3), float32 in levels
    smooth: Tensor  # (N,), bool: as if it had been enlarged

    def at(self, rows: Tensor) -> "Thumbs":
        """Keep some of them."""
        return Thumbs(*(values[rows] for values in self))


class Pair(NamedTuple):
    """Two pictures that show the same."""

    first: int  # a place among the queries
    second: int  # a place among the others
    similarity: float  # of the thumbnails, at most 1
    mirrored: bool


def is_large(height: int, width: int) -> bool:
    """Tell whether a picture has the pixels of a thumbnail; smaller ones are all much alike."""
    return min(height, width) >= SIDE


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Return a picture's 16x16 grey values."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small.convert("L")).reshape(-1)


def thumbs(grey: Tensor, colours: Tensor) -> Thumbs:
    """Prepare 16x16 grey values (N, 256) and mean colours (N, 3), both in levels of 255."""
    values = grey.float() - grey.float().mean(1, keepdim=True)
    length = values.norm(dim=1, keepdim=True)
    ready = torch.where(length > FLAT, values / length, 0.0)
    return Thumbs(ready, colours.float(), _is_smooth(ready))


def shrunk(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Shrink pixels (N, C, H, W), uint8, to grey values (N, 256) and mean colours (N, 3), uint8."""
    small = torch.nn.functional.interpolate(
        pixels.float(), (SIDE, SIDE), mode="bilinear", antialias=True
    )
    # ITU-R BT.601, as Pillow turns colour into grey.
    weights = torch.tensor([0.299, 0.587, 0.114]) if pixels.shape[1] == 3 else torch.ones(1)
    grey = torch.einsum("nchw,c->nhw", small, weights).flatten(1)
    colours = small.mean((2, 3)).expand(-1, 3)
    return _levels(grey), _levels(colours)


def of_pixels(pixels: Tensor) -> Thumbs:
    """Prepare pixels (N, C, H, W), uint8, as a network gets them."""
    return thumbs(*shrunk(pixels))


def are_blocks(pixels: Tensor) -> Tensor:
    """Tell which of (N, C, H, W) are less than 16 pixels a side, each repeated as a block: (N,)."""
    height, width = pixels.shape[-2:]
    factors = [
        factor
        for factor in range(2, min(height, width) + 1)
        if height % factor == width % factor == 0 and min(height, width) // factor < SIDE
    ]
    found = torch.zeros(len(pixels), dtype=torch.bool)
    if not factors:
        return found
    doubled = (pixels[..., 0, :] == pixels[..., 1, :]).flatten(1).all(1).nonzero()[:, 0]
    for factor in factors:
        some = pixels[doubled]
        whole = some[..., ::factor, ::factor]
        whole = whole.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        found[doubled] |= (whole == some).flatten(1).all(1)
    return found


def _levels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _is_smooth(grey: Tensor) -> Tensor:
    """Tell which thumbnails (N, 256) have next to nothing in the upper half of the cosines."""
    place = torch.arange(SIDE)
    cosines = torch.cos(torch.pi * (place + 0.5) * place[:, None] / SIDE) * (2 / SIDE) ** 0.5
    cosines[0] /= 2**0.5
    lower = cosines[: SIDE // 2]
    energy: Tensor = (lower @ grey.view(-1, SIDE, SIDE) @ lower.T).square().sum((1, 2))
    whole: Tensor = grey.square().sum(1)
    return energy.ge((1 - SMOOTH) * whole)


def near(
    queries: Thumbs,
    others: Thumbs | None = None,
    *,
    mirrored: bool = True,
    poll: Callable[[], None] = lambda: None,
) -> list[Pair]:
    """Find the copies of each query among the others; without others, among the queries.

    Each pair is given once, by similarity; mirrored ones only if `mirrored`. The work is
    proportional to the product of both counts.
    """
    found: dict[tuple[int, int], Pair] = {}
    known = queries if others is None else others
    for turned in (False, True) if mirrored else (False,):
        for start in range(0, len(queries.grey), _BLOCK):
            poll()
            rows = torch.arange(start, min(start + _BLOCK, len(queries.grey)))
            for pair in _copies(queries, known, rows, mirrored=turned, same=others is None):
                key = (pair.first, pair.second)
                if others is None:
                    key = (min(key), max(key))
                if key not in found or found[key].similarity < pair.similarity:
                    found[key] = pair._replace(first=key[0], second=key[1])
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _copies(
    queries: Thumbs, others: Thumbs, rows: Tensor, *, mirrored: bool, same: bool
) -> Iterator[Pair]:
    grey = queries.grey[rows]
    if mirrored:
        grey = grey.view(-1, SIDE, SIDE).flip(2).flatten(1)
    alike = grey @ others.grey.T
    if same:
        alike[torch.arange(len(rows)), rows] = -1.0
    count = min(NEIGHBOUR + 1, alike.shape[1] - same)
    if count < 1:
        return
    close = (alike.amax(1) >= LEAST).nonzero()[:, 0]  # the others need no sorting
    alike, rows = alike[close], rows[close]
    best, places = alike.topk(count, dim=1)
    around = (1 - best[:, -1:]).clamp(max=FAR) if count > NEIGHBOUR else torch.tensor(FAR)
    best, places = best[:, :_COPIES], places[:, :_COPIES]
    is_copy = (best >= LEAST) & (1 - best <= RATIO * around)
    is_copy &= ~(queries.smooth[rows][:, None] | others.smooth[places])
    is_copy |= best >= ALIKE
    colours = (queries.colours[rows][:, None] - others.colours[places]).abs().amax(2)
    for row, column in (is_copy & (colours <= COLOUR)).nonzero().tolist():
        similarity = min(float(best[row, column]), 1.0)
        yield Pair(int(rows[row]), int(places[row, column]), similarity, mirrored)
