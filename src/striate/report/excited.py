"""What excites deeper layers: for some maps the parts of pictures that they answer to most."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import seeing
from striate.data import Split
from striate.data.batches import Pictures
from striate.seeing.featuremaps import Maps
from striate.seeing.layers import Layer

from .gathered import Opened
from .packing import sheets

LAYERS = 4
MAPS = 12  # of a layer
TOP = 6  # parts of a map
LOOKED_THROUGH = 2_000  # pictures; of more a part is drawn by lot
SIDE = 32  # pixels of a part on the page
_BATCH = 64


class Excited(NamedTuple):
    """The parts of pictures that M maps of a layer answer to most, the strongest first."""

    layer: Layer
    channels: list[int]  # (M,)
    rows: NDArray[np.int64]  # (M, TOP), places of the pictures in the split
    boxes: NDArray[np.int64]  # (M, TOP, 4)
    parts: NDArray[np.uint8]  # (M * TOP, S, S) or (M * TOP, S, S, 3)
    through: int  # how many pictures were looked through


def excited(opened: Opened, split: Split, maps: Sequence[Maps]) -> list[Excited]:
    """Look through a split's pictures for what excites the maps that are shown of these layers."""
    deep = [one for one in maps if max(one.layer.field) > 1 and not one.layer.kind.endswith("Norm")]
    places = np.unique(np.linspace(0, len(deep) - 1, min(LAYERS, len(deep))).round().astype(int))
    chosen = [deep[place] for place in places]
    if not chosen:
        return []
    rows = np.sort(np.random.default_rng(0).permutation(len(split))[:LOOKED_THROUGH])
    with contextlib.closing(_pictures(opened, split, rows)) as pictures:
        found = seeing.patches(
            opened.bundle.model,
            opened.bundle.preprocessing,
            pictures.all(_BATCH),
            [one.layer for one in chosen],
            top=TOP,
        )
    return [
        _of_layer(opened, split, patches, one.varied[:MAPS], rows)
        for patches, one in zip(found, chosen, strict=True)
    ]


def _pictures(opened: Opened, split: Split, rows: NDArray[np.int64]) -> Pictures:
    return Pictures(split.take(rows), opened.bundle.preprocessing, workers=opened.workers)


def _of_layer(
    opened: Opened,
    split: Split,
    patches: seeing.Patches,
    channels: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> Excited:
    own, boxes = rows[patches.rows[channels]], patches.boxes[channels]
    needed = np.unique(own)
    preparation = opened.bundle.preprocessing
    with contextlib.closing(_pictures(opened, split, needed)) as pictures:
        drawn = [
            preparation.image(pixels) for batch in pictures.all(_BATCH) for pixels in batch.pixels
        ]
    images = dict(zip(needed.tolist(), drawn, strict=True))
    upside_down = preparation.kind == "sounds"  # drawn with high notes on top
    parts = [
        _square(_cut(images[row], box, upside_down=upside_down))
        for row, box in zip(own.ravel().tolist(), boxes.reshape(-1, 4).tolist(), strict=True)
    ]
    return Excited(patches.layer, channels.tolist(), own, boxes, np.stack(parts), len(rows))


def _cut(image: NDArray[np.uint8], box: Sequence[int], *, upside_down: bool) -> NDArray[np.uint8]:
    top, left, bottom, right = box
    if upside_down:
        top, bottom = len(image) - bottom, len(image) - top
    return seeing.cut(image, (top, left, bottom, right))


def _square(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fit a part in a square of SIDE pixels, whole dots where it is small, on mid-grey."""
    high, wide = part.shape[:2]
    factor = SIDE / max(high, wide)
    factor = int(factor) if factor >= 1 else factor
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    how = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    drawn = np.asarray(Image.fromarray(part).resize(size, how))
    whole = np.full((SIDE, SIDE, *part.shape[2:]), 128, np.uint8)
    top, left = (SIDE - drawn.shape[0]) // 2, (SIDE - drawn.shape[1]) // 2
    whole[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return whole


def shown(found: Sequence[Excited], arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """Add the pictures' places to the page's arrays, and return what it shows of them."""
    if not found:
        return None
    for number, one in enumerate(found):
        arrays[f"excited_{number}"] = one.rows.astype(np.int32)
    layers = [
        {
            "name": one.layer.name,
            "kind": one.layer.kind,
            "field": "x".join(map(str, one.layer.field)),
            "channels": one.channels,
            "of": one.layer.shape[0],
        }
        for one in found
    ]
    parts = sheets(np.concatenate([one.parts for one in found]))
    return {"layers": layers, "pictures": parts, "through": found[0].through}
