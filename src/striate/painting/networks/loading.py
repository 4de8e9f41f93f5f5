"""The network to paint with, by name, with its weights: VGG, a run, a library's, or our own."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from striate import devices, models
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError, UsageError, choose
from striate.models import tensorfiles
from striate.painting.settings import Settings
from striate.runs import bundle, folder

from . import vgg
from .protocol import Network
from .tapped import Tapped
from .vgg import CONTENT, STYLE

DEVICES = ("auto", "cpu", "cuda")


def ready(
    settings: Settings, weights: Path | None, *, device: str, trust_code: bool = False
) -> Network:
    """Load the network that settings name onto a device, its convolutions in their precision."""
    choose("device", device, DEVICES)
    usual = devices.pick("cuda" if torch.cuda.is_available() else "cpu")
    where = usual if device == "auto" else devices.pick(device)
    layers = settings.style_names, settings.content_layer
    found = load(settings.model, weights, *layers, trust_code=trust_code)
    halved = settings.precision == "bfloat16"
    if settings.precision == "auto":
        # Of networks that are not known, on a CPU: not every layer is faster so.
        halved = devices.multiplies_bfloat16(where) and (
            where.type == "cuda" or isinstance(found, vgg.Trunk)
        )
    return found.place(where, torch.bfloat16 if halved else torch.float32)


def load(
    model: str,
    weights: Path | None,
    style: Sequence[str],
    content: str,
    *,
    trust_code: bool = False,
) -> Network:
    """Load a network: vgg16, vgg19, a run's folder, torchvision/NAME, timm/NAME or our own."""
    if model in vgg.BLOCKS:
        return vgg.load(model, weights, style=style or STYLE, content=content or CONTENT)
    if Path(model).expanduser().is_dir():
        if weights is not None:
            raise UsageError(f"{model} has its weights: leave out --weights")
        run = Path(model).expanduser()
        return _of_run(run, trust_code=trust_code).choose(style, content)
    return _of_library(model, weights, style, content)


def weights_file(model: str) -> Path | None:
    """Return the file of weights that a run brings along; None for a network by name."""
    if model in vgg.BLOCKS or not Path(model).expanduser().is_dir():
        return None
    inside = [Path(model).expanduser() / part / bundle.WEIGHTS for part in ("", folder.BUNDLE)]
    return next((path for path in inside if path.is_file()), None)


def _of_run(path: Path, *, trust_code: bool) -> Tapped:
    found = folder.load_bundle(path, trust_code=trust_code)
    given = found.preprocessing
    if not isinstance(given, Preprocessing) or given.channels != 3 or given.normalise != "dataset":
        raise UsageError(f"{path} does not take plain RGB pictures: it is no network to paint with")
    mean, std = (values * (3 // len(values)) for values in (given.mean, given.std))
    return Tapped(found.model, mean=mean, std=tuple(value or 1.0 for value in std))


def _of_library(name: str, weights: Path | None, style: Sequence[str], content: str) -> Network:
    known = [*vgg.BLOCKS, *models.MODELS, "torchvision/NAME", "timm/NAME"]
    # A file of Python is none of them: the record of a painting may name one, and is not to run it.
    if name not in models.MODELS and name.partition("/")[0] not in ("torchvision", "timm"):
        choose("network to paint with", name, known)
    published = models.published(name)
    if published is None and weights is None:
        raise UsageError(
            f"{name} has no published weights: give a trained run as --model, or --weights FILE"
        )
    if weights is None and name.startswith("timm/"):
        model = _of_timm(name)
    else:
        model = models.build(name, 1000, size=224)
    about = published or models.IMAGENET
    tapped = Tapped(model, mean=about.mean, std=about.std).choose(style, content)
    if weights is not None:
        _fill(tapped, weights.expanduser())
    elif name.startswith("torchvision/"):
        tapped.model.load_state_dict(vgg.fetch(name.partition("/")[2]))
    return tapped


def _of_timm(name: str) -> nn.Module:
    import timm

    try:
        return models.build(name, 1000, pretrained=True)
    except DataError as error:
        card = timm.get_pretrained_cfg(name.partition("/")[2])
        origin = card.hf_hub_id if card and card.hf_hub_id else name
        raise DataError(
            f"the weights of {name} could not be fetched: get model.safetensors of {origin} and "
            "pass it with --weights FILE"
        ) from error


def _fill(tapped: Tapped, path: Path) -> None:
    """Take weights from a file; what lies behind the named activations may be missing."""
    given, own = tensorfiles.read(path), tapped.model.state_dict()
    for key in tapped.weights():
        if key not in given or given[key].shape != own[key].shape:
            what = "another shape" if key in given else "not in it"
            raise DataError(f"{path} does not fit the network: {key} is {what}")
    fitting = {key: t for key, t in given.items() if key in own and t.shape == own[key].shape}
    tapped.model.load_state_dict(fitting, strict=False)
