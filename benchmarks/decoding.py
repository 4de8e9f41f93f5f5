"""Pictures per CPU-second: from JPEG files to 224 pixels, and through the data doctor.

    python benchmarks/decoding.py [--count 400] [--rounds 9]      beside torchvision's ImageFolder
    python benchmarks/decoding.py --megapixels 12 [--count 20]    of a camera's size
    python benchmarks/decoding.py --scan [--count 10000]          one pass of `striate data`

The pictures are made: smooth noise in seven octaves, quality 90. With --megapixels they are the
photographs of --data, enlarged to 4:3, with a sensor's noise, quality 90; then accuracy is compared
as well: both ways' pixels with those that are resized in float64, and what EfficientNet-Lite0 says
of both (--weights), beside the truth where the classes are Imagenette's.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import striate
from striate.data.preparation.preprocessing import Preprocessing
from striate.images import fitting
from striate.models import IMAGENET

SIZE = 224
# Places of Imagenette's classes among the 1,000 of ImageNet.
IMAGENETTE = {
    "tench": 0,
    "english_springer": 217,
    "cassette_player": 482,
    "chain_saw": 491,
    "church": 497,
    "french_horn": 566,
    "garbage_truck": 569,
    "gas_pump": 571,
    "golf_ball": 574,
    "parachute": 701,
}
USUAL = (256, "ToTensor")  # of torchvision's transforms: resized to, and what comes last
DATA = Path(os.environ.get("STRIATE_DATA", "."))


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


def enlarge(folder: Path, photos: Path, count: int, megapixels: float, deviation: float) -> None:
    """Write photographs as a camera would, of every class in turn, below a folder."""
    rng = np.random.default_rng(0)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    sides = (round(height * 4 / 3), height)
    classes = [sorted(place.glob("*.jpg")) for place in sorted(photos.iterdir())]
    for number in range(count):
        path = classes[number % len(classes)][number // len(classes)]
        place = folder / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as photo:
            large = photo.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
        noise = rng.standard_normal((sides[1], sides[0], 3), dtype=np.float32) * deviation
        pixels = (np.asarray(large) + noise).round().clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / path.name, quality=90)


def seconds(work: Callable[[int], object], places: range) -> float:
    """Return the CPU-seconds of work on some pictures."""
    began = time.process_time()
    for place in places:
        work(place)
    return time.process_time() - began


def pipelines(folder: Path, resized: int, last: str) -> tuple[Preprocessing, Any]:
    """Return our preprocessing, and torchvision's folder that does the same."""
    from torchvision import datasets, transforms

    steps = (transforms.Resize(resized), transforms.CenterCrop(SIZE))
    pictures = datasets.ImageFolder(
        str(folder), transforms.Compose([*steps, getattr(transforms, last)()])
    )
    return Preprocessing(size=(SIZE, SIZE), share=SIZE / resized, normalise="none"), pictures


def compare(folder: Path, rounds: int, turn: int) -> None:
    """Print rates and their ratio to torchvision's ImageFolder, in turns of so many pictures."""
    # The usual centre crop, then the whole centre; float32, then uint8 as ours is.
    for resized, last in (USUAL, (SIZE, "ToTensor"), (SIZE, "PILToTensor")):
        preprocessing, pictures = pipelines(folder, resized, last)
        paths = [Path(path) for path, _ in pictures.samples]

        def ours(place: int, paths=paths, preprocessing=preprocessing) -> object:
            return preprocessing.pixels(paths[place])

        totals = []
        for _ in range(rounds + 1):
            turns = [range(len(paths))[k : k + turn] for k in range(0, len(paths), turn)]
            taken = [(seconds(ours, t), seconds(pictures.__getitem__, t)) for t in turns]
            totals.append([sum(column) for column in zip(*taken, strict=True)])
        mine, other = zip(*totals[1:], strict=True)  # the first warms up
        ratios = sorted(b / a for a, b in totals[1:])
        rates = [len(paths) / statistics.median(taken) for taken in (mine, other)]
        print(
            f"Resize({resized}), CenterCrop({SIZE}), {last}: striate {rates[0]:.1f}, "
            f"ImageFolder {rates[1]:.1f} pictures per CPU-second; ratio "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, n={rounds})"
        )


