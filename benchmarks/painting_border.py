"""Is the border of a painting like its inside? A line a texture of JSON, and their means.

    python benchmarks/painting_border.py --data DATA --loss w2
    python benchmarks/painting_border.py --data DATA --loss gram --seeds 0 1

Textures are painted from noise, with no weight of content: nothing but the border tells one place
from another. `energy`: what neighbours differ by (the mean square) in bands of 8 pixels along the
border, as a share of the same 64 pixels and more inside. Bands are whole cells of three poolings,
whose grid is seen in differences. `residual`: the Gram residual of the strips of 32 pixels along
the four borders over the mean of the next three such sets of strips, each strip cut out and looked
at as a picture of its own, so that all have borders of the same kind. Both should be 1.
"""

import argparse
import json
import statistics
from pathlib import Path

import painting_sheet as sheet
import torch
from PIL import Image
from torch import Tensor

from striate.painting import transfer
from striate.painting.budgets.pace import Stage
from striate.painting.losses import sums
from striate.painting.losses.style_losses import Statistics, keep_moments, to_gram
from striate.painting.networks import loading, vgg
from striate.painting.networks.protocol import Network
from striate.painting.pictures import canvas
from striate.painting.pictures.canvas import Style
from striate.painting.settings import Budget, Settings

SIDE, STEPS = 256, (12, 12, 40)
BAND, BANDS, INSIDE = 8, 4, 64  # pixels but for the number of bands
STRIP, STRIPS = 32, 4  # the same


def main() -> None:
    """Paint a texture like each style, and compare its border with its inside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--loss", default="w2")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    weights = given.data / "weights" / "vgg16-hed-trunk.safetensors"
    network = loading.ready(Settings(model="vgg16"), weights, device="cpu")
    found = []
    for name in sheet.STYLES:
        style = Image.open(given.data / "style" / f"{name}.jpg").convert("RGB")
        model = canvas.pixels(canvas.fitted(style, SIDE))
        for seed in given.seeds:
            painted = texture(style, network, given.loss, seed)
            found.append([*energy(painted[0]), residual(painted, model, network)])
            print(json.dumps({"style": name, "seed": seed} | named(found[-1])), flush=True)
    columns = list(zip(*found, strict=True))
    print(json.dumps({"mean": named([statistics.mean(column) for column in columns])}))
    errors = [statistics.stdev(column) / len(found) ** 0.5 for column in columns]
    print(json.dumps({"error": named(errors)}))


def named(values: list[float]) -> dict[str, object]:
    """Return what is printed of a texture."""
    return {"energy": values[:-1], "residual": values[-1]}


def texture(style: Image.Image, network: Network, loss: str, seed: int) -> Tensor:
    """Paint a square like a style: (1, 3, SIDE, SIDE)."""
    content = canvas.image(transfer.noise((1, 3, SIDE, SIDE), seed + 1)[0])
    settings = Settings(size=SIDE, strength=1.0, start="noise", loss=loss, model="vgg16", seed=seed)
    sides = canvas.levels(SIDE)
    replay = [Stage(side, count) for side, count in zip(sides, STEPS, strict=True)]
    pace = transfer.paced(content, settings, Budget(), replay=replay)
    *_, frame = transfer.frames(content, [Style(style)], network, settings, pace=pace)
    return frame.picture[None]


def energy(picture: Tensor) -> list[float]:
    """Return what neighbours differ by in bands from the border inward, over the same inside."""
    down = picture.diff(dim=1)[:, :, :-1].square()
    right = picture.diff(dim=2)[:, :-1].square()
    apart = (down + right).mean(0)
    places = torch.arange(len(apart))
    near = torch.minimum(places, len(apart) - 1 - places)
    near = torch.minimum(near[:, None], near)
    inside = apart[near >= INSIDE].mean()
    return [float(apart[near // BAND == number].mean() / inside) for number in range(BANDS)]


def residual(picture: Tensor, style: Tensor, network: Network) -> float:
    """Return the Gram residual of the strips along the border over that of those inside."""
    height, width = style.shape[2:]
    wanted = moments(
        [style[:, :, top : top + STRIP] for top in range(0, height - STRIP, STRIP)]
        + [style[..., left : left + STRIP] for left in range(0, width - STRIP, STRIP)],
        network,
    )
    turned = [picture, picture.flip(2), picture.mT, picture.mT.flip(2)]
    outer, *inside = (
        apart(
            moments([one[:, :, number * STRIP : (number + 1) * STRIP] for one in turned], network),
            wanted,
        )
        for number in range(STRIPS)
    )
    return outer / statistics.mean(inside)


@torch.no_grad()
def moments(strips: list[Tensor], network: Network) -> dict[str, Statistics]:
    """Return what a Gram loss keeps of strips that lie along or across, each by itself."""
    total: dict[str, Statistics] = {}
    for strip in strips:
        for name, features in network.walk(strip):
            columns = sums.columns(features)
            share = torch.tensor(1 / columns.shape[1] / len(strips), dtype=torch.float64)
            kept = keep_moments(columns, share)
            before = total.get(name, tuple(torch.zeros_like(one) for one in kept))
            total[name] = tuple(one + other for one, other in zip(before, kept, strict=True))
    return total


def apart(found: dict[str, Statistics], wanted: dict[str, Statistics]) -> float:
    """Return the mean Gram loss of the style's layers, over that of no activation at all."""
    losses = []
    for name in vgg.STYLE:
        loss = to_gram(wanted[name])
        nothing = tuple(torch.zeros_like(one) for one in wanted[name])
        losses.append(float(loss(found[name]) / loss(nothing)))
    return statistics.mean(losses)


if __name__ == "__main__":
    main()
