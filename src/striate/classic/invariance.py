"""Local invariance of pooling: how far pooled maps change as a picture shifts by a few pixels."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate import data as sources
from striate import figures
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.preparation.survey import survey
from striate.errors import DataError, UsageError
from striate.layers import reference

from .detectors import line

LARGEST = 128  # side in pixels of the pictures that are looked at
CHUNK = 64  # pictures at once


class Shifted(NamedTuple):
    """What a shift does to a layer's map."""

    layer: str
    shift: int  # pixels
    # Root mean square of map after minus map before, in units of that between two pictures' maps.
    change: float
    # Of the cells that answer before or after, the share that keep their answer to within a tenth
    # of the greatest.
    kept: float


def _fractional(maps: Tensor) -> Tensor:
    """Pool overlapping pseudo-random regions, which shrink each side by the root of two."""
    regions = [
        reference.overlapping(reference.pseudo_random(side, round(side / math.sqrt(2)), 0.5))
        for side in maps.shape[2:]
    ]
    return reference.pool_regions(maps, *regions)


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "no pooling": lambda maps: maps,
    # Every second place of a map is the map of a convolution with stride 2.
    "stride 2": lambda maps: maps[:, :, ::2, ::2],
    "average (2, 2)": lambda maps: F.avg_pool2d(maps, 2),
    "max (2, 2)": lambda maps: F.max_pool2d(maps, 2),
    "max (3, 2)": lambda maps: F.max_pool2d(maps, 3, 2),
    "fractional max (√2)": _fractional,
}


def pictures_of(data: Any, count: int) -> Tensor:
    """Return up to `count` pictures of the training split, grey (N, 1, H, H) in [0, 1].

    They are evenly spread over it, and all have the usual side, at most 128 pixels.
    """
    if count < 2:
        raise UsageError(f"--count is 2 or more, not {count}: a map is compared with another's")
    opened = sources.find(data)
    if opened.kind != "pictures":
        raise UsageError(f"pictures are shifted, and {opened.name} has {opened.kind}")
    splits = opened.splits
    split = splits.get("train", next(iter(splits.values())))
    rows = np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64)
    chosen = split.take(rows)
    seen = survey(chosen.pictures)
    side = min(seen.height, seen.width, LARGEST)
    found, _ = read(chosen, Preprocessing((side, side), channels=1))
    if len(found) < 2:
        raise DataError("a map is compared with another picture's: one picture is too few")
    return torch.cat([batch.pixels for batch in found.all()]).float() / 255


def draw(rows: Sequence[Shifted], title: str) -> bytes:
    """Draw both measures against the shift: PNG."""
    pixels = sorted({row.shift for row in rows})
    change, kept = (
        {layer: [getattr(row, name) for row in rows if row.layer == layer] for layer in POOLINGS}
        for name in ("change", "kept")
    )
    return figures.shifts(pixels, change, kept, f"Maps of shifted pictures: {title}")


def invariance(pictures: Tensor, *, most: int = 4) -> list[Shifted]:
    """Measure shifts of 0 to `most` pixels to the right on pictures (N, 1, H, W): a row each.

    The maps are those of four line detectors, rectified. At its rim a picture's last pixels go on.
    UsageError if `most` is below 0.
    """
    if most < 0:
        raise UsageError(f"--most is 0 or more, not {most}")
    totals: dict[tuple[str, int], Tensor] = {}
    others = pictures.roll(1, 0)
    for chunk, other in zip(pictures.split(CHUNK), others.split(CHUNK), strict=True):
        views = list(shifts(chunk, most))
        before, apart = feature_maps(views[0]), feature_maps(next(shifts(other, most)))
        for shift, view in enumerate(views):
            after = feature_maps(view)
            for layer, pool in POOLINGS.items():
                sums = _compared(pool(before), pool(after), pool(apart))
                totals[layer, shift] = totals.get((layer, shift), 0) + sums
    return [_row(layer, shift, totals[layer, shift]) for layer, shift in sorted(totals, key=_order)]


def shifts(pictures: Tensor, most: int) -> Iterator[Tensor]:
    """Yield pictures (N, C, H, W) shifted right by 0 to `most` pixels, all of them in view."""
    wide = F.pad(pictures, (2 * most, most, 0, 0), mode="replicate")
    width = pictures.shape[3] + 2 * most
    for shift in range(most + 1):
        start = most - shift
        yield wide[..., start : start + width]


def feature_maps(pictures: Tensor) -> Tensor:
    """Return the rectified answers of line detectors at 0, 45, 90 and 135 degrees: (N, 4, h, w)."""
    lines = np.stack([line(angle) for angle in (0, 45, 90, 135)])
    return F.conv2d(pictures, torch.from_numpy(lines)[:, None].to(pictures.dtype)).relu()


def _compared(before: Tensor, after: Tensor, apart: Tensor) -> Tensor:
    """Sum squares of after - before and of apart - before, and count kept and answering cells."""
    greatest = before.amax((1, 2, 3), keepdim=True)
    change = (after - before).abs()
    answers = torch.maximum(before, after) > 0.1 * greatest
    kept = answers & (change <= 0.1 * greatest)
    squares = [change.square().sum(), (apart - before).square().sum()]
    return torch.stack([*squares, kept.sum(), answers.sum()]).double()


def _row(layer: str, shift: int, sums: Tensor) -> Shifted:
    changed, apart, kept, answering = sums.tolist()
    if not apart or not answering:
        raise DataError("the pictures show no lines that differ: nothing can be compared")
    return Shifted(layer, shift, math.sqrt(changed / apart), kept / answering)


def _order(key: tuple[str, int]) -> tuple[int, int]:
    return list(POOLINGS).index(key[0]), key[1]