def accuracy(folder: Path, weights: Path) -> None:
    """Print how far both ways are from exact pixels, and what a network says of both."""
    preprocessing, pictures = pipelines(folder, *USUAL)
    paths = [Path(path) for path, _ in pictures.samples]
    mine = torch.stack([preprocessing.pixels(path) for path in paths]).double()
    theirs = torch.stack([pictures[place][0] for place in range(len(paths))]).double() * 255
    some = list(range(0, len(paths), -(-len(paths) // 5)))
    exact = [exactly(paths[place], preprocessing) for place in some]
    # Each beside its own part of the picture: ours is in the middle, torchvision's in whole pixels
    # of what is resized, up to half of one beside it.
    pairs = {
        "striate": mine[some] - torch.stack([ours for ours, _ in exact]),
        "ImageFolder": theirs[some] - torch.stack([others for _, others in exact]),
    }
    for name, apart in pairs.items():
        print(
            f"{name}: {apart.square().mean().sqrt():.2f} levels of 255 from what is exact (root "
            f"mean square), {apart.abs().max():.1f} at most, {len(apart)} pictures"
        )
    if not weights.exists():
        print(f"no network was asked: {weights} is not there")
        return
    answers = [answered(values, weights) for values in (mine, theirs)]
    same = (answers[0] == answers[1]).sum()
    print(f"EfficientNet-Lite0 says the same of {same} of {len(paths)} pictures")
    if set(pictures.classes) <= IMAGENETTE.keys():
        truth = torch.tensor([IMAGENETTE[path.parent.name] for path in paths])
        right = [int((answer == truth).sum()) for answer in answers]
        print(
            f"right: striate {right[0]}, ImageFolder {right[1]} of {len(paths)}, of 1,000 classes"
        )


def exactly(path: Path, preprocessing: Preprocessing) -> tuple[torch.Tensor, torch.Tensor]:
    """Resize all pixels of a file in float64, to what we and torchvision see: (3, H, W) each."""
    with Image.open(path) as photo:
        pixels = torch.from_numpy(np.array(photo.convert("RGB"))).permute(2, 0, 1).double()
    height, width = pixels.shape[1:]
    box = fitting.crop((height, width), preprocessing.size, preprocessing.share)
    top, left, down, across = map(round, box)
    middle = pixels[:, top : top + down, left : left + across]
    short = min(height, width)
    small = smaller(pixels, [USUAL[0] * side // short for side in (height, width)])
    top, left = (round((side - SIZE) / 2) for side in small.shape[1:])
    return smaller(middle, [SIZE, SIZE]), small[:, top : top + SIZE, left : left + SIZE]


def smaller(pixels: torch.Tensor, sides: list[int]) -> torch.Tensor:
    """Resize (3, H, W)."""
    return torch.nn.functional.interpolate(pixels[None], sides, mode="bilinear", antialias=True)[0]


@torch.inference_mode()
def answered(pixels: torch.Tensor, weights: Path) -> torch.Tensor:
    """Return the class (N,) that EfficientNet-Lite0 gives each picture (N, 3, H, W)."""
    import timm
    from safetensors.torch import load_file

    net = timm.create_model("efficientnet_lite0").eval()
    net.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (IMAGENET.mean, IMAGENET.std))
    values = (pixels.float() / 255 - mean) / std
    return torch.cat([net(part).argmax(1) for part in values.split(16)])


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


def main() -> None:
    """Make pictures, where they are not there, and measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sides", type=int, nargs=2, default=(300, 500))
    parser.add_argument("--megapixels", type=float, help="enlarge photographs to so many")
    parser.add_argument("--noise", type=float, default=6.0, help="of its sensor, in levels of 255")
    parser.add_argument("--data", type=Path, default=DATA / "photos" / "test")
    weights = DATA / "weights" / "efficientnet_lite0.safetensors"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--folder", type=Path, help="of pictures; made where it is not there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    many = given.count or (10_000 if given.scan else 20 if given.megapixels else 400)
    with tempfile.TemporaryDirectory() as made:
        place = given.folder or Path(made)
        if not any(place.glob("*/*.jpg")):
            if given.megapixels:
                enlarge(place, given.data, many, given.megapixels, given.noise)
            else:
                write(place, many, tuple(given.sides))
        sizes = [path.stat().st_size for path in place.glob("*/*.jpg")]
        print(f"{len(sizes)} JPEGs of {statistics.mean(sizes) / 1e6:.3g} MB in the mean")
        if given.scan:
            scan(place)
            return
        compare(place, given.rounds, 5 if given.megapixels else 50)
        if given.megapixels:
            accuracy(place, given.weights)


if __name__ == "__main__":
    main()
