"""The drawn figures of the pages: `make docs` writes them to docs/figures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

import striate
from striate import classic
from striate.classic import faces, invariance
from striate.data.sources.named import data_root
from striate.figures import lessons
from striate.layers import example, reference

FOLDER = Path(__file__).with_name("figures")


def convolution() -> bytes:
    """Draw the example by hand."""
    padded = torch.nn.functional.pad(example.picture()[0], [example.PADDING] * 4)
    return lessons.convolution(
        padded.numpy(),
        example.filters().numpy(),
        example.BIASES,
        example.result()[0].numpy(),
        stride=example.STRIDE,
    )


def pooling() -> bytes:
    """Draw tiles, overlapping windows and fractional regions over one map."""
    x = np.random.default_rng(3).integers(0, 10, (7, 7)).astype(float)
    bounds = reference.pseudo_random(7, 5, 0.4)
    tilings = [
        lessons.Tiling("max (2, 2)", [(i, i + 2) for i in (0, 2, 4)]),
        lessons.Tiling("max (3, 2)", [(i, i + 3) for i in (0, 2, 4)]),
        lessons.Tiling("fractional, disjoint", reference.disjoint(bounds)),
        lessons.Tiling("fractional, overlapping", reference.overlapping(bounds)),
    ]
    return lessons.pooling(x, tilings)


def norms() -> bytes:
    """Draw which maps share a mean, for the group of example 2's channel 2."""
    n, c = 4, 6
    shares = {name: np.zeros((n, c)) for name in ("batch", "layer", "instance", "group of 3")}
    shares["batch"][:, 1] = 1
    shares["layer"][1] = 1
    shares["instance"][1, 1] = 1
    shares["group of 3"][1, :3] = 1
    return lessons.norms(shares)


def toy() -> bytes:
    """Draw the toy picture's maps."""
    pixels, how = classic.toy(), classic.Sliding()
    filters = classic.named(["vertical,horizontal"])
    return classic.draw("toy", pixels, classic.look(pixels, filters, how), how)


def shifts() -> bytes | None:
    """Draw the measure on MNIST, where it is at hand."""
    if not (data_root() / "MNIST" / "raw").is_dir():
        return None
    pictures = invariance.pictures_of("mnist", 500)
    return invariance.draw(invariance.invariance(pictures), "500 pictures of mnist")


def resnet18() -> bytes:
    """Draw a network with sums and projections."""
    return striate.describe("resnet18").draw().encode()


def first_features() -> bytes:
    """Draw the first two features of the cascade that comes with the package."""
    return faces.draw_features(faces.shipped())


FIGURES: dict[str, Callable[[], bytes | None]] = {
    "convolution.png": convolution,
    "faces-first.png": first_features,
    "filters.png": toy,
    "norms.png": norms,
    "pooling.png": pooling,
    "residual.png": lessons.residual,
    "resnet18.svg": resnet18,
    "shifts.png": shifts,
}


def write() -> Iterator[Path]:
    """Write each figure that can be drawn here, and give its path."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        content = draw()
        if content is not None:
            (FOLDER / name).write_bytes(content)
            yield FOLDER / name
