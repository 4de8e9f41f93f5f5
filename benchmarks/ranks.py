"""Two processes with a thread each beside one process with two: how much of the speed is left.

    python benchmarks/ranks.py [--model convnet --size 32 --batch 128] [--rounds 5] [--json FILE]

Each round starts every setting once, in turns, and times the steps after a few that warm up; start
and import are not counted. Efficiency is the pictures a second of two processes by those of one
with as many threads, in the same round: the median, and all rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "one process, one thread": {"processes": 1, "threads": 1},
    "one process, two threads": {"processes": 1, "threads": 2},
    "two processes": {"processes": 2, "threads": 1},
    "two processes, own statistics": {"processes": 2, "threads": 1, "norms": "rank"},
}
WARM = 3  # steps


def main() -> None:
    """Measure all settings in turns and print a row each."""
    chosen = _read_flags()
    if chosen.block:
        speed = measured(chosen)
        if os.environ["RANK"] == "0":
            print(speed)
        return
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(chosen.rounds):
        for name, setting in SETTINGS.items():
            found[name].append(_block(chosen, **setting))
    beside = found["one process, two threads"]
    print(
        f"{chosen.model}, {chosen.size} px, batches of {chosen.batch}, {chosen.steps} steps a "
        f"round, {chosen.rounds} rounds, {os.cpu_count()} processors"
    )
    rows = {name: _row(speeds, beside) for name, speeds in found.items()}
    for name, row in rows.items():
        low, high = min(row["ratios"]), max(row["ratios"])
        print(
            f"{name}: {row['per_second']:,.0f} pictures/s, {row['ratio']:.2f} "
            f"({low:.2f} to {high:.2f}) of one process with two threads"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps({"chosen": vars(chosen), "rows": rows}, default=str))


def _read_flags() -> argparse.Namespace:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--model", default="convnet")
    reader.add_argument("--size", type=int, default=32)
    reader.add_argument("--batch", type=int, default=128)
    reader.add_argument("--steps", type=int, default=20)
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--statistics", default="global")
    reader.add_argument("--json", type=Path)
    reader.add_argument("--block", action="store_true", help=argparse.SUPPRESS)
    return reader.parse_args()


def _row(speeds: list[float], beside: list[float]) -> dict[str, Any]:
    ratios = [own / other for own, other in zip(speeds, beside, strict=True)]
    return {
        "per_second": statistics.median(speeds),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def _block(
    chosen: argparse.Namespace, *, processes: int, threads: int, norms: str = "global"
) -> float:
    """Start a setting's processes, and return their pictures a second."""
    names = ("model", "size", "batch", "steps")
    flags = [f"--{name}={getattr(chosen, name)}" for name in names]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *launcher, __file__, *flags, f"--statistics={norms}", "--block"],
        env={**os.environ, "OMP_NUM_THREADS": f"{threads}"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def measured(chosen: argparse.Namespace) -> float:
    """Take steps in this process and those beside it: pictures a second."""
    import torch

    from striate import ranks
    from striate.training.loop import Progress, epoch
    from striate.training.stages import Stage, Teaching
    from striate.training.together import shared

    with ranks.joined("cpu"):
        torch.manual_seed(0)
        learner, pictures = _made(chosen)
        teaching = Teaching(Stage(0, 1, frozen=False), learner, {"train": pictures}, "")
        steps = epoch(shared(teaching).learner, pictures, Progress())
        for _ in range(WARM):
            next(steps)
        ranks.wait()
        began = time.perf_counter()
        done = sum(step.pictures for taken in steps for step in taken)
        ranks.wait()
        return done / (time.perf_counter() - began)


def _made(chosen: argparse.Namespace) -> tuple[Any, Any]:
    """Make what the product teaches a network with, and noise to teach it."""
    import numpy as np
    import torch

    from striate import devices, models
    from striate.data.batches import Pictures
    from striate.data.preparation.preprocessing import Preprocessing
    from striate.data.splits import Split
    from striate.training import optim
    from striate.training.pictures import Augmented
    from striate.training.recipe import Recipe
    from striate.training.step import Learner

    size, cpu, own = chosen.size, torch.device("cpu"), chosen.statistics
    recipe = Recipe(batch_size=chosen.batch, schedule="constant", rate=0.01, batch_statistics=own)
    plan = models.find(chosen.model, {})
    model = devices.place(models.build(plan, 10, channels=3, size=(size, size)), cpu)
    preprocessing = Preprocessing((size, size), 3, mean=(0.5,), std=(0.25,))
    count = (chosen.steps + WARM) * chosen.batch
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    split = Split(pixels.numpy(), np.arange(count) % 10, [f"{row}" for row in range(count)])
    optimiser = optim.optimiser(model, recipe)
    learner = Learner(model, optimiser, preprocessing, Augmented(recipe), recipe, cpu)
    return learner, Pictures(split, preprocessing, pixels=pixels)


if __name__ == "__main__":
    main()
