"""A folder of pictures, a folder a class: look it over, train, and sort what comes in."""

from pathlib import Path

import numpy as np
from PIL import Image

import striate


def draw(folder: Path, count: int = 40) -> None:
    """Draw crosses and rings of any colour, in the place of photographs."""
    random = np.random.default_rng(0)
    for kind in ("cross", "ring"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            y, x = np.mgrid[:32, :32] - 15.5 + random.uniform(-4, 4, (2, 1, 1))
            ring = abs(np.hypot(x, y) - 8) < 2
            shape = (abs(x) < 2) | (abs(y) < 2) if kind == "cross" else ring
            ink, paper = random.integers(0, 100, 3), random.integers(150, 256, 3)
            pixels = np.where(shape[..., None], ink, paper).astype(np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")


photos = Path("shapes")
draw(photos)
report = striate.inspect(photos)
print(report.classes, "unreadable:", len(report.unreadable))
run = striate.train(photos, epochs=10, batch_size=16, out="runs/shapes", overwrite=True)
print(f"{run.split} accuracy {run.accuracy:.0%}")
for answer in run.predict(photos / "ring", top=1)[:3]:
    print(answer.file, answer.classes[0].name)
