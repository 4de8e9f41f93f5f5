"""Train on handwritten digits, evaluate, predict, draw: `make demo`, under a minute."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import striate
from striate import terminal


def main() -> None:
    """Do what a first user does, and say in five lines what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/demo"))
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()

    view = terminal.view()
    try:
        run = striate.train(
            "digits", out=chosen.out, overwrite=True, seed=chosen.seed, show=view, tell=terminal.say
        )
    finally:
        view.close()
    found = run.evaluate()
    low, high = found.metrics.interval
    answers = run.predict(save_held_out(found.names, chosen.out / "pictures"))
    said = ", ".join(f"{a.file}: {a.classes[0].name} ({a.classes[0].probability:.1%})" for a in answers)
    result = run.result
    print(f"trained  {run.recipe['model']}, {result['parameters']:,} weights, {result['epochs']} epochs "
          f"in {result['train_seconds']:.0f} s, on four fifths of 1,797 handwritten digits")
    print(f"reached  {found.accuracy:.2%} on the {found.metrics.n} digits of the last fifth "
          f"(95 % interval {low:.1%} to {high:.1%})")
    print(f"asked    {said}")
    print(f"look at  {run.folder / 'overview.png'}: the curves, and the worst mistakes")
    print("next     striate train mnist, or striate train FOLDER with a folder of photos in each "
          "class's name (source .venv/bin/activate first)")


def save_held_out(names: list[str], folder: Path) -> list[Path]:
    """Save three digits that the network has not seen as PNG, with their label in the name."""
    folder.mkdir(parents=True, exist_ok=True)
    digits, paths = load_digits(), []
    for name in names[:3]:
        row = int(name.rpartition("/")[2])
        paths.append(folder / f"{digits.target[row]}-number-{row}.png")
        Image.fromarray(np.rint(digits.images[row] * (255 / 16)).astype(np.uint8)).save(paths[-1])
    return paths


if __name__ == "__main__":
    main()
