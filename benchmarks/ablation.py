"""What each choice of a training adds to the plain preset, on a small piece of CIFAR-10.

    nice -n 19 python benchmarks/ablation.py rows.jsonl

Rows are added to the file one by one; called again, it goes on with those that are missing. A small
network, few pictures and few epochs: what pays here pays early, and strong augmentation does not.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

import striate
from striate import data as sources
from striate.training.start import Means

PLAIN = "plain"
CELLS: dict[str, Mapping[str, Any]] = {
    PLAIN: {},  # shifts by 4 pixels and mirrors, as for all colour pictures; sgd
    "no augmentation": {"crop_padding": 0, "flip": False},
    "ema 0.99": {"ema": 0.99},
    "ema 0.999": {"ema": 0.999},
    "muon": {"optimiser": "muon"},
    "adamw": {"optimiser": "adamw"},
    "alternate flip": {"alternate_flip": True},
    "resized crop 0.35": {"resized_crop": 0.35, "crop_padding": 0},
    "trivial-wide": {"policy": "trivial-wide"},
    "rand-augment": {"policy": "rand-augment"},
    "cutout 0.25": {"cutout": 0.25},
    "erase 0.25": {"erase": 0.25},
    "mixup 0.2": {"mixup": 0.2},
    "cutmix 1": {"cutmix": 1.0},
}


def main() -> None:
    """Train the cells that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, help="JSONL, one line a training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--train", type=int, default=4000, help="pictures to train on")
    parser.add_argument("--test", type=int, default=2000, help="pictures to measure on")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=CELLS, default=list(CELLS))
    options = vars(parser.parse_args())
    path, seeds, only = options.pop("rows"), range(options.pop("seeds")), options.pop("only")
    torch.set_num_threads(1)
    rows = read(path, options)
    done = {(row["cell"], row["seed"]) for row in rows}
    data: dict[str, TensorDataset] = {}
    for seed in seeds:
        for cell in only:
            if (cell, seed) not in done:
                data = data or pictures(options["train"], options["test"])
                rows.append(trained(data, cell, seed, options))
                with path.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    for line in table(rows):
        print(line)


def read(path: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read the rows of these settings."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if settings.items() <= row.items()]


def pictures(train: int, test: int) -> dict[str, TensorDataset]:
    """Take the first pictures of CIFAR-10's two splits."""
    found = sources.find("cifar10").splits
    return {name: taken(found[name], count) for name, count in (("train", train), ("test", test))}


def taken(split: Any, count: int) -> TensorDataset:
    """Take the first pictures of a split, of all classes in turn, as the files have them mixed."""
    chosen: NDArray[np.uint8] = np.asarray(split.pictures[:count])
    channels_first = torch.from_numpy(chosen).permute(0, 3, 1, 2)
    return TensorDataset(channels_first, torch.from_numpy(split.labels[:count]))


def trained(
    data: Mapping[str, TensorDataset], cell: str, seed: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Train a cell and return its row."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = striate.train(
            data,
            model="convnet",
            arguments={"width": settings["width"]},
            epochs=settings["epochs"],
            validation_share=0.0,
            seed=seed,
            out=Path(folder) / "run",
            means=Means(workers=0, device="cpu"),
            **CELLS[cell],
        )
        found = {"accuracy": run.accuracy, "train_loss": run.history[-1]["train_loss"]}
    seconds = round(time.process_time() - began, 1)
    return {"cell": cell, "seed": seed, **settings, **found, "cpu_seconds": seconds}


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table: accuracy and paired difference in percentage points."""
    by_cell: dict[str, dict[int, float]] = {}
    for row in rows:
        by_cell.setdefault(row["cell"], {})[row["seed"]] = 100 * row["accuracy"]
    plain = by_cell.get(PLAIN, {})
    yield "| choice | n | accuracy % | paired difference | CPU s |"
    yield "|---|---|---|---|---|"
    for cell, by_seed in by_cell.items():
        apart = [by_seed[seed] - plain[seed] for seed in by_seed if seed in plain]
        seconds = statistics.mean(row["cpu_seconds"] for row in rows if row["cell"] == cell)
        difference = "" if cell == PLAIN or not apart else spread(apart, "+.2f")
        accuracy = spread(list(by_seed.values()), ".2f")
        yield f"| {cell} | {len(by_seed)} | {accuracy} | {difference} | {seconds:.0f} |"


def spread(values: Sequence[float], form: str) -> str:
    """Write a mean with its standard deviation, where there are several values."""
    mean = f"{statistics.mean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
