"""Which choices follow from the data and the network, where none was given."""

from collections.abc import Mapping
from typing import Any

from striate import data as sources
from striate import models
from striate.data import Data, Split
from striate.data.preprocessing import Preprocessing
from striate.data.survey import Survey, survey
from striate.models import MODELS, Architecture

from .recipe import Recipe, default_epochs, resolve

_SPLIT_CHOICES = ("validation_share", "test_share", "split_seed")


def make_splits(data: Data, given: Mapping[str, Any]) -> dict[str, Split]:
    """Make the splits that the data lack, as chosen."""
    recipe = resolve({k: v for k, v in given.items() if k in _SPLIT_CHOICES}, {}, {})
    return sources.complete(
        data,
        validation_share=recipe.validation_share,
        test_share=recipe.test_share,
        seed=recipe.split_seed,
    )


def plan(train: Split, given: Mapping[str, Any], architecture: Architecture) -> Recipe:
    """Resolve every choice: what was given, else the model's preset, else what the data suggest."""
    own = MODELS.get(architecture.name)
    named = {"model": architecture.name, "arguments": architecture.arguments}
    facts = _facts(survey(train.pictures), len(train), given, architecture)
    return resolve({**given, "colour": facts["colour"], **named}, own.preset if own else {}, facts)


def geometry_of(recipe: Recipe, architecture: Architecture) -> Preprocessing:
    """Give the part of preprocessing that is known before a picture is read."""
    library = models.published(architecture.name) is not None
    return Preprocessing(
        size=(recipe.size, recipe.size),
        # The libraries' networks take colour; grey pictures are repeated for them.
        channels=1 if recipe.colour == "grey" and not library else 3,
        fit=recipe.fit,
        share=recipe.share if recipe.fit == "crop" else 1.0,
        filter=recipe.filter,
        normalise="none",
    )


def _facts(
    seen: Survey, count: int, given: Mapping[str, Any], architecture: Architecture
) -> dict[str, Any]:
    published = models.published(architecture.name)
    colour = given.get("colour", "auto")
    grey = colour == "grey" or (colour == "auto" and seen.grey)
    size = given.get("size") or (published.size[0] if published else _size(seen))
    facts: dict[str, Any] = {
        "epochs": default_epochs(count),
        "size": size,
        "flip": not grey,
        # Where the least side is 1, nothing can be cropped.
        "crop_padding": min(max(1, int(size) // (14 if grey else 8)), int(size) - 1),
        "rotate": 10.0 if grey else 0.0,
        "zoom": 0.1 if grey else 0.0,
        "colour": "grey" if grey else "rgb",
    }
    if published:
        facts |= {"filter": published.filter, "share": published.share}
    return facts


def _size(seen: Survey) -> int:
    """Choose the side: the pictures' own up to 64 pixels, else 128 at most."""
    side = min(seen.height, seen.width)
    return side if side <= 64 else min(side, 128)
