"""Style against content at equal time: striate, the PyTorch tutorial's way and Gatys', as JSON.

    python benchmarks/painting.py --data DATA --out rows.json --pairs china:starry_night
    python benchmarks/painting.py --data DATA --out rows.json --seconds 30    # the 12 pairs
    python benchmarks/painting.py --out rows.json --summary

Each method paints each pair with five weights of content. Rows that are in the file already are
kept, so that it can be stopped at any time. DATA/style holds the pictures, DATA/weights the trunk
of VGG-16 and the EfficientNet-Lite0 that no method has seen. What is measured, on 8-bit pictures:
style residuals (Gram matrices, mean over layers of the loss over the photograph's) and content
residuals (mean square over the variance), with zero padding on the trunk and on the other network,
and the sliced Wasserstein distance of the trunk's activations. A front's hypervolume is the area
that its points cover in style x content, up to the corner (1, 2), over that of the corner.
"""

import argparse
import functools
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import painting_rivals as rivals
import torch
from PIL import Image
from torch import Tensor, nn

import striate
from striate import files
from striate.painting.losses import style_losses as losses
from striate.painting.networks import loading
from striate.painting.networks.protocol import Network
from striate.painting.pictures import canvas
from striate.painting.settings import BALANCE, Settings

CONTENTS = ("china", "flower", "astronaut")
STYLES = ("starry_night", "the_scream", "shipwreck", "composition_vii")
PAIRS = tuple(f"{content}:{style}" for content in CONTENTS for style in STYLES)
WEIGHTS = (0.01, 0.1, 1.0, 3.0, 10.0)  # of content, where style weighs 1
METHODS = ("striate", "striate-gram", "tutorial", "gatys")
# Of the network that none has seen: the last activations at a half to a 16th, content at an eighth.
HELD_OUT = ("blocks.0", "blocks.1", "blocks.2", "blocks.4")
HELD_OUT_CONTENT = "blocks.2"
CORNER = (1.0, 2.0)
Features = dict[str, Tensor]


def main() -> None:
    """Paint what is missing, one row at a time, then say what the fronts are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, choices=PAIRS, metavar="CONTENT:STYLE")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--weights", nargs="+", type=float, default=WEIGHTS)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pictures", type=Path, help="folder to leave the paintings in")
    parser.add_argument("--summary", action="store_true", help="only say what the file holds")
    given = parser.parse_args()
    if not given.summary:
        fill(given)
    for line in summary(rows_of(given.out)):
        print(json.dumps(line))


def fill(given: argparse.Namespace) -> None:
    """Add the rows that are missing."""
    bench = Bench(given.data)
    rows = rows_of(given.out)
    keys = ("pair", "method", "weight", "seconds", "size")
    known = {tuple(row[key] for key in keys) for row in rows}
    for pair in given.pairs:
        for weight in given.weights:
            for method in given.methods:
                key = (pair, method, weight, given.seconds, given.size)
                if key in known:
                    continue
                row = dict(zip(keys, key, strict=True))
                painted, took = bench.paint(**row)
                row |= {"took": took, "threads": torch.get_num_threads()}
                rows.append(row | bench.measure(painted, pair, given.size))
                files.write(given.out, json.dumps(rows, indent=1).encode())
                if given.pictures:
                    given.pictures.mkdir(parents=True, exist_ok=True)
                    name = f"{pair.replace(':', '-')}-{method}-{weight}.png"
                    canvas.image(painted).save(given.pictures / name)
                print(json.dumps(rows[-1]), flush=True)


class Bench:
    """The pictures, and the networks that paint and judge, each loaded once."""

    def __init__(self, data: Path) -> None:
        """Load the networks under DATA/weights."""
        self.data = data
        weights = data / "weights"
        trunk = weights / "vgg16-hed-trunk.safetensors"
        self.network = loading.ready(Settings(model="vgg16"), trunk, device="cpu")
        self.features = rivals.features(trunk)
        self.held_out = loading.ready(
            Settings(
                model="timm/tf_efficientnet_lite0",
                style_layers=",".join(HELD_OUT),
                content_layer=HELD_OUT_CONTENT,
            ),
            weights / "efficientnet_lite0.safetensors",
            device="cpu",
        )

    def picture(self, name: str) -> Image.Image:
        """Open a picture of DATA/style."""
        return Image.open(self.data / "style" / f"{name}.jpg").convert("RGB")

    def pixels(self, name: str, size: int) -> Tensor:
        """Return a picture (1, 3, H, W) of this long side."""
        return canvas.pixels(canvas.fitted(self.picture(name), size))

    def paint(
        self, pair: str, method: str, weight: float, seconds: float, size: int
    ) -> tuple[Tensor, float]:
        """Return a painting (3, H, W), and the seconds that it took with its networks loaded."""
        content, style = pair.split(":")
        began = time.monotonic()
        if method.startswith("striate"):
            painted = self.striate(
                content, style, method, weight=weight, seconds=seconds, size=size
            )
        else:
            paint = rivals.tutorial if method == "tutorial" else rivals.gatys
            one, other = self.pixels(content, size), self.pixels(style, size)
            painted = paint(self.features, one, other, weight=weight, seconds=seconds)[0]
        return painted, time.monotonic() - began

    def striate(
        self,
        content: str,
        style: str,
        method: str,
        *,
        weight: float,
        seconds: float,
        size: int,
    ) -> Tensor:
        """Paint by striate, at the strength that has this weight of content."""
        strength = 1 / (1 + (weight / BALANCE) ** 0.5)
        *_, frame = striate.paint(
            self.picture(content),
            self.picture(style),
            network=self.network,
            seconds=seconds,
            size=size,
            strength=strength,
            loss="gram" if method == "striate-gram" else "w2",
        )
        return frame.picture

    def measure(self, painted: Tensor, pair: str, size: int) -> dict[str, Any]:
        """Return all residuals of a painting (3, H, W)."""
        found = painted.mul(255).round().div(255)[None]
        content, style = (self.pixels(name, size) for name in pair.split(":"))
        row: dict[str, Any] = {}
        for name, (look, last) in {
            "vgg": (functools.partial(plain, self.features), "20"),
            "held": (functools.partial(tapped, self.held_out), HELD_OUT_CONTENT),
        }.items():
            of = [look(picture) for picture in (found, content, style)]
            layers = residuals(*of, but=last if name == "vgg" else "")
            row[f"{name}_layers"] = layers
            row[f"{name}_style"] = sum(layers.values()) / len(layers)
            row[f"{name}_content"] = content_residual(of[0][last], of[1][last])
            if name == "vgg":
                row["sliced"] = sliced(*of, but=last)
        row["saturated"] = float(((found <= 0) | (found >= 1)).float().mean())
        return row


@torch.no_grad()
def plain(net: nn.Sequential, picture: Tensor) -> Features:
    """Return the canonical activations of VGG-16, padded with zeros as everywhere."""
    places = [*rivals.GATYS_STYLE, rivals.GATYS_CONTENT]
    return {str(place): x for place, x in rivals.answers(net, picture, places).items()}


@torch.no_grad()
def tapped(network: Network, picture: Tensor) -> Features:
    """Return the named activations of any network."""
    return dict(network.walk(picture))


def residuals(found: Features, content: Features, style: Features, *, but: str) -> dict[str, float]:
    """Return each layer's Gram loss over that of the photograph."""

    def apart(one: Tensor, other: Tensor) -> float:
        return float(losses.gram_loss(normal(one), normal(other)))

    return {
        name: apart(found[name], style[name]) / apart(content[name], style[name])
        for name in found
        if name != but
    }


