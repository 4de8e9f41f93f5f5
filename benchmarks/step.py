"""What a training step costs beside a bare loop of the same network, and how often it waits.

    OMP_NUM_THREADS=1 python benchmarks/step.py [--device cuda]

Both take the same steps on the same pixels, without augmentation, in turns; the ratio is that of
the medians. The bare loop keeps pixels on the device, cuts batches out, normalises, and steps; it
reads no number and looks at nothing.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from striate import devices, models
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.training import optim
from striate.training.loop import Progress, epoch
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.step import Learner

BATCH = 128
NETS = {  # side of the pictures, channels, network, its arguments
    "28,700 parameters, 28 px": (28, 1, "convnet", {"width": 10}),
    "convnet, 32 px": (32, 3, "convnet", {}),
    "mnist-convnet, 28 px": (28, 1, "mnist-convnet", {}),
}


def main() -> None:
    """Time each network and print a row."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--device", default="cpu")
    reader.add_argument("--steps", type=int, default=20, help="a round")
    reader.add_argument("--rounds", type=int, default=9, help="of each, in turns")
    chosen = reader.parse_args()
    device = devices.pick(chosen.device)
    print(f"{devices.describe(device)}, torch {torch.__version__}, batches of {BATCH}")
    for name, (side, channels, model, arguments) in NETS.items():
        rivals = [
            make(side, channels, build(model, arguments, channels, side), device)
            for make in (ours, bare)
        ]
        seconds: list[list[float]] = [[], []]
        for turn in range(chosen.rounds + 1):
            for taken, rival in zip(seconds, rivals, strict=True):
                spent = timed(rival, chosen.steps, device)
                if turn:  # the first warms up
                    taken.append(spent / chosen.steps)
        ratios = sorted(a / b for a, b in zip(*seconds, strict=True))
        mine, theirs = map(statistics.median, seconds)
        print(
            f"{name}: {BATCH / mine:,.0f} pictures/s, bare {BATCH / theirs:,.0f}; a step takes "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) of a bare one"
        )


def build(name: str, arguments: dict[str, int], channels: int, side: int) -> nn.Module:
    """Build a network with weights that a seed decides."""
    torch.manual_seed(0)
    plan = models.find(name, arguments)
    return models.build(plan, 10, channels=channels, size=(side, side))


def drawn(side: int, channels: int, count: int) -> torch.Tensor:
    """Draw noise as pixels (N, C, H, W), uint8."""
    random = torch.Generator().manual_seed(0)
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)


def ours(side: int, channels: int, model: nn.Module, device: torch.device) -> Iterator[int]:
    """Train as the product does; yields the steps done."""
    recipe = Recipe(batch_size=BATCH, schedule="constant", epochs=100_000, rate=0.01)
    model = devices.place(model, device)
    preprocessing = Preprocessing((side, side), channels, mean=(0.5,), std=(0.25,))
    learner = Learner(
        model, optim.optimiser(model, recipe), preprocessing, Augmented(recipe), recipe, device
    )
    pixels = drawn(side, channels, 40 * BATCH)
    split = Split(pixels.numpy(), np.arange(len(pixels)) % 10, [str(i) for i in range(len(pixels))])
    pictures = Pictures(split, preprocessing, pixels=pixels).on(device)
    progress = Progress()
    while True:
        for steps in epoch(learner, pictures, progress):
            for step in steps:
                progress.count(step)
                yield step.number
        progress.close_epoch({})


def bare(side: int, channels: int, model: nn.Module, device: torch.device) -> Iterator[int]:
    """Train with nothing but the arithmetic; yields the steps done."""
    model = devices.place(model, device).train()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    pixels = drawn(side, channels, 40 * BATCH).to(device)
    labels = (torch.arange(len(pixels)) % 10).to(device)
    done = 0
    while True:
        for rows in torch.randperm(len(pixels)).to(device).split(BATCH):
            values = (pixels[rows].float() - 127.5) / 63.75
            values = values.contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(values), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done += 1
            yield done


def timed(steps: Iterator[int], count: int, device: torch.device) -> float:
    """Take steps and return the seconds that they took on the device."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for _, _ in zip(range(count), steps, strict=False):
        pass
    wait()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
