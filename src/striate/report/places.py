"""Pictures on a map, what of their neighbourhoods it keeps, and how pure those are of class."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import seeing
from striate.wording import counted, percent

PIXELS = 32  # side at which raw pixels are compared, at most
_RAW = {"pictures": "raw pixels", "sounds": "pixels of spectrograms", "clips": "pixels of frames"}


class Placed(NamedTuple):
    """N pictures on a map."""

    xy: NDArray[np.float32]  # (N, 2), in no unit
    note: str  # what was placed, and how
    recall: float
    trust: float
    purities: dict[str, float]  # space -> share of the ten nearest that are of the own class


def placed(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    pictures: NDArray[np.uint8],
    kind: str = "pictures",
) -> Placed:
    """Place vectors (N, D) on a map; the pictures are compared with as raw pixels.

    A label of -1 is none: without any, nothing is said of classes. UsageError where there can be no
    map.
    """
    xy = seeing.place(vectors)
    note = f"t-SNE (openTSNE) of {vectors.shape[1]:,} activations each, of {counted(len(xy), kind)}"
    return Placed(
        xy,
        note,
        seeing.recall(vectors, xy),
        seeing.trustworthiness(vectors, xy),
        purities(vectors, labels, pictures, xy, _RAW[kind]) if (labels >= 0).all() else {},
    )


def purities(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    pictures: NDArray[np.uint8],
    xy: NDArray[np.float32],
    raw: str = "raw pixels",
) -> dict[str, float]:
    """Say which share of a picture's ten nearest are of its class, in each space, and by chance.

    `raw` is what the pictures are called, which may be of sounds or of clips.
    """
    small = _at_most(pictures, PIXELS)
    planes = small[:, None] if small.ndim == 3 else small.transpose(0, 3, 1, 2)
    side = small.shape[1]
    return {
        "the network's activations": seeing.purity(vectors, labels),
        "this map": seeing.purity(xy, labels),
        f"{raw}, {side}x{side}": seeing.purity(seeing.raw_pixels(planes), labels),
        "colour histograms" if planes.shape[1] > 1 else "histograms of grey": seeing.purity(
            seeing.colour_histograms(planes), labels
        ),
        "chance": _chance(labels),
    }


def _at_most(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink square pictures to a side, where they are larger."""
    if pictures.shape[1] <= side:
        return pictures
    sizes = (side, side)
    shrunk = (Image.fromarray(one).resize(sizes, Image.Resampling.BOX) for one in pictures)
    return np.stack([np.asarray(one) for one in shrunk])


def _chance(labels: NDArray[np.int64]) -> float:
    """Return how many of the others are of a picture's own class, on the mean."""
    counts, n = np.bincount(labels), len(labels)
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))


def shown(found: Placed, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Add the places to the page's arrays, and return what it says of them."""
    xy = found.xy.astype(np.float64)
    low, high = xy.min(0), xy.max(0)
    span = float((high - low).max()) or 1.0
    unit = (xy - (low + high) / 2) / span + 0.5
    arrays["on_map"] = np.arange(len(xy), dtype=np.int32)
    arrays["xy"] = np.round(unit * 65535).astype(np.uint16)
    return {
        "note": found.note,
        "recall": found.recall,
        "trust": found.trust,
        "purities": list(found.purities.items()),
    }


def finding(found: Placed, kind: str) -> str:
    """Say in a sentence what the map is about."""
    if not found.purities:
        return f"{counted(len(found.xy), kind)}, alike ones side by side"
    own, _, pixels, *_ = found.purities.values()
    return (
        f"Of the ten nearest by what the network sees, {percent(own, 0)} are of the same class; by "
        f"{_RAW[kind]} {percent(pixels, 0)}"
    )
