"""The choices of a training that begins from weights, as docs/training.md measured them."""

from collections.abc import Mapping
from typing import Any

from striate.training.recipe import Recipe, change_names

# The rate of the head; the layers before it have a share of it.
RATES = {"adamw": 3e-3, "sgd": 0.03}

COMMON = {
    "optimiser": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup": 1.0,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "backbone_rate": 0.05,
}
# Features of plain pictures are computed once: with random changes each epoch would compute them.
HEAD = {
    **COMMON,
    "freeze": True,
    "backbone_rate": 1.0,
    "epochs": 20,
    **{name: getattr(Recipe(), name) for name in change_names()},
}
ALL = {**COMMON, "epochs": 10, "flip": True, "crop_padding": 0, "resized_crop": 0.35}
AFTER_HEAD = 5  # epochs of all layers once the head is fitted


def of_weights(given: Mapping[str, Any], *, published: bool) -> Mapping[str, Any]:
    """Return the choices that suit what is given; none where no weights are.

    Networks of a library are `published`: their features of other pictures are good as they are,
    and the head alone learns, unless it is said otherwise.
    """
    if not (given.get("weights") or given.get("pretrained")):
        return {}
    optimiser, alone = given.get("optimiser", "adamw"), given.get("unfreeze_at")
    rate = {"rate": RATES[optimiser]} if optimiser in RATES else {}
    if isinstance(alone, int) and alone > 0:
        return {**ALL, **rate, "epochs": alone + AFTER_HEAD}
    if not published and "freeze" not in given and alone is None:
        return {}  # how well a network of the user's own is taught, nobody knows
    frozen = given.get("freeze", published and alone is None)
    return {**(HEAD if frozen else ALL), **rate}
