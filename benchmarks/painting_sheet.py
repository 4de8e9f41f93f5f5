"""Three photographs like four paintings on one sheet, docs/painting.jpg.

    python benchmarks/painting_sheet.py --data DATA --out runs/sheet --size 288 --steps 12 12 40

DATA/style holds the pictures, DATA/weights the VGG-16 trunk. Steps are given for each level, so
that the sheet is the same on a slow machine. What is painted already in --out is kept, so that the
work can be stopped; --only paints some and draws nothing. Beside the sheet it prints, for each
painting, the share of saturated values, and how much finer grain there is than in the style.
"""

import argparse
from pathlib import Path

from PIL import Image
from torch import Tensor

from striate.painting import tasks
from striate.painting.budgets.pace import Stage
from striate.painting.networks import loading
from striate.painting.networks.protocol import Network
from striate.painting.pictures import canvas
from striate.painting.record import StyleFile, Work
from striate.painting.settings import Budget, Settings
from striate.painting.tasks import Task

CONTENTS = ("china", "flower", "astronaut")
STYLES = ("starry_night", "the_scream", "shipwreck", "composition_vii")
WIDTH, GAP = 330, 6  # of a picture on the sheet, and between two


def main() -> None:
    """Paint what is missing, measure all, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=288)
    parser.add_argument("--steps", nargs="+", type=int, default=[12, 12, 40])
    parser.add_argument("--only", nargs="+", metavar="CONTENT", choices=CONTENTS)
    parser.add_argument("--sheet", type=Path, default=Path("docs/painting.jpg"))
    given = parser.parse_args()
    weights = given.data / "weights" / "vgg16-hed-trunk.safetensors"
    network = loading.ready(Settings(model="vgg16"), weights, device="cpu")
    print("content style saturated grain")
    for content in given.only or CONTENTS:
        for style in STYLES:
            out = given.out / f"{content}-{style}.png"
            if not out.is_file():
                paint(given, content, style, out, network)
            measures = measured(out, given.data / "style" / f"{style}.jpg")
            print(content, style, *(f"{value:.3f}" for value in measures), flush=True)
    if not given.only:
        draw(given.out, given.data / "style").save(given.sheet, quality=82, optimize=True)


def paint(given: argparse.Namespace, content: str, style: str, out: Path, network: Network) -> None:
    """Paint one picture with the command's defaults, so many steps a level."""
    one, other = (given.data / "style" / f"{name}.jpg" for name in (content, style))
    work = Work(one, (StyleFile(other),), Settings(size=given.size, model="vgg16"))
    steps = zip(canvas.levels(given.size), given.steps, strict=True)
    replay = tuple(Stage(side, count) for side, count in steps)
    for _ in tasks.frames(Task(work, out, Budget(), replay=replay), network):
        pass


def measured(path: Path, style: Path) -> tuple[float, float]:
    """Return the share of saturated values, and grain over the style's."""
    with Image.open(path) as image:
        picture = canvas.pixels(image)
    with Image.open(style) as image:
        model = canvas.pixels(canvas.fitted(image, max(picture.shape)))
    saturated = float(((picture <= 0) | (picture >= 1)).float().mean())
    return saturated, grain(picture) / grain(model)


def grain(picture: Tensor) -> float:
    """Return the energy of the finest checkerboard over that of all differences of neighbours."""
    fine = picture[..., :-1, :-1] - picture[..., 1:, :-1] - picture[..., :-1, 1:]
    fine = fine + picture[..., 1:, 1:]
    down, right = picture.diff(dim=2), picture.diff(dim=3)
    return float(fine.square().mean() / (down.square().mean() + right.square().mean()))


def draw(folder: Path, styles: Path) -> Image.Image:
    """Return the paintings on one sheet, a row a photograph, under the styles."""
    rows = [[styles / f"{style}.jpg" for style in STYLES]]
    rows += [[folder / f"{content}-{style}.png" for style in STYLES] for content in CONTENTS]
    heights = [WIDTH // 2, *([round(WIDTH * 2 / 3)] * 2), WIDTH]
    sheet = Image.new(
        "RGB",
        (len(STYLES) * (WIDTH + GAP) + GAP, sum(heights) + GAP * (len(heights) + 1)),
        "white",
    )
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, path in enumerate(row):
            with Image.open(path) as image:
                picture = filled(image.convert("RGB"), WIDTH, height)
            sheet.paste(picture, (GAP + column * (WIDTH + GAP), top))
        top += height + GAP
    return sheet


def filled(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the middle of a picture in this size."""
    factor = max(width / image.width, height / image.height)
    size = (round(image.width * factor), round(image.height * factor))
    larger = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return larger.crop((left, top, left + width, top + height))


if __name__ == "__main__":
    main()
