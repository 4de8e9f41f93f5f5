"""Networks by name: one architecture a file, and one line here."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from striate import usercode
from striate.errors import UsageError, choose
from striate.usercode import NO_CONSENT, Consent, Reference

from . import arguments
from .alexnet import alexnet
from .audio_convnet import audio_convnet
from .cifar_convnet import cifar_convnet
from .compact import compact
from .convnet import convnet
from .lenet import lenet
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
from .resnet import plain, resnet, resnet_bottleneck
from .small_resnet import small_plain, small_resnet
from .vgg import vgg
from .whitened import whitened
from .wide_resnet import wide_resnet

__all__ = [
    "IMAGENET",
    "MODELS",
    "USUAL",
    "Architecture",
    "Model",
    "Observer",
    "build",
    "find",
    "published",
    "with_head",
]


class Model(NamedTuple):
    """A builder, and what it builds."""

    build: Callable[..., nn.Module]  # (channels, classes, size, **arguments) -> network
    about: str
    smallest: int = 1  # side of a picture, in pixels
    shape: tuple[int, ...] = (3, 32, 32)  # what it was published for: (C, H, W), clips (C, T, H, W)

    @property
    def axes(self) -> int:
        """Of what it slides over: 2 of pictures and spectrograms, 3 of clips."""
        return len(self.shape) - 1


@runtime_checkable
class Observer(Protocol):
    """A network that sets some of its weights by training pictures, before the first step."""

    def observe(self, values: Tensor) -> None:
        """Look at pictures as the network is given them: (N, C, H, W)."""


_MNIST = (1, 28, 28)
_IMAGENET = (3, 224, 224)

MODELS: dict[str, Model] = {
    "convnet": Model(
        convnet, "small, for any picture size: stages of 3x3 convolutions, batch norm", smallest=4
    ),
    "mlp": Model(
        mlp,
        "fully connected baseline: two hidden layers of 512",
        shape=_MNIST,
    ),
    "mnist-convnet": Model(
        mnist_convnet,
        "the chapter's: two 5x5 convolutions, two linear layers, mended (ReLU between them)",
        4,
        _MNIST,
    ),
    "mnist-convnet-listed": Model(
        mnist_convnet_listed,
        "the chapter's as listed: no ReLU between the linear layers, plain SGD at 1e-4",
        4,
        _MNIST,
    ),
    "compact": Model(
        compact,
        "small and quick: three convolutions without padding, batch norm",
        smallest=16,
        shape=_MNIST,
    ),
    "lenet": Model(
        lenet,
        "LeNet-5: two 5x5 convolutions, tanh, three linear layers",
        smallest=12,
        shape=_MNIST,
    ),
    "cifar-convnet": Model(
        cifar_convnet,
        "the chapter's for CIFAR-10: two 3x3 convolutions, any norm",
        smallest=6,
        shape=(3, 24, 24),
    ),
    "alexnet": Model(alexnet, "five convolutions, three linear layers", 63, _IMAGENET),
    "vgg11": Model(partial(vgg, 11), "VGG: 8 convolutions, three linear layers", 32, _IMAGENET),
    "vgg13": Model(partial(vgg, 13), "VGG: 10 convolutions, three linear layers", 32, _IMAGENET),
    "vgg16": Model(partial(vgg, 16), "VGG: 13 convolutions, three linear layers", 32, _IMAGENET),
    "vgg19": Model(partial(vgg, 19), "VGG: 16 convolutions, three linear layers", 32, _IMAGENET),
    "vgg11-bn": Model(partial(vgg, 11, norm="batch"), "vgg11 with batch norm", 32, _IMAGENET),
    "vgg13-bn": Model(partial(vgg, 13, norm="batch"), "vgg13 with batch norm", 32, _IMAGENET),
    "vgg16-bn": Model(partial(vgg, 16, norm="batch"), "vgg16 with batch norm", 32, _IMAGENET),
    "vgg19-bn": Model(partial(vgg, 19, norm="batch"), "vgg19 with batch norm", 32, _IMAGENET),
    "resnet18": Model(
        partial(resnet, 18), "residual: 8 blocks of two 3x3 convolutions", shape=_IMAGENET
    ),
    "resnet34": Model(
        partial(resnet, 34), "residual: 16 blocks of two 3x3 convolutions", shape=_IMAGENET
    ),
    "resnet50": Model(
        partial(resnet_bottleneck, 50), "residual: 16 bottlenecks 1x1, 3x3, 1x1", shape=_IMAGENET
    ),
    "resnet101": Model(
        partial(resnet_bottleneck, 101), "residual: 33 bottlenecks", shape=_IMAGENET
    ),
    "resnet152": Model(
        partial(resnet_bottleneck, 152), "residual: 50 bottlenecks", shape=_IMAGENET
    ),
    "plain18": Model(partial(plain, 18), "resnet18 without its sums", shape=_IMAGENET),
    "plain34": Model(partial(plain, 34), "resnet34 without its sums", shape=_IMAGENET),
    "resnet20": Model(partial(small_resnet, 20), "residual, for small pictures: 9 blocks"),
    "resnet32": Model(partial(small_resnet, 32), "residual, for small pictures: 15 blocks"),
    "resnet44": Model(partial(small_resnet, 44), "residual, for small pictures: 21 blocks"),
    "resnet56": Model(partial(small_resnet, 56), "residual, for small pictures: 27 blocks"),
    "resnet110": Model(partial(small_resnet, 110), "residual, for small pictures: 54 blocks"),
    "plain20": Model(partial(small_plain, 20), "resnet20 without its sums"),
    "plain32": Model(partial(small_plain, 32), "resnet32 without its sums"),
    "plain44": Model(partial(small_plain, 44), "resnet44 without its sums"),
    "plain56": Model(partial(small_plain, 56), "resnet56 without its sums"),
    "wide-resnet": Model(wide_resnet, "residual, few wide blocks: 28 layers, 10 times as wide"),
    "whitened": Model(
        whitened,
        "wide and short, for small pictures: patches whitened, convolutions begun as identities",
        smallest=9,
    ),
    "audio-convnet": Model(
        audio_convnet,
        "for sounds: 3x3 convolutions over log-mel spectrograms, then over all their bands",
        smallest=2,
        shape=(1, 40, 49),  # a spoken digit
    ),
    "r3d": Model(
        r3d,
        "for clips: residual blocks of 3x3x3 convolutions, over time as over height and width",
        shape=(3, 16, 112, 112),
    ),
}
# The network of each kind of data, where none is asked for.
USUAL = {"pictures": "convnet", "sounds": "audio-convnet", "clips": "r3d"}


class Architecture(NamedTuple):
    """All that is needed to build a network again: what a run saves of it."""

    name: str  # in MODELS, torchvision/NAME, timm/NAME, or file.py:function
    arguments: dict[str, Any]
    source: str | None = None  # the text of the user's file

    @property
    def code(self) -> Reference | None:
        """The user's code that builds it, where it is not one of ours."""
        if self.source is None:
            return None
        return Reference(self.source, self.name.rpartition(":")[2], self.arguments)


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
    """Return the preprocessing that the published weights of a network want; None for our own."""
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
    consent: Consent = NO_CONSENT,
    **chosen: Any,
) -> nn.Module:
    """Build a network from pictures (N, C, H, W) to logits (N, `classes`), freshly initialised.

    `size` is height and width in pixels; of spectrograms bands and frames; of clips (T, H, W).
    A name is the user's own words; the code of an Architecture needs consent. Raises UsageError for
    an unknown name or arguments that the network does not take.
    """
    architecture = find(name, chosen) if isinstance(name, str) else name
    height_width = (size, size) if isinstance(size, int) else size
    _check_axes(architecture, len(height_width))
    library, _, net = architecture.name.partition("/")
    if library == "torchvision" or library == "timm":
        if channels != 3:
            raise UsageError(
                f"{architecture.name} takes RGB pictures: channels is 3, not {channels}"
            )
        maker = torchvision_net if library == "torchvision" else timm_net
        return maker(net, classes, pretrained=pretrained, **architecture.arguments)
    if pretrained:
        raise UsageError(
            f"{architecture.name} has no published weights: --pretrained is for torchvision/ "
            "and timm/; pass your own with --weights FILE"
        )
    if architecture.code is not None:
        offered = {"channels": channels, "classes": classes, "size": height_width}
        return _build_users(architecture.code, offered, consent)
    model = MODELS[choose("model", architecture.name, MODELS)]
    arguments.check(architecture.name, model.build, architecture.arguments)
    _check_size(architecture.name, model.smallest, height_width)
    return model.build(channels, classes, height_width, **architecture.arguments)


def _check_size(name: str, smallest: int, size: tuple[int, ...]) -> None:
    if min(size[-2:]) < smallest:
        raise UsageError(
            f"{name} needs pictures of {smallest}x{smallest} or more, not {size[-2]}x{size[-1]}"
        )


def _check_axes(architecture: Architecture, given: int) -> None:
    """Refuse a network of pictures for clips, and the other way round; a user's own may be any."""
    own = MODELS.get(architecture.name)
    wanted = own.axes if own else 2
    if given == wanted or architecture.source is not None:
        return
    if wanted == 3:
        raise UsageError(
            f"{architecture.name} takes clips of 2 frames or more, not pictures or sounds"
        )
    fitting = ", ".join(name for name, model in MODELS.items() if model.axes == given)
    raise UsageError(
        f"{architecture.name} takes pictures, not clips: choose {fitting}, "
        "or --frames 1, the middle one"
    )


def _build_users(code: Reference, offered: Mapping[str, Any], consent: Consent) -> nn.Module:
    net = usercode.call(code, offered, consent)
    if not isinstance(net, nn.Module):
        raise UsageError(f"{code.name} gives {type(net).__name__}, not a torch.nn.Module")
    return net
