"""The convolutions of VGG (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556) by name.

Activations are called relu1_1 to relu5_4 as in the paper's blocks. Only as much of the network is
built as the layers asked for need.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from striate.errors import DataError, choose
from striate.models import tensorfiles

from .layers import convolve, pool

# Convolutions in each block; their widths are the same in all VGGs.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
# Bytes of memory, measured over whole paintings: what the first step takes once, a step for a pixel
# (the first block decides), and what small freed blocks leave unused for a pixel.
LOADED = 62 * 2**20
HOLES = {torch.float32: 870, torch.bfloat16: 530}
HELD = {torch.float32: 830, torch.bfloat16: 762}
_KINDS = ("weight", "bias")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Grid(NamedTuple):
    """How a network may be cut into tiles, and where its activations then are."""

    alignment: int  # the step in pixels at which all layers begin anew: tiles start at multiples
    margin: int  # how far in pixels an activation sees beyond its own place, such a multiple too
    depths: dict[str, int]  # how often an activation's picture was halved


class Network(Protocol):
    """What painting asks of a network: its named activations, and where they come from."""

    @property
    def style(self) -> tuple[str, ...]:
        """The activations that style is taken from."""

    @property
    def content(self) -> str:
        """The activation that content is taken from."""

    @property
    def grid(self) -> Grid | None:
        """How it may be cut; None: it sees a picture whole."""

    @property
    def widths(self) -> dict[str, int]:
        """The channels of each named activation."""

    @property
    def loaded(self) -> int:
        """Bytes of memory that the first step takes once: libraries and their kernels."""

    @property
    def held(self) -> int:
        """Bytes of memory that a step takes for a pixel."""

    @property
    def holes(self) -> int:
        """Bytes that freed blocks leave unused for a pixel, as long as there are few pixels."""

    @property
    def device(self) -> torch.device:
        """Where it runs, and with it the painting."""

    @property
    def precision(self) -> torch.dtype:
        """What its convolutions are run in."""

    def place(self, device: torch.device, precision: torch.dtype) -> Self:
        """Move it to a device, its convolutions in a precision."""

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Give the named activations of pictures (N, 3, H, W) in [0, 1], as they come."""

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Give height and width of all named activations that pictures of this size reach."""


class Convolution(NamedTuple):
    """One convolution: its name, its number among torchvision's features, its width."""

    name: str
    place: int
    width: int


class Trunk(nn.Module):
    """VGG's blocks up to the deepest named activation, with borders repeated instead of zero."""

    loaded = LOADED

    def __init__(self, model: str, style: Sequence[str], content: str) -> None:
        """Build a network whose weights are still random, from a fixed seed."""
        super().__init__()
        self.model, self.style, self.content = model, tuple(style), content
        self.names = {*style, content}
        self.plan = _plan(model, self.names)
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

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Give the named activations of pictures (N, 3, H, W) in [0, 1], as they come.

        What lies behind a pooling that would leave nothing of the picture is left out.
        """
        # Pictures on the CPU would keep their layout, and all that follows with it.
        x = ((images - self.get_buffer("mean")) / self.get_buffer("std")).contiguous(
            memory_format=torch.channels_last
        )
        for number in range(self._depth(*images.shape[2:])):
            x = pool(x) if number else x
            for one in self.plan[number]:
                named, last = one.name in self.names, one is self.plan[number][-1]
                weight, bias = (self.get_buffer(f"{one.name}_{kind}") for kind in _KINDS)
                x = convolve(x, weight, bias, named=named, pooled=last)
                if named:
                    yield one.name, x

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Give the named activations of pictures (N, 3, H, W) in [0, 1]."""
        return dict(self.walk(images))

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Give height and width of all named activations that pictures of this size reach.

        >>> random("vgg16", ["relu1_1"], "relu4_2").sizes(4, 640)
        {'relu1_1': (4, 640)}
        """
        return {
            one.name: (height >> depth, width >> depth)
            for depth, block in enumerate(self.plan[: self._depth(height, width)])
            for one in block
            if one.name in self.names
        }

    @property
    def grid(self) -> Grid:
        """How it may be cut into tiles."""
        alignment = int(2 ** (len(self.plan) - 1))
        reach = sum(len(block) << depth for depth, block in enumerate(self.plan))
        reach += alignment - 1  # by pooling, to the right and below
        depths = {one.name: depth for depth, block in enumerate(self.plan) for one in block}
        return Grid(alignment, -(-reach // alignment) * alignment, depths)

    @property
    def widths(self) -> dict[str, int]:
        """The channels of each named activation."""
        every = (one for block in self.plan for one in block)
        return {one.name: one.width for one in every if one.name in self.names}

    @property
    def held(self) -> int:
        """Bytes of memory that a step takes for a pixel."""
        return HELD[self.precision]

    @property
    def holes(self) -> int:
        """Bytes that freed blocks leave unused for a pixel, as long as there are few pixels."""
        return HOLES[self.precision]

    @property
    def device(self) -> torch.device:
        """Where it runs, and with it the painting."""
        return self.get_buffer("mean").device

    @property
    def precision(self) -> torch.dtype:
        """What its convolutions are run in."""
        return self.get_buffer(f"{self.plan[0][0].name}_weight").dtype

    def place(self, device: torch.device, precision: torch.dtype) -> Self:
        """Move it to a device, its convolutions in a precision."""
        self.to(device)
        for one in (one for block in self.plan for one in block):
            for kind in _KINDS:
                key = f"{one.name}_{kind}"
                self.register_buffer(key, self.get_buffer(key).to(precision))
        return self

    def _depth(self, height: int, width: int) -> int:
        """Count the blocks that pictures of this size reach."""
        return min(len(self.plan), min(height, width).bit_length())

    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take weights under torchvision's names; `source` is for the error."""
        for one in (one for block in self.plan for one in block):
            for kind in _KINDS:
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


def random(model: str, style: Sequence[str] = STYLE, content: str = CONTENT) -> Trunk:
    """Build a network with random weights: for tests, and to measure time and memory."""
    return Trunk(choose("network to paint with", model, BLOCKS), style, content).eval()


def load(
    model: str,
    weights: Path | None = None,
    *,
    style: Sequence[str] = STYLE,
    content: str = CONTENT,
) -> Trunk:
    """Build a network with weights from a file, else torchvision's own for ImageNet."""
    trunk = random(model, style, content)
    if weights is None:
        trunk.load(fetch(model), f"torchvision's {model}")
        return trunk
    path = weights.expanduser()
    trunk.load(tensorfiles.read(path), str(path))
    return trunk


def fetch(model: str) -> Mapping[str, Tensor]:
    """Give torchvision's weights of a network of its own, from its cache or the network."""
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


def _plan(model: str, layers: Collection[str]) -> list[list[Convolution]]:
    """List the convolutions of each block, as far as the deepest of the layers."""
    known = names(model)
    for layer in layers:
        choose(f"activation of {model}", layer, known)
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
