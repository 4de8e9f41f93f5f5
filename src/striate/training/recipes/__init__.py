"""Named recipes, one per file; and overrides of a training's defaults for a network."""

from collections.abc import Mapping
from typing import Any

from striate import models
from striate.errors import choose

from . import cifar10, fashion_mnist_fast, mnist_best, mnist_fast, photos_fine_tune
from .named import Measured, Named
from .networks import NETWORKS
from .transfer import of_weights

__all__ = ["NAMED", "NETWORKS", "Measured", "Named", "applied", "suiting"]

FOLDERS = "photos"  # what recipes for any folder of pictures are named after

NAMED: dict[str, Named] = {
    "mnist/fast": mnist_fast.RECIPE,
    "mnist/best": mnist_best.RECIPE,
    "fashion-mnist/fast": fashion_mnist_fast.RECIPE,
    "cifar10/quick": cifar10.QUICK,
    "cifar10/fast": cifar10.FAST,
    "cifar10/96": cifar10.BETTER,
    "cifar10/best": cifar10.BEST,
    "photos/fine-tune": photos_fine_tune.RECIPE,
}


def suiting(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the choices that suit a network, by its name, and weights that are given; often none.

    Those of weights win.
    """
    return {**NETWORKS.get(name, {}), **of_weights(given, published=bool(models.published(name)))}


def full_name(name: str, data: str) -> str:
    """Return the name of a recipe as NAMED has it; UsageError for an unknown one.

    >>> full_name("fast", "mnist"), full_name("mnist/fast", "kmnist")
    ('mnist/fast', 'mnist/fast')
    """
    local = (f"{data}/{name}", f"{FOLDERS}/{name}")
    return next((one for one in local if one in NAMED), "") or choose("recipe", name, NAMED)


def applied(model: Any, choices: Mapping[str, Any], data: str) -> tuple[Any, dict[str, Any]]:
    """Return model and choices, with those of the recipe that they name beneath them.

    Another model than the recipe's has its own arguments. UsageError for an unknown recipe.
    """
    if choices.get("recipe") is None:
        return model, dict(choices)
    name = full_name(choices["recipe"], data)
    below = dict(NAMED[name].choices)
    own = below.pop("model")
    if choices.get("weights"):
        below.pop("pretrained", None)  # they are the weights to begin from
    if model is not None and model != own:
        below.pop("arguments", None)
    elif "arguments" in choices:
        below["arguments"] = {**below.get("arguments", {}), **choices["arguments"]}
        choices = {key: value for key, value in choices.items() if key != "arguments"}
    return own if model is None else model, {**below, **choices, "recipe": name}
