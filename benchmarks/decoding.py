"""Pictures per CPU-second: from JPEG files to 224 pixels, and through the data doctor.

    python benchmarks/decoding.py [--count 400] [--rounds 9]      beside torchvision's ImageFolder
    python benchmarks/decoding.py --sides 3000 4000 --count 20    of a camera's photographs
    python benchmarks/decoding.py --scan [--count 10000]          one pass of `striate data`

The pictures are made: smooth noise in seven octaves, quality 90.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import striate
from striate.data.preprocessing import Preprocessing

SIZE = 224


def write(folder: Path, count: int, sides: tuple[int, int], *, seed: int = 0) -> None:
    """Write `count` JPEGs in four classes below a folder, the sides at random between two."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / f"class{number % 4}"
        place.mkdir(parents=True, exist_ok=True)
        width, height = (int(side) for side in rng.integers(sides[0], sides[1] + 1, 2))
        total = np.zeros((height, width, 3))
        for octave in range(1, 8):
            coarse = rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
            layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            total += (np.asarray(layer) - 127.5) * 0.8**octave
        pixels = (total / total.std() * 55 + 120).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number:05d}.jpg", quality=90)


def ours(folder: Path, share: float) -> float:
    """Give the CPU-seconds of decoding and resizing all pictures as a run does."""
    preprocessing = Preprocessing(size=(SIZE, SIZE), share=share, normalise="none")
    paths = sorted(folder.rglob("*.jpg"))
    began = time.process_time()
    for path in paths:
        preprocessing.pixels(path)
    return time.process_time() - began


def theirs(folder: Path, resized: int, last: str) -> float:
    """Give the CPU-seconds of torchvision's ImageFolder with its usual evaluation transforms."""
    from torchvision import datasets, transforms

    steps = [transforms.Resize(resized), transforms.CenterCrop(SIZE), getattr(transforms, last)()]
    pictures = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    began = time.process_time()
    for place in range(len(pictures)):
        pictures[place]
    return time.process_time() - began


def compare(folder: Path, rounds: int) -> None:
    """Print the rates and their ratios, measured in turn on one thread."""
    torch.set_num_threads(1)
    count = len(list(folder.rglob("*.jpg")))
    # The whole centre, and the part of it that published weights want; uint8 as ours is, and the
    # float32 of the usual recipe.
    for resized, last in ((SIZE, "PILToTensor"), (SIZE, "ToTensor"), (256, "ToTensor")):
        pairs = [
            (ours(folder, SIZE / resized), theirs(folder, resized, last)) for _ in range(rounds + 1)
        ]
        mine, other = (statistics.median(seconds) for seconds in zip(*pairs[1:], strict=True))
        ratios = sorted(b / a for a, b in pairs[1:])  # the first warms up
        print(
            f"Resize({resized}), CenterCrop({SIZE}), {last}: striate {count / mine:.0f}, "
            f"ImageFolder {count / other:.0f} pictures per CPU-second; "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, "
            f"n={rounds})"
        )


def scan(folder: Path) -> None:
    """Print what one pass of the doctor over all pictures takes."""
    began = time.monotonic()
    report = striate.inspect(folder)
    wall = time.monotonic() - began
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    peak = used[0].ru_maxrss / 1024
    print(f"{sum(report.splits.values())} pictures, {len(report.unreadable)} unreadable")
    print(f"{wall:.1f} s, {cpu:.1f} CPU-seconds with the start, {peak:.0f} MB peak")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sides", type=int, nargs=2, default=(300, 500))
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--folder", type=Path, help="of pictures; made where it is not there")
    given = parser.parse_args()
    many = given.count or (10_000 if given.scan else 400)
    with tempfile.TemporaryDirectory() as made:
        place = given.folder or Path(made)
        if not any(place.glob("*/*.jpg")):
            write(place, many, tuple(given.sides))
        if given.scan:
            scan(place)
        else:
            compare(place, given.rounds)
