"""Loading photos, and training on them, beside torchvision: ImageFolder, DataLoader, plain loop.

    OMP_NUM_THREADS=1 python benchmarks/loading.py [--data PHOTOS] [--rounds 5]    the loader alone
    python benchmarks/loading.py --training [--rounds 5] [--batches 20]    ResNet-18, 224 pixels

Both take the same folder of class folders at 224 pixels, in turns, each round from start to end:
processes are started and ended in it. Seconds are of the wall and of the processors (with those of
processes that have ended); the ratio is torchvision's over ours, of the medians. Two ways:

    plain   Resize(224), CenterCrop(224)
    random  RandomResizedCrop(224) from 8 % of the area on, RandomHorizontalFlip

each followed by ToTensor and Normalize, in batches. Pictures are decoded anew in each round. What
`striate train` does once, before the first step, is a line of its own: every picture is decoded, to
find damage, copies, mean and deviation.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import data as sources
from striate import devices, models
from striate.data.batches import Pictures, order, read
from striate.data.preparation.preprocessing import Preprocessing
from striate.inspection import Gathering
from striate.training import optim
from striate.training.loop import Progress, epoch
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.step import Learner

SIZE, BATCH = 224, 32
MEAN, STD = models.IMAGENET.mean, models.IMAGENET.std
PREPROCESSING = Preprocessing((SIZE, SIZE), normalise="dataset", mean=MEAN, std=STD)
WAYS = {"plain": {}, "random": {"resized_crop": 0.08, "flip": True}}
LEAST = 0.08


class Taken(NamedTuple):
    """Seconds that a round took."""

    wall: float
    processors: float


def timed(work: Callable[[], object]) -> Taken:
    """Do some work and return its seconds, with those of processes that ended in it."""
    began, used = time.perf_counter(), _used()
    work()
    return Taken(time.perf_counter() - began, _used() - used)


def _used() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, kinds))


def ours(pictures: Pictures, recipe: Recipe, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield values (N, C, H, W) and labels of an epoch, as a training does."""
    augment = Augmented(recipe)
    rows = order(len(pictures), seed=0, epoch=number)
    for batch in pictures.batches(rows, BATCH):
        pixels = augment(batch.pixels, batch.rows, seed=0, epoch=number)
        yield PREPROCESSING.values(pixels), batch.labels
    pictures.close()


def theirs(folder: Path, way: str, workers: int) -> Any:
    """Return torchvision's loader."""
    from torchvision import datasets, transforms

    first: list[Any] = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE)]
    if way == "random":
        first = [
            transforms.RandomResizedCrop(SIZE, scale=(LEAST, 1)),
            transforms.RandomHorizontalFlip(),
        ]
    last = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    pictures = datasets.ImageFolder(str(folder), transforms.Compose([*first, *last]))
    return torch.utils.data.DataLoader(pictures, BATCH, shuffle=True, num_workers=workers)


def run(batches: Any, most: int | None = None) -> None:
    """Take batches, all or so many, and close what gives them."""
    source = iter(batches)
    for _, _ in zip(range(most or 1 << 60), source, strict=False):
        pass
    if hasattr(source, "close"):
        source.close()


def loaders(folder: Path, rounds: int) -> dict[str, Any]:
    """Time both loaders alone: in each way, with no processes and with two."""
    split = sources.find(folder).splits["train"]
    found: dict[str, Any] = {}
    for way, changes in WAYS.items():
        for workers in (0, 2):
            pictures = Pictures(split, PREPROCESSING, workers=workers)
            recipe = Recipe(**changes)
            loader = theirs(folder, way, workers)
            turns: list[tuple[Taken, Taken]] = []
            for number in range(rounds + 1):
                mine = timed(lambda p=pictures, r=recipe, n=number: run(ours(p, r, n)))
                turns.append((mine, timed(lambda one=loader: run(one))))
            key = f"{way}, {counted_workers(workers)}"
            found[key] = told(key, turns[1:], len(split))  # the first warms up
    return found


def counted_workers(workers: int) -> str:
    """Write how many processes decode."""
    return f"{workers} workers" if workers else "no workers"


