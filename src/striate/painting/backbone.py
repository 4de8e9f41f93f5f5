"""The convolutions of VGG (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556) by name.

Activations are called relu1_1 to relu5_4 as in the paper's blocks. Only as much of the network is
built as the layers asked for need.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.errors import DataError, UsageError, choose
from striate.models import tensorfiles

from .layers import convolve, pool

# Convolutions in each block; their widths are the same in all VGGs.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Convolution(NamedTuple):
    """One convolution: its name, its number among torchvision's features, its width."""

    name: str
    place: int
    width: int


class Trunk(nn.Module):
    """VGG's blocks up to the deepest named activation, with borders repeated instead of zero."""

    def __init__(self, model: str, names: Sequence[str]) -> None:
        """Build a network whose weights are still random, from a fixed seed."""
        super().__init__()
        self.model, self.names = model, tuple(names)
        self.plan = _plan(model, names)
        generator = torch.Generator().manual_seed(0)
        channels = 3
        for one in (one for block in self.plan for one in block):
            # He's rule keeps the size of activations, so that a random network can serve as well.
            weight = torch.randn(one.width, channels, 3, 3, generator=generator)
            self.register_buffer(f"{one.name}_weight", weight * (2 / (9 * channels)) ** 0.5)
            self.register_buffer(f"{one.name}_bias", torch.zeros(one.width))
            channels = one.width
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def block(self, number: int, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Run one block on what the block before gave, or on pictures (N, 3, H, W) in [0, 1].

        Gives its output and its named activations.
        """
        if number:
            x = pool(x)
        else:
            # Pictures on the CPU would keep their layout, and all that follows with it.
            x = ((x - self.get_buffer("mean")) / self.get_buffer("std")).contiguous(
                memory_format=torch.channels_last
            )
        found = {}
        for one in self.plan[number]:
            x = convolve(x, *(self.get_buffer(f"{one.name}_{kind}") for kind in ("weight", "bias")))
            if one.name in self.names:
                found[one.name] = x
        return x, found

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Give the named activations of pictures (N, 3, H, W) in [0, 1].

        What lies behind a pooling that would leave nothing of the picture is left out.
        """
        found: dict[str, Tensor] = {}
        for number in range(self.depth(*images.shape[2:])):
            images, named = self.block(number, images)
            found |= named
        return found

    def depth(self, height: int, width: int) -> int:
        """Count the blocks that pictures of this size reach.

        >>> Trunk("vgg16", ["relu3_1"]).depth(2, 640)
        2
        """
        return min(len(self.plan), min(height, width).bit_length())

    def reached(self, height: int, width: int) -> list[str]:
        """List the named activations that pictures of this size have."""
        blocks = self.plan[: self.depth(height, width)]
        return [one.name for block in blocks for one in block if one.name in self.names]

    @property
    def alignment(self) -> int:
        """The step in pixels at which all layers begin anew: tiles start at its multiples."""
        return int(2 ** (len(self.plan) - 1))

    @property
    def margin(self) -> int:
        """How far in pixels an activation sees beyond its own place, a multiple of `alignment`."""
        reach = sum(len(block) << depth for depth, block in enumerate(self.plan))
        reach += self.alignment - 1  # by pooling, to the right and below
        return -(-reach // self.alignment) * self.alignment

    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take weights under torchvision's names; `source` is for the error."""
        for one in (one for block in self.plan for one in block):
            for kind in ("weight", "bias"):
                key, own = f"features.{one.place}.{kind}", self.get_buffer(f"{one.name}_{kind}")
                if key not in tensors:
                    raise DataError(f"{source} does not fit {self.model}: {key} is not in it")
                if tensors[key].shape != own.shape:
                    raise DataError(f"{source} does not fit {self.model}: {key} has another shape")
                layout = torch.channels_last if own.ndim == 4 else torch.preserve_format
                with torch.no_grad():
                    self.register_buffer(
                        f"{one.name}_{kind}",
                        tensors[key].to(own.dtype).contiguous(memory_format=layout),
                    )


def names(model: str) -> list[str]:
    """List the activations of a network, from the picture on."""
    return [f"relu{number}_{place}" for number, place in _places(model)]


def random(model: str, layers: Sequence[str] = (*STYLE, CONTENT)) -> Trunk:
    """Build a network with random weights: for tests, and to measure time and memory."""
    return Trunk(choose("network to paint with", model, BLOCKS), layers).eval()


def load(
    model: str, weights: Path | None = None, layers: Sequence[str] = (*STYLE, CONTENT)
) -> Trunk:
    """Build a network with weights from a file, else torchvision's own for ImageNet."""
    trunk = random(model, layers)
    if weights is None:
        trunk.load(_fetch(model), f"torchvision's {model}")
        return trunk
    path = weights.expanduser()
    trunk.load(tensorfiles.read(path), str(path))
    return trunk


def _fetch(model: str) -> Mapping[str, Tensor]:
    from torchvision import models

    published = models.get_model_weights(model).DEFAULT
    try:
        found: Mapping[str, Tensor] = published.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # urllib, the hub and the file system each have errors of their own
        name = published.url.rpartition("/")[2]
        place = Path(torch.hub.get_dir()) / "checkpoints" / name
        raise DataError(
            f"the weights of {model} could not be fetched ({type(error).__name__}): put {name} "
            f"from {published.url} at {place}, or pass a file with --weights FILE"
        ) from error
    return found


def _places(model: str) -> Iterator[tuple[int, int]]:
    for number, count in enumerate(BLOCKS[model], 1):
        for place in range(1, count + 1):
            yield number, place


def _plan(model: str, layers: Sequence[str]) -> list[list[Convolution]]:
    """List the convolutions of each block, as far as the deepest of the layers."""
    known = names(model)
    for layer in layers:
        choose(f"activation of {model}", layer, known)
    if not layers:
        raise UsageError("name at least one activation")
    deepest = max(known.index(layer) for layer in layers)
    plan: list[list[Convolution]] = []
    torchvisions = 0
    for name, (number, place) in list(zip(known, _places(model), strict=True))[: deepest + 1]:
        if place == 1:
            plan.append([])
            torchvisions += number > 1  # the pooling before
        plan[-1].append(Convolution(name, torchvisions, WIDTHS[number - 1]))
        torchvisions += 2  # with its ReLU
    return plan
