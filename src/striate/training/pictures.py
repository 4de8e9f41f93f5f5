"""Pictures: the choices that follow from them, their preprocessing, and their augmentation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from striate import models
from striate.data import Split
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.batches import Pictures
from striate.data.preparation.kinds import Preparation, max_pixels
from striate.data.preparation.preprocessing import Moments, Preprocessing, Zca
from striate.data.preparation.survey import Survey, survey
from striate.errors import UsageError
from striate.models import Architecture

from .recipe import Recipe, default_epochs


def facts(train: Split, given: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """Return the choices that the training pictures and the network suggest."""
    return suggested(survey(train.pictures), len(train), given, architecture)


def unfitted(recipe: Recipe, architecture: Architecture) -> Preprocessing:
    """Return the part of preprocessing that is known before a picture is read."""
    library = models.published(architecture.name) is not None
    return Preprocessing(
        size=(recipe.size, recipe.size),
        # The libraries' networks take colour; grey pictures are repeated for them.
        channels=1 if recipe.colour == "grey" and not library else 3,
        fit=recipe.fit,
        share=recipe.share if recipe.fit == "crop" else 1.0,
        filter=recipe.filter,
        normalise="none",
        max_pixels=max_pixels(recipe.max_megapixels),
    )


def fitted(
    known: Preparation, recipe: Recipe, train: Pictures, architecture: Architecture
) -> Preprocessing:
    """Complete the preprocessing with what it takes from the training pictures, and only those."""
    assert isinstance(known, Preprocessing)
    if recipe.normalise == "zca":
        whitening = Zca.fit(batch.pixels for batch in train.all())
        return dataclasses.replace(known, normalise="zca", zca=whitening)
    return dataclasses.replace(known, **normalisation(known, recipe, train, architecture))


def normalisation(
    known: Preprocessing, recipe: Recipe, train: Pictures, architecture: Architecture
) -> dict[str, Any]:
    """Return the fields that say how pixels, (N, C, ...) a batch, are scaled."""
    published = models.published(architecture.name)
    if recipe.normalise == "imagenet" or (published and (recipe.pretrained or recipe.weights)):
        norm = published or models.IMAGENET
        if known.channels == 1:
            raise UsageError("--normalise imagenet is for colour pictures: add --colour rgb")
        return {"normalise": "dataset", "mean": norm.mean, "std": norm.std}
    if recipe.normalise != "dataset":
        return {"normalise": recipe.normalise}
    moments = train.moments or _measured(train)
    return {"normalise": "dataset", "mean": moments.mean, "std": moments.std}


def _measured(train: Pictures) -> Moments:
    moments = Moments()
    for batch in train.all():
        moments.add(batch.pixels if batch.pixels.ndim == 4 else batch.pixels.flatten(2, -2))
    return moments


class Augmented:
    """The random changes of training pictures that a recipe asks for."""

    def __init__(self, recipe: Recipe) -> None:
        self.how = augmentation(recipe)

    def __call__(self, pixels: Tensor, rows: Tensor, *, seed: int, epoch: int) -> Tensor:
        return augment(pixels, rows, self.how, seed=seed, epoch=epoch)


def augmentation(recipe: Recipe) -> Augmentation:
    """Read the random changes of pictures out of a recipe."""
    names = [f.name for f in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: getattr(recipe, name) for name in names})


def suggested(
    seen: Survey, count: int, given: Mapping[str, Any], architecture: Architecture
) -> dict[str, Any]:
    """Return what pictures of such sizes and colours suggest, `count` of them."""
    published = models.published(architecture.name)
    colour = given.get("colour", "auto")
    grey = colour == "grey" or (colour == "auto" and seen.grey)
    size = given.get("size") or (published.size[0] if published else _size(seen))
    found: dict[str, Any] = {
        "epochs": default_epochs(count),
        "size": size,
        "flip": not grey or bool(given.get("alternate_flip")),
        # Where the least side is 1, nothing can be cropped.
        "crop_padding": min(max(1, int(size) // (14 if grey else 8)), int(size) - 1),
        "rotate": 10.0 if grey else 0.0,
        "zoom": 0.1 if grey else 0.0,
        "colour": "grey" if grey else "rgb",
    }
    if given.get("resized_crop"):  # which moves and enlarges by itself
        found |= {"crop_padding": 0, "zoom": 0.0}
    if published:
        found |= {"filter": published.filter, "share": published.share}
    return found


def _size(seen: Survey) -> int:
    """Choose the side: the pictures' own up to 64 pixels, else 128 at most."""
    side = min(seen.height, seen.width)
    return side if side <= 64 else min(side, 128)
