"""Does one --strength mean the same at every size? Two answers, a line a size.

    python benchmarks/painting_strength.py --data DATA --evaluate 256 512 1024 2048
    python benchmarks/painting_strength.py --data DATA --paint 256 512 1024

`--evaluate`: content, style and a picture half way between, each a mosaic of one cut of 128 pixels
and its mirror images (a network tells left from right), so that all sizes from 256 on show the same
things: what the losses divide by should make their residuals, and with them the balance of style
and content, the same. `--paint`: a photograph painted at each size from pictures enlarged where
they are smaller, without a time limit: where style and content come to.
"""

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import striate
from striate.painting.budgets import memory
from striate.painting.losses.objective import Objective
from striate.painting.networks import loading
from striate.painting.networks.protocol import Network
from striate.painting.pictures import canvas
from striate.painting.pictures.scene import Region, Scene
from striate.painting.settings import Settings

CUT = 128  # pixels
LIMIT = 2**31  # bytes for an evaluation


def main() -> None:
    """Print a line of JSON for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--content", default="china")
    parser.add_argument("--style", default="starry_night")
    parser.add_argument("--loss", default="w2")
    parser.add_argument("--evaluate", nargs="*", type=int, default=[])
    parser.add_argument("--paint", nargs="*", type=int, default=[])
    given = parser.parse_args()
    weights = given.data / "weights" / "vgg16-hed-trunk.safetensors"
    network = loading.ready(Settings(model="vgg16"), weights, device="cpu")
    content, style = (
        Image.open(given.data / "style" / f"{name}.jpg").convert("RGB")
        for name in (given.content, given.style)
    )
    for size in given.evaluate:
        print(json.dumps(evaluated(content, style, size, given.loss, network)), flush=True)
    for size in given.paint:
        print(json.dumps(painted(content, style, size, given.loss, network)), flush=True)


def evaluated(
    content: Image.Image, style: Image.Image, size: int, loss: str, network: Network
) -> dict[str, object]:
    """Return the residuals of a mosaic half way between content and style."""
    one, other = mosaic(content, size), mosaic(style, size)
    between = 0.5 * one + 0.5 * other
    scene = Scene(one, [other], [Region(None, {0: 1.0})], one)
    tile = memory.fit((size, size), network, Settings(model="vgg16", loss=loss), LIMIT).tile
    look = Objective(network, scene, loss=loss, tile=tile).look(between)
    mean = sum(look.style.values()) / len(look.style)
    balance = mean / look.content
    return {"size": size, "style": mean, "content": look.content, "style/content": balance}


def painted(
    content: Image.Image, style: Image.Image, size: int, loss: str, network: Network
) -> dict[str, object]:
    """Return the residuals of a finished painting."""
    larger = canvas.fitted(style, max(size, max(style.size)))
    *_, frame = striate.paint(
        canvas.fitted(content, size), larger, network=network, size=size, loss=loss
    )
    mean = sum(frame.style.values()) / len(frame.style)
    return {"size": size, "style": mean, "content": frame.content, "stages": frame.stages}


def mosaic(image: Image.Image, size: int) -> Tensor:
    """Return the middle of a picture, mirrored side by side up to a size: (1, 3, size, size)."""
    left, top = (image.width - CUT) // 2, (image.height - CUT) // 2
    cut = canvas.pixels(image.crop((left, top, left + CUT, top + CUT)))
    count = -(-size // CUT)
    parts = [cut if number % 2 == 0 else cut.flip(3) for number in range(count)]
    row = torch.cat(parts, dim=3)
    rows = [row if number % 2 == 0 else row.flip(2) for number in range(count)]
    return torch.cat(rows, dim=2)[..., :size, :size].contiguous()


if __name__ == "__main__":
    main()
