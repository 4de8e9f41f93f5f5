"""A sheet of training pictures as the network sees them, each plain and augmented."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from striate import figures
from striate.data import Data, Split
from striate.data.batches import read
from striate.models import Architecture

from .plan import KINDS, make_splits, plan

SHOWN = 16  # pictures
DRAWS = 3  # augmented ones of each


def preview(data: Data, given: Mapping[str, Any], architecture: Architecture) -> bytes:
    """Draw pictures of all classes in turn, each followed by what augmentation makes of it: PNG."""
    train = make_splits(data, given)["train"]
    recipe = plan(train, given, architecture)
    kind = KINDS[data.kind]
    geometry, augment = kind.geometry(recipe, architecture), kind.augment(recipe)
    pictures, _ = read(_some(train), geometry)
    images, captions = [], []
    for batch in pictures.all():
        drawn = [
            augment(batch.pixels, batch.rows, seed=recipe.seed, epoch=epoch)
            for epoch in range(DRAWS)
        ]
        for row, label in enumerate(batch.labels.tolist()):
            for number, pixels in enumerate([batch.pixels, *drawn]):
                images.append(geometry.image(pixels[row]))
                captions.append(f"augmented {number}" if number else data.classes[label])
    shape = "x".join(map(str, geometry.shape))
    title = f"{data.name}: training {data.kind} as the network sees them ({shape})"
    if len(data.classes) > SHOWN:
        title += f", of {SHOWN} of {len(data.classes)} classes"
    group = 1 + DRAWS
    return figures.sheet(images, captions, columns=2 * group, group=group, title=title)


def _some(split: Split) -> Split:
    """Take as many pictures of each class, evenly spread; of many classes, one of some."""
    classes = np.unique(split.labels)
    if len(classes) > SHOWN:
        classes = classes[np.linspace(0, len(classes) - 1, SHOWN).astype(int)]
    each = SHOWN // len(classes)
    rows = [np.flatnonzero(split.labels == label) for label in classes]
    spread = [of[np.linspace(0, len(of) - 1, min(each, len(of))).astype(int)] for of in rows]
    return split.take(np.concatenate(spread))
