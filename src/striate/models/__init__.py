"""Networks by name: one architecture a file, and one line here."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from striate import usercode
from striate.errors import UsageError, choose
from striate.usercode import Reference

from .audio_convnet import audio_convnet
from .convnet import convnet
from .library import (
    IMAGENET,
    Published,
    timm_net,
    timm_published,
    torchvision_net,
    torchvision_published,
    with_head,
)
from .mlp import mlp
from .mnist_convnet import mnist_convnet, mnist_convnet_listed
from .r3d import r3d

__all__ = [
    "IMAGENET",
    "MODELS",
    "USUAL",
    "Architecture",
    "Model",
    "build",
    "find",
    "published",
    "with_head",
]


class Model(NamedTuple):
    """A builder, what it builds, and where its recipe departs from the default."""

    build: Callable[..., nn.Module]  # (channels, classes, size, **arguments) -> network
    about: str
    preset: Mapping[str, Any] = {}
    axes: int = 2  # of what it slides over: 2 of pictures and spectrograms, 3 of clips


MODELS: dict[str, Model] = {
    "convnet": Model(
        convnet, "small, for any picture size: stages of 3x3 convolutions, batch norm"
    ),
    "mlp": Model(
        mlp,
        "fully connected baseline: two hidden layers of 512",
        {"optimiser": "adamw", "rate": 2e-3, "weight_decay": 0.01, "epochs": 20},
    ),
    "mnist-convnet": Model(
        mnist_convnet,
        "the chapter's: two 5x5 convolutions, two linear layers, mended (ReLU between them)",
        {"optimiser": "adamw", "rate": 1.5e-3, "weight_decay": 0.01},
    ),
    "mnist-convnet-listed": Model(
        mnist_convnet_listed,
        "the chapter's as listed: no ReLU between the linear layers, plain SGD at 1e-4",
        {
            "optimiser": "sgd",
            "rate": 1e-4,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "schedule": "constant",
            "label_smoothing": 0.0,
            "crop_padding": 0,
            "rotate": 0.0,
            "zoom": 0.0,
            "batch_size": 64,
            "epochs": 40,
        },
    ),
    "audio-convnet": Model(
        audio_convnet,
        "for sounds: 3x3 convolutions over log-mel spectrograms, then over all their bands",
        {"batch_size": 64},
    ),
    "r3d": Model(
        r3d,
        "for clips: residual blocks of 3x3x3 convolutions, over time as over height and width",
        {"batch_size": 32, "rate": 0.05},
        axes=3,
    ),
}
# The network of each kind of data, where none is asked for.
USUAL = {"pictures": "convnet", "sounds": "audio-convnet", "clips": "r3d"}


class Architecture(NamedTuple):
    """All that is needed to build a network again: what a run saves of it."""

    name: str  # in MODELS, torchvision/NAME, timm/NAME, or file.py:function
    arguments: dict[str, Any]
    source: str | None = None  # the text of the user's file


def find(name: str, arguments: Mapping[str, Any] | None = None) -> Architecture:
    """Read a model's name as people write it; UsageError names the near ones."""
    chosen = dict(arguments or {})
    if usercode.is_reference(name):
        reference = usercode.read(name, chosen)
        return Architecture(f"user.py:{reference.name}", chosen, reference.source)
    library, _, net = name.partition("/")
    if not net:
        choose("model", name, [*MODELS, "torchvision/NAME", "timm/NAME", "file.py:function"])
    elif library not in ("torchvision", "timm"):
        raise UsageError(
            f"unknown model {name!r}: write torchvision/NAME, timm/NAME or file.py:function"
        )
    else:
        published(name)  # raises for an unknown network
    return Architecture(name, chosen)


def published(name: str) -> Published | None:
    """Give the preprocessing that the published weights of a network want; None for our own."""
    library, _, net = name.partition("/")
    if library == "torchvision":
        return torchvision_published(net)
    return timm_published(net) if library == "timm" else None


def build(
    name: str | Architecture,
    classes: int,
    *,
    channels: int = 3,
    size: int | tuple[int, ...] = 32,
    pretrained: bool = False,
    **arguments: Any,
) -> nn.Module:
    """Build a network from pictures (N, C, H, W) to logits (N, `classes`), freshly initialised.

    `size` is height and width in pixels; of spectrograms bands and frames; of clips (T, H, W).
    Raises UsageError for an unknown name or arguments that the network does not take.
    """
    plan = find(name, arguments) if isinstance(name, str) else name
    height_width = (size, size) if isinstance(size, int) else size
    _check_axes(plan, len(height_width))
    library, _, net = plan.name.partition("/")
    if library == "torchvision" or library == "timm":
        if channels != 3:
            raise UsageError(f"{plan.name} takes RGB pictures: channels is 3, not {channels}")
        maker = torchvision_net if library == "torchvision" else timm_net
        return maker(net, classes, pretrained=pretrained, **plan.arguments)
    if pretrained:
        raise UsageError(
            f"{plan.name} has no published weights: --pretrained is for torchvision/ "
            "and timm/; pass your own with --weights FILE"
        )
    if plan.source is not None:
        return _build_users(plan, channels, classes, height_width)
    builder = MODELS[choose("model", plan.name, MODELS)].build
    _check_arguments(plan.name, builder, plan.arguments)
    return builder(channels, classes, height_width, **plan.arguments)


def _check_axes(plan: Architecture, given: int) -> None:
    """Refuse a network of pictures for clips, and the other way round; a user's own may be any."""
    own = MODELS.get(plan.name)
    wanted = own.axes if own else 2
    if given == wanted or plan.source is not None:
        return
    if wanted == 3:
        raise UsageError(f"{plan.name} takes clips of 2 frames or more, not pictures or sounds")
    fitting = ", ".join(name for name, model in MODELS.items() if model.axes == given)
    raise UsageError(
        f"{plan.name} takes pictures, not clips: choose {fitting}, or --frames 1, the middle one"
    )


def _check_arguments(
    model: str, builder: Callable[..., nn.Module], given: Mapping[str, Any]
) -> None:
    """Refuse what our builders do not take: the choices are their keyword-only arguments."""
    parameters = inspect.signature(builder).parameters.values()
    choices = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
    for name, value in given.items():
        kind = choices[choose(f"argument of {model}", name, choices)]
        whole_is_fine = kind is float and isinstance(value, int)
        if isinstance(value, bool) or not (whole_is_fine or isinstance(value, kind)):
            what = "a number" if kind is float else "a whole number"
            raise UsageError(f"{name} of {model} is {what}, not {value!r}")
    if not 0 <= given.get("dropout", 0) < 1:
        raise UsageError(f"dropout of {model} lies in 0 to 1, below 1, not {given['dropout']}")


def _build_users(
    plan: Architecture, channels: int, classes: int, size: tuple[int, ...]
) -> nn.Module:
    assert plan.source is not None
    name = plan.name.rpartition(":")[2]
    offered = {"channels": channels, "classes": classes, "size": size}
    net = usercode.call(Reference(plan.source, name, plan.arguments), offered)
    if not isinstance(net, nn.Module):
        raise UsageError(f"{name} gives {type(net).__name__}, not a torch.nn.Module")
    return net