def told(name: str, turns: list[tuple[Taken, Taken]], count: int) -> dict[str, float]:
    """Print the rates and the ratio of some rounds, and return them."""
    found: dict[str, float] = {}
    for kind in Taken._fields:
        mine = statistics.median(getattr(a, kind) for a, _ in turns)
        other = statistics.median(getattr(b, kind) for _, b in turns)
        ratios = sorted(getattr(b, kind) / getattr(a, kind) for a, b in turns)
        found |= {f"{kind}_ours": count / mine, f"{kind}_theirs": count / other}
        found[f"{kind}_ratio"] = statistics.median(ratios)
        print(
            f"{name}, seconds of the {kind}: striate {count / mine:.1f}, torchvision "
            f"{count / other:.1f} pictures per second; ratio {found[f'{kind}_ratio']:.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}, n={len(turns)})"
        )
    return found


def first_reading(folder: Path) -> dict[str, float]:
    """Time the reading before the first step, which torchvision's loop has not."""
    split = sources.find(folder).splits["train"]
    gathering = Gathering()
    taken = timed(
        lambda: read(split, PREPROCESSING, workers=2, held_bytes=0, look=gathering.add)[0].close()
    )
    count = len(split)
    print(
        f"first reading, 2 workers, not counted above: {count / taken.wall:.0f} pictures per "
        f"second, {count / taken.processors:.0f} per second of a processor"
    )
    return {"wall": count / taken.wall, "processors": count / taken.processors}


def training(folder: Path, rounds: int, batches: int) -> dict[str, Any]:
    """Time ResNet-18's steps with their data: ours beside a plain loop of torchvision's parts."""
    recipe = Recipe(batch_size=BATCH, schedule="constant", epochs=1000, rate=0.01, **WAYS["random"])
    split = sources.find(folder).splits["train"]
    pictures = Pictures(split, PREPROCESSING, workers=2)
    classes = len(set(split.labels.tolist()))
    device = torch.device("cpu")
    model = devices.place(network(classes), device)
    learner = Learner(
        model, optim.optimiser(model, recipe), PREPROCESSING, Augmented(recipe), recipe, device
    )
    plain = network(classes)
    loader = theirs(folder, "random", 2)
    turns = []
    for number in range(rounds + 1):
        progress = Progress(epochs=number, step=number * -(-len(split) // BATCH))
        mine = timed(lambda p=progress: steps(learner, pictures, p, batches))
        turns.append((mine, timed(lambda: plain_steps(plain, loader, batches))))
        print(f"  round {number}: waiting for data {100 * progress.waited / mine.wall:.0f} %")
    return told("ResNet-18, 224 pixels", turns[1:], min(batches * BATCH, len(split)))


def network(classes: int) -> nn.Module:
    """Build torchvision's ResNet-18."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    found: nn.Module = resnet18(num_classes=classes)
    return found


def steps(learner: Learner, pictures: Pictures, progress: Progress, most: int) -> None:
    """Take steps as the product does."""
    source = epoch(learner, pictures, progress)
    for _, done in zip(range(most), source, strict=False):
        for step in done:
            progress.count(step)
    source.close()  # type: ignore[attr-defined]
    pictures.close()


def plain_steps(model: nn.Module, loader: Any, most: int) -> None:
    """Take steps as torchvision's reference does (references/classification/train.py)."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    source = iter(loader)
    for _, (values, labels) in zip(range(most), source, strict=False):
        loss = F.cross_entropy(model(values), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # its line of progress reads the loss
    del source


def main() -> None:
    """Time what was asked for."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(os.environ.get("STRIATE_DATA", "."))
    reader.add_argument("--data", type=Path, default=root / "photos" / "train")
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--training", action="store_true")
    reader.add_argument("--batches", type=int, default=20, help="a round of --training")
    reader.add_argument("--json", type=Path, help="write the numbers to this file too")
    chosen = reader.parse_args()
    print(f"{devices.describe(torch.device('cpu'))}, torch {torch.__version__}, batches of {BATCH}")
    if chosen.training:
        found = training(chosen.data, chosen.rounds, chosen.batches)
    else:
        found = {**loaders(chosen.data, chosen.rounds), "first": first_reading(chosen.data)}
    if chosen.json:
        chosen.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
