"""What helps where classes are unequally frequent: CIFAR-10 cut to 1:100, on its whole test split.

    python benchmarks/imbalance.py --rows imbalance.jsonl            4 ways, 3 seeds
    python benchmarks/imbalance.py --rows imbalance.jsonl --seeds 5  two seeds more

Class k keeps 5,000 / 100 ** (k / 9) training pictures, the first ones: 5,000 airplanes, 50 trucks.
Each training is the same but for the one choice, and the last epoch is kept: there is no validation
split. Trainings whose rows are in the file are not done again.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from striate import api, seeing
from striate import data as sources
from striate.data import Data

RATIO = 100
COMMON: dict[str, Any] = {
    "model": "convnet",
    "arguments": {"width": 8},
    "size": 16,  # so that a training takes a quarter of a minute of one core
    "epochs": 6,
    "batch_size": 64,
    "validation_share": 0.0,
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "class weights": {"class_weights": "balanced"},
    "balanced sampling": {"sampling": "balanced"},
    "focal loss": {"focal": 2.0},
}


def cut(data: Data, ratio: int) -> Data:
    """Keep fewer pictures of each class than of the one before, of the last 1 in `ratio`."""
    train, steps = data.splits["train"], len(data.classes) - 1
    kept = []
    for label in range(len(data.classes)):
        rows = np.flatnonzero(train.labels == label)
        kept.append(rows[: round(len(rows) * ratio ** (-label / steps))])
    splits = {**data.splits, "train": train.take(np.sort(np.concatenate(kept)))}
    return dataclasses.replace(data, name=f"{data.name}-{ratio}", splits=splits)


def row(data: Data, way: str, seed: int) -> dict[str, Any]:
    """Train once and measure on the test split."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        run = api.train(data, out=Path(place) / "run", seed=seed, **COMMON, **WAYS[way])
        counts = seeing.confusion(seeing.read_answers(run.folder)).counts
        numbers = {key: run.result[key] for key in ("accuracy", "balanced_accuracy", "loss")}
    return {
        "way": way,
        "seed": seed,
        **numbers,
        "recalls": (counts.diagonal() / counts.sum(1)).tolist(),
        "trained_on": np.bincount(data.splits["train"].labels).tolist(),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of trainings that were done."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def spread(values: list[float]) -> str:
    """Write a mean and a standard deviation, in percent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):5.1f} ± {100 * deviation:.1f}"


def expected(row: dict[str, Any]) -> float:
    """Compute the accuracy where classes are as frequent as in training."""
    return float(np.average(row["recalls"], weights=row["trained_on"]))


def report(rows: list[dict[str, Any]]) -> None:
    """Print a line a way.

    The test split has as many pictures of each class: its accuracy is the balanced one. As in
    training is the accuracy where classes are as frequent as there; frequent and rare are the
    recall of the three classes with most and with fewest training pictures.
    """
    print("way                balanced     as in training  frequent     rare         loss  CPU s")
    for way in WAYS:
        own = [one for one in rows if one["way"] == way]
        if own:
            columns = [
                spread([one["balanced_accuracy"] for one in own]),
                spread([expected(one) for one in own]),
                spread([statistics.mean(one["recalls"][:3]) for one in own]),
                spread([statistics.mean(one["recalls"][-3:]) for one in own]),
            ]
            loss, seconds = (
                statistics.mean(one[key] for one in own) for key in ("loss", "cpu_seconds")
            )
            print(f"{way:18} {'   '.join(columns)}   {loss:.2f}   {seconds:.0f}  n={len(own)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, required=True, help="rows of trainings: .jsonl")
    given = parser.parse_args()
    data = cut(sources.find("cifar10"), RATIO)
    done = {(one["way"], one["seed"]) for one in read(given.rows)}
    for seed in range(given.seeds):
        for way in WAYS:
            if (way, seed) not in done:
                with given.rows.open("a") as handle:
                    handle.write(json.dumps(row(data, way, seed)) + "\n")
    report(read(given.rows))


if __name__ == "__main__":
    main()
