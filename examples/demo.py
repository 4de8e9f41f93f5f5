"""Train on handwritten digits, evaluate, predict, draw: `make demo`, under a minute."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import striate
from striate import console, terminal
from striate.wording import percent


def main() -> None:
    """Do what a first user does, and say what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/demo"))
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()

    view = terminal.view()
    try:
        run = striate.train(
            "digits", out=chosen.out, overwrite=True, seed=chosen.seed, show=view, tell=console.say
        )
    finally:
        view.close()
    found = run.evaluate()
    low, high = found.metrics.interval
    # Not in the run, which --overwrite replaces only while it holds nothing but a run's own files.
    beside = chosen.out.with_name(f"{chosen.out.name}-pictures")
    answers = run.predict(save_held_out(found.names, beside)[:3])
    said = ", ".join(
        f"{a.file} is a {a.classes[0].name} ({percent(a.classes[0].probability)})" for a in answers
    )
    result = run.result
    print(
        f"trained  {run.recipe['model']}, {result['parameters']:,} weights, {result['epochs']} "
        f"epochs in {result['train_seconds']:.0f} s, on four in five of 1,797 handwritten digits"
    )
    print(
        f"reached  {percent(found.accuracy)} on the {found.metrics.n} digits held out for the test "
        f"(95 % interval {percent(low)} to {percent(high)})"
    )
    print(f"asked    {said}")
    print(f"look at  {chosen.out / 'overview.png'}: the curves, and the worst mistakes")
    print(f"         {beside}: the digits of the test as pictures, a folder a class")
    print(f"next     source .venv/bin/activate; striate train {beside}, or your own such folder")


def save_held_out(names: Sequence[str], folder: Path) -> list[Path]:
    """Save the digits that the network has not seen as PNG, in a folder for each class."""
    digits, paths = load_digits(), []
    for name in names:
        row = int(name.rpartition("/")[2])
        paths.append(folder / str(digits.target[row]) / f"{row}.png")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(digits.images[row] * (255 / 16)).astype(np.uint8)).save(paths[-1])
    return paths


if __name__ == "__main__":
    main()
