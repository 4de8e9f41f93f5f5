"""Which epoch to keep, where few validation pictures tell: rules compared on the test split.

    python benchmarks/best_epoch.py            5 seeds of each training
    python benchmarks/best_epoch.py --seeds 2 --only digits

A training is done once a seed, with the test split measured after each epoch; then each rule
chooses an epoch by the validation split alone. The seed is that of the split as well.
"""

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate import api, devices, evaluation, metrics
from striate.data.sources.named import data_root
from striate.training.session import Epoch, Event, Session

Row = dict[str, Any]
SMALL = {"model": "convnet", "arguments": {"width": 8}}
# 70 validation pictures of each; the digits' other choices are the usual ones.
TRAININGS: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits", "validation_share": 0.049, **SMALL},
    "digits, 15 epochs": {"data": "digits", "validation_share": 0.049, "epochs": 15, **SMALL},
    "digits, constant rate": {
        "data": "digits",
        "validation_share": 0.049,
        "schedule": "constant",
        "rate": 0.02,
        "epochs": 30,
        **SMALL,
    },
    "photos at 32 pixels": {"data": "photos", "size": 32, "epochs": 20, **SMALL},
    "photos, fine-tuned at 96 pixels": {
        "data": "photos",
        "size": 96,
        "epochs": 4,
        "model": "timm/efficientnet_lite0",
        "weights": str(data_root() / "weights" / "efficientnet_lite0.safetensors"),
        "rate": 0.02,
        "batch_size": 32,
    },
    "photos, constant rate": {
        "data": "photos",
        "size": 32,
        "epochs": 20,
        "schedule": "constant",
        "rate": 0.02,
        **SMALL,
    },
}


def within(rows: list[Row]) -> list[Row]:
    """Keep the epochs within one standard error of the best validation accuracy."""
    best = max(row["validation_accuracy"] for row in rows)
    error = math.sqrt(best * (1 - best) / rows[0]["n"])
    return [row for row in rows if row["validation_accuracy"] >= best - error]


def plain(rows: list[Row]) -> Row:
    """Choose the best accuracy; of equals the lower loss, then the later one."""
    return max(
        rows, key=lambda row: (row["validation_accuracy"], -row["validation_loss"], row["epoch"])
    )


def lowest_loss(rows: list[Row]) -> Row:
    """Choose the lowest validation loss."""
    return min(rows, key=lambda row: row["validation_loss"])


RULES: dict[str, Callable[[list[Row]], Row]] = {
    "best accuracy": plain,
    "newest within 1 SE": lambda rows: within(rows)[-1],
    "lowest loss within 1 SE": lambda rows: lowest_loss(within(rows)),
    "lowest loss": lowest_loss,
    "last": lambda rows: rows[-1],
}


def epochs(choices: dict[str, Any], seed: int) -> list[Row]:
    """Train once, and give each epoch's line with the accuracy on the test split."""
    rows: list[Row] = []

    def show(session: Session, event: Event) -> None:
        if not isinstance(event, Epoch):
            return
        learner, test = session.learner, session.pictures["test"]
        found = evaluation.logits(
            learner.model, learner.preprocessing, test, device=devices.pick("cpu")
        )
        measured = metrics.measure(found, test.labels, session.classes)
        n = len(session.pictures["validation"])
        rows.append({**event.row, "n": n, "test": measured.accuracy, "tested": measured.n})

    given = {**choices, "seed": seed, "split_seed": seed}
    data = given.pop("data")
    with tempfile.TemporaryDirectory() as place:
        api.train(
            data_root() / "photos" if data == "photos" else data,
            out=Path(place) / "run",
            show=show,
            **given,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--rows", type=Path, help="keep each epoch's line here: .jsonl")
    given = parser.parse_args()
    for name, choices in TRAININGS.items():
        if given.only not in name:
            continue
        runs = [epochs(choices, seed) for seed in range(given.seeds)]
        if given.rows:
            with given.rows.open("a") as handle:
                for seed, rows in enumerate(runs):
                    handle.writelines(
                        json.dumps({"training": name, "seed": seed, **row}) + "\n" for row in rows
                    )
        print(f"{name}: {runs[0][0]['n']} to choose by, {runs[0][0]['tested']} to test on")
        for rule, choose in RULES.items():
            tests = [100 * choose(rows)["test"] for rows in runs]
            kept = ", ".join(str(choose(rows)["epoch"]) for rows in runs)
            spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
            print(f"  {rule:24} {statistics.mean(tests):6.2f} ± {spread:.2f}  epochs {kept}")


if __name__ == "__main__":
    main()