def normal(x: Tensor) -> Tensor:
    """Return the Gram matrix of activations (1, C, H, W) over their positions."""
    columns = x[0].flatten(1).double()
    return columns @ columns.T / columns.shape[1]


def content_residual(found: Tensor, content: Tensor) -> float:
    """Return the mean square of what changed over the variance of what was."""
    return float((found - content).square().mean() / content.var())


def sliced(found: Features, content: Features, style: Features, *, but: str) -> float:
    """Return the mean over layers of the sliced Wasserstein distance over the photograph's.

    Along 512 fixed directions, quantiles aligned, all positions.
    """
    ratios = []
    for name in found:
        if name == but:
            continue
        channels = found[name].shape[1]
        generator = torch.Generator().manual_seed(channels)
        directions = torch.randn(512, channels, generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        of = [(directions @ x[name][0].flatten(1)).sort(dim=1).values for x in (found, content)]
        wanted = (directions @ style[name][0].flatten(1)).sort(dim=1).values
        far = [(x - losses.quantiles(wanted, x.shape[1])).square().mean() for x in of]
        ratios.append(float(far[0] / far[1]))
    return sum(ratios) / len(ratios)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the rows that there are."""
    return json.loads(files.read(path)) if path.is_file() else []


def summary(rows: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield a line a pair: the hypervolume of each method's front, on both networks."""
    for pair in PAIRS:
        of = [row for row in rows if row["pair"] == pair]
        line: dict[str, Any] = {"pair": pair}
        for method in METHODS:
            own = [row for row in of if row["method"] == method]
            if own:
                line[method] = {
                    "weights": len(own),
                    "vgg": hypervolume((r["vgg_style"], r["vgg_content"]) for r in own),
                    "held": hypervolume((r["held_style"], r["held_content"]) for r in own),
                    "sliced": hypervolume((r["sliced"], r["vgg_content"]) for r in own),
                }
        if of:
            yield line


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Return the share of the corner's rectangle that points cover, fewer of both being better.

    >>> hypervolume([(0.5, 1.0), (0.25, 1.5)])
    0.3125
    """
    covered, height = 0.0, CORNER[1]
    for x, y in sorted(points):
        if x < CORNER[0] and y < height:
            covered += (CORNER[0] - x) * (height - y)
            height = y
    return covered / (CORNER[0] * CORNER[1])


if __name__ == "__main__":
    main()
