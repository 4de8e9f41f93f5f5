"""Is the border of a painting like its inside? A line a pair of JSON, and their means.

    python benchmarks/painting_border.py --data DATA --loss w2

A photograph is painted twice: whole, and without the outermost MARGIN pixels. The band along the
border of the smaller painting lies inside the larger one, shows the same things there, and has been
painted at the same scale with as many steps. So the Gram residual of that band in the one over the
same in the other says what being a border does, whatever the photograph has there. Each painting
is fitted to its style over its own area: so the measure of that ratio is the next bands inward,
which are inside both, and not 1.
"""

import argparse
import json
import statistics
from pathlib import Path

import painting_sheet as sheet
from PIL import Image
from torch import Tensor

from striate.painting import canvas, networks, transfer
from striate.painting.backbone import Network
from striate.painting.canvas import Style
from striate.painting.pace import Stage
from striate.painting.settings import Budget, Settings

LARGE, MARGIN = 352, 48  # pixels of the long side, and of what is left out at each end
SMALL = LARGE - 2 * MARGIN
STEPS = (40, 24, 14)
BANDS = 3


def main() -> None:
    """Paint all pairs twice and compare their bands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--loss", default="w2")
    given = parser.parse_args()
    network = networks.ready(
        Settings(model="vgg16"),
        given.data / "weights" / "vgg16-hed-trunk.safetensors",
        device="cpu",
    )
    found = []
    for content in sheet.CONTENTS:
        photo = canvas.fitted(opened(given.data, content), LARGE)
        inner = (MARGIN, MARGIN, photo.width - MARGIN, photo.height - MARGIN)
        for name in sheet.STYLES:
            style = opened(given.data, name)
            # The same strokes: a style is scaled with the long side.
            large = painted(photo, style, network, given.loss, scale=SMALL / LARGE)
            small = painted(photo.crop(inner), style, network, given.loss, scale=1.0)
            inside = large[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
            model = canvas.pixels(canvas.fitted(style, SMALL))
            found.append(
                [
                    sheet.ring(small, model, number, network)
                    / sheet.ring(inside, model, number, network)
                    for number in range(BANDS)
                ]
            )
            print(json.dumps({"pair": f"{content}:{name}", "bands": found[-1]}), flush=True)
    for number, ratios in enumerate(zip(*found, strict=True)):
        error = statistics.stdev(ratios) / len(ratios) ** 0.5
        print(json.dumps({"band": number, "mean": statistics.mean(ratios), "error": error}))


def opened(data: Path, name: str) -> Image.Image:
    """Open a picture of DATA/style."""
    return Image.open(data / "style" / f"{name}.jpg").convert("RGB")


def painted(
    photo: Image.Image, style: Image.Image, network: Network, loss: str, *, scale: float
) -> Tensor:
    """Paint by a fixed number of steps: (1, 3, H, W)."""
    settings = Settings(size=max(photo.size), style_scale=scale, loss=loss, model="vgg16")
    stages = [
        Stage(side, count) for side, count in zip(canvas.levels(settings.size), STEPS, strict=True)
    ]
    pace = transfer.paced(photo, settings, Budget(), replay=stages)
    *_, frame = transfer.paint(photo, [Style(style)], network, settings, pace=pace)
    return frame.picture[None]


if __name__ == "__main__":
    main()
