"""A sheet of training pictures as the network sees them, each plain and augmented."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import figures
from striate.data import Data, Split
from striate.data.augmenting.mixing import Mixture, mix_of
from striate.data.batches import Batch, order, read
from striate.models import Architecture
from striate.wording import counted, percent

from .plan import KINDS, make_splits, plan
from .recipe import Recipe

SHOWN = 16  # pictures
DRAWS = 3  # augmented ones of each


def preview(data: Data, given: Mapping[str, Any], architecture: Architecture) -> bytes:
    """Draw pictures of all classes in turn, each followed by what augmentation makes of it: PNG."""
    train = make_splits(data, given)["train"]
    recipe = plan(train, given, architecture)
    kind = KINDS[data.kind]
    preparation, change = kind.unfitted(recipe, architecture), _change(recipe, data)
    pictures, _ = read(_some(train), preparation)
    images: list[NDArray[np.uint8]] = []
    captions: list[figures.Caption] = []
    for batch in pictures.all():
        drawn = [change(batch, epoch) for epoch in range(DRAWS)]
        for row, label in enumerate(batch.labels.tolist()):
            images.append(preparation.image(batch.pixels[row]))
            captions.append(data.classes[label])
            for number, (pixels, targets) in enumerate(drawn, 1):
                images.append(preparation.image(pixels[row]))
                captions.append(_caption(number, targets[row], data.classes))
    shape = "x".join(map(str, preparation.shape))
    title = f"{data.name}: training {data.kind} as the network sees them ({shape})"
    if len(data.classes) > SHOWN:
        title += f", of {SHOWN} of {counted(len(data.classes), 'classes')}"
    group = 1 + DRAWS
    return figures.sheet(images, captions, columns=2 * group, group=group, title=title)


def _change(recipe: Recipe, data: Data) -> Callable[[Batch, int], tuple[Tensor, Tensor]]:
    """Make what an epoch shows of a batch: its pixels, and its targets, in the batch's order."""
    augment = KINDS[data.kind].augment(recipe)
    how = Mixture(recipe.mixup, recipe.cutmix)
    mix = mix_of(how, len(data.classes), torch.device("cpu"))

    def change(batch: Batch, epoch: int) -> tuple[Tensor, Tensor]:
        chance = {"seed": recipe.seed, "epoch": epoch}
        # Each has a partner in the epoch's order, as in training.
        rows, pixels, labels = (part[order(len(batch.rows), **chance)] for part in batch)
        pixels, targets = mix(augment(pixels, rows, **chance), labels, rows, **chance)
        back = rows.argsort()
        return pixels[back], targets[back]

    return change


def _caption(number: int, target: Tensor, classes: Sequence[str]) -> figures.Caption:
    """Number a changed picture; of a mixture, name the classes and their shares, a line each."""
    if target.ndim == 0:
        return f"augmented {number}"
    shares, labels = target.double().sort(descending=True, stable=True)
    pairs = zip(shares.tolist(), labels.tolist(), strict=True)
    parts = [(classes[label], f" {percent(share, 0)}") for share, label in pairs if share]
    return [figures.Line(name + share, ending=len(share)) for name, share in parts]


def _some(split: Split) -> Split:
    """Take as many pictures of each class, evenly spread; of many classes, one of some."""
    classes = np.unique(split.labels)
    if len(classes) > SHOWN:
        classes = classes[np.linspace(0, len(classes) - 1, SHOWN).astype(int)]
    each = SHOWN // len(classes)
    rows = [np.flatnonzero(split.labels == label) for label in classes]
    spread = [of[np.linspace(0, len(of) - 1, min(each, len(of))).astype(int)] for of in rows]
    return split.take(np.concatenate(spread))
