"""Networks of torchvision and timm, by prefix, with the preprocessing they were made for."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
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


# What follows from other choices; and what would have the library read a file that a run names.
_NOT_CHOSEN = (
    "num_classes",
    "pretrained",
    "weights",
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "cache_dir",
)

IMAGENET = Published((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.875, "bilinear")


def torchvision_net(name: str, classes: int, *, pretrained: bool, **arguments: Any) -> nn.Module:
    """Build a classification network of torchvision for RGB pictures."""
    from torchvision import models

    builder = models.get_model_builder(_torchvision_name(name))
    known = f"torchvision/{name}"
    _check_own_choice(known, arguments)
    if name in ("inception_v3", "googlenet"):
        # With auxiliary heads they would answer with a tuple in training. Their input is scaled as
        # their published weights want it, in every case: a run is opened again without those.
        fixed = {"aux_logits": False, "transform_input": True}
        # Their own rule for initial weights needs seconds, and says so in a warning if left open.
        arguments = {"init_weights": not pretrained, **fixed, **arguments}
    if not pretrained:
        return _built(lambda: builder(num_classes=classes, **arguments), known, arguments)
    weights = models.get_model_weights(name).DEFAULT
    arguments.pop("init_weights", None)
    return with_head(
        _fetched(lambda: builder(weights=weights, **arguments), known, arguments), classes
    )


def timm_net(name: str, classes: int, *, pretrained: bool, **arguments: Any) -> nn.Module:
    """Build a classification network of timm for RGB pictures."""
    import timm

    known = f"timm/{_timm_name(name)}"
    _check_own_choice(known, arguments)

    def build() -> nn.Module:
        net: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=classes, **arguments
        )
        return net

    if not pretrained:
        return _built(build, known, arguments)
    with _offline_if_unreachable():
        return _fetched(build, known, arguments)


def torchvision_published(name: str) -> Published:
    """Return the preprocessing of torchvision's default weights; ImageNet's if unknown."""
    from torchvision import models

    preset = models.get_model_weights(_torchvision_name(name)).DEFAULT.transforms()
    if not hasattr(preset, "crop_size"):
        return IMAGENET
    crop, resized = preset.crop_size[0], preset.resize_size[0]
    mode = preset.interpolation.value
    return Published((crop, crop), tuple(preset.mean), tuple(preset.std), crop / resized, mode)


def timm_published(name: str) -> Published:
    """Return the preprocessing in timm's own record of the network."""
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


def _check_own_choice(known: str, arguments: Mapping[str, Any]) -> None:
    for name in _NOT_CHOSEN:
        if name in arguments:
            raise UsageError(
                f"{name} is no argument of {known} here: it follows from other choices"
            )


def _built(build: Callable[[], nn.Module], known: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        return build()
    except (TypeError, ValueError) as error:
        if not arguments:
            raise
        # The libraries' builders forward what they are given: their own error says what is wrong.
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UsageError(f"{known} cannot be built with {shown}: {error}") from error


def _fetched(build: Callable[[], nn.Module], known: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        return _built(build, known, arguments)
    except UsageError:
        raise
    except Exception as error:  # torch.hub, urllib and the hub client each have errors of their own
        raise DataError(
            f"the published weights of {known} could not be fetched ({type(error).__name__}): "
            "connect, or leave out --pretrained, or pass a file with --weights FILE"
        ) from error


@contextlib.contextmanager
def _offline_if_unreachable() -> Iterator[None]:
    """Spare people the hub client's retries, 45 seconds of them, where there is no network."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    if not before and not _reachable(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except OSError:
        return False
    return True
