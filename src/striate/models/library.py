"""Networks of torchvision and timm, reached by prefix, with the preprocessing they were made for."""

import inspect
from typing import Any, NamedTuple

from torch import nn

from striate.errors import DataError, UsageError, choose


class Published(NamedTuple):
    """How the published weights of a network want their pictures."""

    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # per channel, on pixels in [0, 1]
    std: tuple[float, ...]
    share: float  # of the resized picture that the centre crop keeps per side
    filter: str  # of the resize


IMAGENET = Published((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.875, "bilinear")


def torchvision_net(name: str, classes: int, *, pretrained: bool, **arguments: Any) -> nn.Module:
    """Build a classification network of torchvision for RGB pictures."""
    from torchvision import models

    builder = models.get_model_builder(_torchvision_name(name))
    for flag, value in (("aux_logits", False), ("init_weights", True)):
        # Inception and GoogLeNet answer with a tuple in training unless told otherwise.
        if flag in inspect.signature(_class_of(builder)).parameters:
            arguments.setdefault(flag, value)
    if not pretrained:
        return _built(builder, num_classes=classes, **arguments)
    weights = models.get_model_weights(name).DEFAULT
    arguments = {k: v for k, v in arguments.items() if k not in ("aux_logits", "init_weights")}
    net = _fetched(lambda: builder(weights=weights, **arguments), f"torchvision/{name}")
    return with_head(net, classes)


def timm_net(name: str, classes: int, *, pretrained: bool, **arguments: Any) -> nn.Module:
    """Build a classification network of timm for RGB pictures."""
    import timm

    _timm_name(name)
    choices = {"num_classes": classes, "pretrained": pretrained, **arguments}
    if pretrained:
        return _fetched(lambda: timm.create_model(name, **choices), f"timm/{name}")
    return _built(timm.create_model, name, **choices)


def torchvision_published(name: str) -> Published:
    """Give the preprocessing of torchvision's default weights; ImageNet's usual one if unknown."""
    from torchvision import models

    preset = models.get_model_weights(_torchvision_name(name)).DEFAULT.transforms()
    if not hasattr(preset, "crop_size"):
        return IMAGENET
    crop, resized = preset.crop_size[0], preset.resize_size[0]
    mode = preset.interpolation.value
    return Published((crop, crop), tuple(preset.mean), tuple(preset.std), crop / resized, mode)


def timm_published(name: str) -> Published:
    """Give the preprocessing in timm's own record of the network."""
    import timm

    card = timm.get_pretrained_cfg(_timm_name(name))
    if card is None:
        return IMAGENET
    height, width = card.input_size[1:]
    return Published(
        (height, width), tuple(card.mean), tuple(card.std), card.crop_pct, card.interpolation
    )


def with_head(net: nn.Module, classes: int) -> nn.Module:
    """Replace the last linear layer (or 1x1 convolution) by a fresh one for `classes` classes."""
    kinds = (nn.Linear, nn.Conv2d)
    path, last = [(n, m) for n, m in net.named_modules() if isinstance(m, kinds)][-1]
    parent, _, leaf = path.rpartition(".")
    bias = last.bias is not None
    head = (
        nn.Linear(last.in_features, classes, bias=bias)
        if isinstance(last, nn.Linear)
        else nn.Conv2d(last.in_channels, classes, 1, bias=bias)
    )
    setattr(net.get_submodule(parent), leaf, head)
    return net


def _torchvision_name(name: str) -> str:
    from torchvision import models

    return choose("network of torchvision", name, models.list_models(module=models))


def _timm_name(name: str) -> str:
    import timm

    if not timm.is_model(name):  # pretrained tags (`resnet18.a1_in1k`) are known to is_model
        choose("network of timm", name, timm.list_models())
    return name


def _class_of(builder: Any) -> Any:
    # torchvision's builders forward **kwargs to one class of their module.
    names = {"inception_v3": "Inception3", "googlenet": "GoogLeNet"}
    return getattr(inspect.getmodule(builder), names.get(builder.__name__, ""), builder)


def _built(builder: Any, *names: str, **arguments: Any) -> nn.Module:
    try:
        net: nn.Module = builder(*names, **arguments)
    except TypeError as error:
        raise UsageError(f"the network does not take these arguments: {error}") from error
    return net


def _fetched(build: Any, name: str) -> nn.Module:
    try:
        net: nn.Module = build()
    except Exception as error:  # torch.hub, urllib and the hub client each have errors of their own
        raise DataError(
            f"the published weights of {name} could not be fetched ({type(error).__name__}): "
            "connect, or leave out --pretrained, or pass a file with --weights FILE"
        ) from error
    return net
