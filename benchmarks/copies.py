"""How many planted copies are found, and how many other pictures are taken for copies; one JSON.

Example: STRIATE_DATA=~/data python benchmarks/copies.py mnist cifar10 ~/data/photos
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from striate import data as sources
from striate.data import Split
from striate.data.preparation.preprocessing import as_array
from striate.images import decode
from striate.inspection import duplicates
from striate.inspection.duplicates import Thumbs

PLANTED = 50  # of each kind


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """Return a picture as JPEG has it."""
    import io

    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.fromarray(decode(buffer.getvalue()))


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Return a picture in another size."""
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def mirrored(image: Image.Image) -> Image.Image:
    """Return a picture with left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


KINDS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "re-encoded, quality 40 to 95": lambda image, u: encoded(image, round(40 + 55 * u)),
    "resized, factor 0.6 to 2": lambda image, u: resized(image, 0.6 + 1.4 * u),
    "halved": lambda image, _: resized(image, 0.5),
    "mirrored": lambda image, _: mirrored(image),
    "mirrored and re-encoded, quality 75": lambda image, _: encoded(mirrored(image), 75),
}


def compared(images: list[Image.Image]) -> Thumbs:
    """Prepare pictures as the doctor does."""
    grey = torch.from_numpy(np.stack([duplicates.thumbnail(image) for image in images]))
    colours = [np.asarray(image.convert("RGB")).mean((0, 1)).tolist() for image in images]
    return duplicates.thumbs(grey, torch.tensor(colours))


def measure(name: str, seed: int) -> dict[str, object]:
    """Plant copies of a set's pictures, look for them, and count what else is found."""
    data = sources.find(name)
    parts: list[Split] = list(data.splits.values())
    images = [Image.fromarray(as_array(picture)) for part in parts for picture in part.pictures]
    known = compared(images)
    began = time.perf_counter()
    pairs = duplicates.near(known)
    seconds = time.perf_counter() - began
    alarmed = {place for pair in pairs for place in (pair.first, pair.second)}
    found = {}
    for number, (kind, change) in enumerate(KINDS.items()):
        random = np.random.default_rng([seed, number])
        rows = random.choice(len(images), PLANTED, replace=False)
        shares = random.random(PLANTED)
        copies = compared([change(images[r], u) for r, u in zip(rows, shares, strict=True)])
        hits = {(pair.first, pair.second) for pair in duplicates.near(copies, known)}
        found[kind] = sum((place, int(row)) in hits for place, row in enumerate(rows))
    return {
        "data": data.name,
        "pictures": len(images),
        "pairs": len(pairs),
        "pictures_in_pairs": len(alarmed),
        "share_in_pairs": round(len(alarmed) / len(images), 5),
        "seconds": round(seconds, 1),
        f"found_of_{PLANTED}": found,
    }


def main() -> None:
    """Measure each set named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps([measure(name, given.seed) for name in given.data], indent=2))


if __name__ == "__main__":
    main()
