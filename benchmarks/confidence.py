"""What a temperature and several views change: two networks on 10,000 pictures of CIFAR-10.

    python benchmarks/confidence.py runs/confidence

One is taught with the usual augmentation for few epochs, one without any for many. Each leaves its
run in the folder; one that is there already is not trained again.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from striate import api
from striate import data as sources
from striate.data import Data
from striate.runs import folder

EACH = 1000  # training pictures of a class, the first ones
COMMON: dict[str, Any] = {
    "model": "convnet",
    "arguments": {"width": 8},
    "size": 16,
    "batch_size": 64,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "usual": {"epochs": 8},
    "bare": {"epochs": 20, "flip": False, "crop_padding": 0},
}


def part(data: Data) -> Data:
    """Keep the first pictures of each class for training."""
    train = data.splits["train"]
    kept = [np.flatnonzero(train.labels == label)[:EACH] for label in range(len(data.classes))]
    rows = np.sort(np.concatenate(kept))
    return dataclasses.replace(data, splits={**data.splits, "train": train.take(rows)})


def line(name: str, run: api.Run) -> str:
    """Measure one network before and after its temperature, and by more views."""
    temperature = run.calibrate()
    own = run.evaluate()
    document = own.to_json()
    after = document["calibration"]
    before = after["without"]
    views = [run.evaluate(tta=tta).to_json()["tta"]["accuracy"] for tta in ("flip", "crops")]
    shares = [100 * share for share in (own.accuracy, *views)]
    errors = [100 * one["error"] for one in (before, after)]
    return (
        f"{name:6} accuracy {shares[0]:.2f}, flips {shares[1]:.2f}, crops {shares[2]:.2f}; "
        f"temperature {temperature:.3f}: ECE {errors[0]:.2f} -> {errors[1]:.2f}, "
        f"loss {before['loss']:.4f} -> {after['loss']:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("place", type=Path)
    place = parser.parse_args().place
    data = part(sources.find("cifar10"))
    for name, choices in NETWORKS.items():
        path = place / name
        if not (path / folder.RESULT).is_file():
            api.train(data, out=path, overwrite=path.exists(), **COMMON, **choices)
        print(line(name, api.load(path)))


if __name__ == "__main__":
    main()
