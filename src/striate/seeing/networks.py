"""The network whose features are meant: a run's, or a published one of torchvision or timm."""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from striate import models
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import UsageError
from striate.runs import folder
from striate.runs.weights import load_weights

_CLASSES = 1000  # of published weights; what a network answers is not asked for


class Source(NamedTuple):
    """A network with the preprocessing that it was trained with."""

    name: str
    model: nn.Module
    preprocessing: Preparation
    notes: list[str]


def network(model: str, *, weights: str | None = None, trust_code: bool = False) -> Source:
    """Load a run's network, or a published one: its weights from a file, else as its library has.

    UsageError for what is neither: nothing says how such a network wants its pictures.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if weights is not None:
            raise UsageError(f"{model} brings its own weights: leave out --weights")
        bundle = folder.load_bundle(path, trust_code=trust_code)
        return Source(model, bundle.model, bundle.preprocessing, [])
    if model.partition("/")[0] not in ("torchvision", "timm"):
        folder.require(path) if path.exists() else None  # says what it is instead
        raise UsageError(f"--model is a run's folder, torchvision/NAME or timm/NAME, not {model}")
    architecture = models.find(model)
    wanted = models.published(model)
    assert wanted is not None, "the libraries' networks are published"
    net = models.build(architecture, _CLASSES, size=wanted.size, pretrained=weights is None)
    notes = [] if weights is None else load_weights(net, weights)
    preprocessing = Preprocessing(
        size=wanted.size,
        fit="crop",
        share=wanted.share,
        filter=wanted.filter,
        normalise="dataset",
        mean=wanted.mean,
        std=wanted.std,
    )
    return Source(model, net.eval(), preprocessing, notes)
