"""Networks that a library built, found again by the name under which it builds them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from striate.errors import UsageError

from .library import timm_net, torchvision_net

LIBRARIES = ("torch", "torchvision", "timm")


def is_from_library(given: Any) -> bool:
    """Tell whether a network, or what makes one, is torch's, torchvision's or timm's own."""
    home = type(given) if isinstance(given, nn.Module) else given
    return str(getattr(home, "__module__", "")).partition(".")[0] in LIBRARIES


def name_of(given: Any) -> str:
    """Return torchvision/NAME or timm/NAME of a network or of the function that builds it.

    UsageError where the library has no such name for it, and says what to give instead.
    """
    library = str((type(given) if isinstance(given, nn.Module) else given).__module__)
    finder = _CHOICES.get(library.partition(".")[0])
    choices = finder(given) if finder else []
    is_same = _same(given) if isinstance(given, nn.Module) else lambda _: True
    found = next(filter(is_same, choices), None)
    if found is not None:
        return found
    what = type(given).__name__ if isinstance(given, nn.Module) else given.__name__
    raise UsageError(
        f"{what} of {library} is no network that can be built again by a name: give its name, as "
        "torchvision/resnet18, or a class or function of a file of your own, or functools.partial "
        "of one with its arguments"
    )


def outputs(net: nn.Module) -> int:
    """Count what a network answers with: of its last linear layer or convolution."""
    for layer in reversed(list(net.modules())):
        if isinstance(layer, nn.Linear):
            return layer.out_features
        if isinstance(layer, nn.Conv2d):
            return layer.out_channels
    return 0


def _same(net: nn.Module) -> Callable[[str], bool]:
    """Return what tells whether a name's network has the same layers with the same choices."""
    drawn, classes = repr(net), outputs(net)
    return lambda name: repr(_built(name, classes)) == drawn


def _built(name: str, classes: int) -> nn.Module:
    library, _, net = name.partition("/")
    maker = torchvision_net if library == "torchvision" else timm_net
    try:
        with torch.device("meta"):  # its layers are compared, not their numbers
            return maker(net, classes, pretrained=False)
    except NotImplementedError:  # some draw their weights in ways that need numbers
        return maker(net, classes, pretrained=False)


def _of_torchvision(given: Any) -> list[str]:
    from torchvision import models

    builders = {name: models.get_model_builder(name) for name in models.list_models(module=models)}
    if not isinstance(given, nn.Module):
        return [f"torchvision/{name}" for name, builder in builders.items() if builder is given]
    home = type(given).__module__
    return [f"torchvision/{name}" for name, one in builders.items() if one.__module__ == home]


def _of_timm(given: Any) -> list[str]:
    import timm

    if not isinstance(given, nn.Module):
        return [f"timm/{given.__name__}"] if timm.is_model(given.__name__) else []
    card = getattr(given, "pretrained_cfg", None) or {}
    name = card.get("architecture", "")
    return [f"timm/{name}"] if timm.is_model(name) else []


_CHOICES = {"torchvision": _of_torchvision, "timm": _of_timm}
