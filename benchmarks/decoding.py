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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import striate
from striate.data.preparation.preprocessing import Preprocessing

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


def seconds(work: Callable[[int], object], places: range) -> float:
    """Return the CPU-seconds of work on some pictures."""
    began = time.process_time()
    for place in places:
        work(place)
    return time.process_time() - began


def compare(folder: Path, rounds: int) -> None:
    """Print rates and their ratio to torchvision's ImageFolder, in turns of 50 pictures."""
    from torchvision import datasets, transforms

    torch.set_num_threads(1)
    # The usual centre crop, then the whole centre; float32, then uint8 as ours is.
    for resized, last in ((256, "ToTensor"), (SIZE, "ToTensor"), (SIZE, "PILToTensor")):
        steps = (transforms.Resize(resized), transforms.CenterCrop(SIZE))
        pictures = datasets.ImageFolder(
            str(folder), transforms.Compose([*steps, getattr(transforms, last)()])
        )
        paths = [Path(path) for path, _ in pictures.samples]
        size, share = (SIZE, SIZE), SIZE / resized
        preprocessing = Preprocessing(size=size, share=share, normalise="none")

        def ours(place: int, paths=paths, preprocessing=preprocessing) -> object:
            return preprocessing.pixels(paths[place])

        totals = []
        for _ in range(rounds + 1):
            turns = [range(len(paths))[start : start + 50] for start in range(0, len(paths), 50)]
            taken = [(seconds(ours, t), seconds(pictures.__getitem__, t)) for t in turns]
            totals.append([sum(column) for column in zip(*taken, strict=True)])
        mine, other = zip(*totals[1:], strict=True)  # the first warms up
        ratios = sorted(b / a for a, b in totals[1:])
        rates = [len(paths) / statistics.median(taken) for taken in (mine, other)]
        print(
            f"Resize({resized}), CenterCrop({SIZE}), {last}: striate {rates[0]:.0f}, "
            f"ImageFolder {rates[1]:.0f} pictures per CPU-second; ratio "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, n={rounds})"
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
