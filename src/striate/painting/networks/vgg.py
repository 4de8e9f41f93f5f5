"""The convolutions of VGG (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556) by name.

Activations are called relu1_1 to relu5_4 as in the paper's blocks. Only as much of the network is
built as the layers asked for need.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from striate.errors import DataError, choose
from striate.models import tensorfiles
from striate.painting.tiling import tiles
from striate.painting.tiling.tiles import Span, Tile

from .convolution import convolve, convolve_pooled, fork, pool
from .protocol import Front, Grid

# Convolutions in each block; their widths are the same in all VGGs.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
# Bytes of memory, measured over whole paintings: what the first step takes once, and a step for a
# pixel. The first block decides; where it is run in strips, the second.
LOADED = {"AVX2": 114 * 2**20, "AVX512": 184 * 2**20}
UNSTRIPED = {torch.float32: 830, torch.bfloat16: 762}
STRIPED = {torch.float32: 540, torch.bfloat16: 496}
# The first block is run in strips whose activations have so many bytes, and so many rows at least.
STRIP, LEAST_STRIP = 2**22, 8
_PARTS = ("weight", "bias")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Convolution(NamedTuple):
    """One convolution: its name, its number among torchvision's features, its width."""

    name: str
    place: int
    width: int
    last: bool  # of its block


class Trunk(nn.Module):
    """VGG's blocks up to the deepest named activation, with borders repeated instead of zero."""

    def __init__(self, model: str, style: Sequence[str], content: str) -> None:
        """Build a network whose weights are still random, from a fixed seed."""
        super().__init__()
        self.model, self.style, self.content = model, tuple(style), content
        self.names = {*style, content}
        self.blocks = _blocks(model, self.names)
        generator = torch.Generator().manual_seed(0)
        channels = 3
        for one in (one for block in self.blocks for one in block):
            # He's rule keeps the size of activations, so that a random network can serve as well.
            weight = torch.randn(one.width, channels, 3, 3, generator=generator)
            self.register_buffer(f"{one.name}_weight", weight * (2 / (9 * channels)) ** 0.5)
            self.register_buffer(f"{one.name}_bias", torch.zeros(one.width))
            channels = one.width
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    @property
    def loaded(self) -> int:
        """Bytes of memory that the first step takes once: libraries and their kernels."""
        return LOADED.get(torch.backends.cpu.get_cpu_capability(), LOADED["AVX2"])

    def walk(self, images: Tensor, tile: Tile | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield the named activations of pictures (N, 3, H, W) in [0, 1], in order.

        Of a tile with its margin, what counts of them. What lies behind a pooling that would leave
        nothing of the picture is left out.
        """
        yield from self._walk(self._normalised(images), 0, tile)

    def strips(self, height: int, width: int) -> list[Span]:
        """Return the rows of a picture in which the first block is run; none: all at once.

        Its activations are the largest by far. In strips they stay in the cache, and memory holds
        only what they are pooled to; for the backward pass they are made once more.
        """
        if not self._divided or width == 1:  # which ends with the first block
            return []
        block = self.blocks[0]
        row = width * block[0].width * self.precision.itemsize
        spans = tiles.spans(height, max(LEAST_STRIP, STRIP // row), len(block), 2)
        return spans if len(spans) > 1 else []

    def front(self, height: int, width: int) -> Front | None:
        """Return the first block where it is run in strips at this size; None: all at once."""
        rows = self.strips(height, width)
        return Front(rows, self._strip, self._rest) if rows else None

    def _strip(
        self, images: Tensor, rows: Span, marks: Tensor | None
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Run the first block on a strip of a picture: `images` are the rows that are run.

        Gives the core's rows of the named activations, what the core is pooled to, and marks: with
        them the backward pass can be had without the last convolution.
        """
        x, found = self._normalised(images), {}
        *block, last = self.blocks[0]
        for after, one in zip(range(len(block), 0, -1), block, strict=True):
            begin = max(0, rows.core_begin - after)
            end = min(rows.length, rows.core_end + after)
            x = self._convolve(x, one, ends=(begin == 0, end == rows.length))
            if one.name in self.names:
                core = slice(rows.core_begin - begin, rows.core_end - begin)
                x, found[one.name] = fork(x, core, slice(None))
        ends = (rows.core_begin == 0, rows.core_end == rows.length)
        if last.name not in self.names:
            return found, *convolve_pooled(x, *self._weights(last), marks, ends=ends)
        found[last.name] = self._convolve(x, last, ends=ends)
        return found, pool(found[last.name]), x.new_empty(0)

    def _rest(self, pooled: Tensor, tile: Tile | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield the named activations behind the first block, from its pooled output."""
        yield from self._walk(pooled, 1, tile)

    def _walk(self, x: Tensor, first: int, tile: Tile | None) -> Iterator[tuple[str, Tensor]]:
        blocks = self.blocks[first:][: _depth(*x.shape[2:])]
        for depth, block in enumerate(blocks, first):
            x = pool(x) if depth > first else x
            for one in block:
                x = self._convolve(x, one)
                if one.name not in self.names:
                    continue
                if tile is None:
                    yield one.name, x
                else:
                    x, core = fork(x, tile.rows.at(depth), tile.columns.at(depth))
                    yield one.name, core

    def _normalised(self, images: Tensor) -> Tensor:
        # Pictures on the CPU would keep their layout, and all that follows with it.
        return ((images - self.get_buffer("mean")) / self.get_buffer("std")).contiguous(
            memory_format=torch.channels_last
        )

    def _convolve(self, x: Tensor, one: Convolution, **choices: Any) -> Tensor:
        named = one.name in self.names
        return convolve(x, *self._weights(one), named=named, pooled=one.last, **choices)

    def _weights(self, one: Convolution) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"{one.name}_weight"), self.get_buffer(f"{one.name}_bias")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the named activations of pictures (N, 3, H, W) in [0, 1]."""
        return dict(self.walk(images))

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Return height and width of all named activations that pictures of this size reach.

        >>> random("vgg16", ["relu1_1"], "relu4_2").sizes(4, 640)
        {'relu1_1': (4, 640)}
        """
        return {
            one.name: (height >> depth, width >> depth)
            for depth, block in enumerate(self.blocks[: _depth(height, width)])
            for one in block
            if one.name in self.names
        }

    @property
    def grid(self) -> Grid:
        """How it may be cut into tiles."""
        alignment = int(2 ** (len(self.blocks) - 1))
        reach = sum(len(block) << depth for depth, block in enumerate(self.blocks))
        reach += alignment - 1  # by pooling, to the right and below
        depths = {one.name: depth for depth, block in enumerate(self.blocks) for one in block}
        return Grid(alignment, -(-reach // alignment) * alignment, depths)

    @property
    def widths(self) -> dict[str, int]:
        """The channels of each named activation."""
        every = (one for block in self.blocks for one in block)
        return {one.name: one.width for one in every if one.name in self.names}

    def pixel_bytes(self, *, additive: bool) -> int:
        """Return the bytes of memory that a step takes for a pixel, by what the loss is."""
        return (STRIPED if additive and self._divided else UNSTRIPED)[self.precision]

    @property
    def _divided(self) -> bool:
        # A GPU has no use for caches so small. Content's activations are asked for as a whole.
        front = {one.name for one in self.blocks[0]}
        return self.device.type == "cpu" and len(self.blocks) > 1 and self.content not in front

    @property
    def device(self) -> torch.device:
        """Where it runs, and with it the painting."""
        return self.get_buffer("mean").device

    @property
    def precision(self) -> torch.dtype:
        """What its convolutions are run in."""
        return self.get_buffer(f"{self.blocks[0][0].name}_weight").dtype

    def place(self, device: torch.device, precision: torch.dtype) -> Self:
        """Move it to a device, its convolutions in a precision."""
        self.to(device)
        for one in (one for block in self.blocks for one in block):
            for part in _PARTS:
                key = f"{one.name}_{part}"
                self.register_buffer(key, self.get_buffer(key).to(precision))
        return self

    def load(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take weights under torchvision's names; `source` is for the error."""
        for one in (one for block in self.blocks for one in block):
            for part in _PARTS:
                key, own = f"features.{one.place}.{part}", self.get_buffer(f"{one.name}_{part}")
                if key not in tensors:
                    raise DataError(f"{source} does not fit {self.model}: {key} is not in it")
                if tensors[key].shape != own.shape:
                    raise DataError(f"{source} does not fit {self.model}: {key} has another shape")
                layout = torch.channels_last if own.ndim == 4 else torch.preserve_format
                with torch.no_grad():
                    self.register_buffer(
                        f"{one.name}_{part}",
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
    """Load torchvision's weights of a network of its own, from its cache or the network."""
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


def _depth(height: int, width: int) -> int:
    """Count the blocks that a picture reaches: each pooling leaves half of its shorter side."""
    return min(height, width).bit_length()


def _places(model: str) -> Iterator[tuple[int, int]]:
    for number, count in enumerate(BLOCKS[model], 1):
        for place in range(1, count + 1):
            yield number, place


def _blocks(model: str, layers: Collection[str]) -> list[list[Convolution]]:
    """List the convolutions of each block, as far as the deepest of the layers."""
    known = names(model)
    for layer in layers:
        choose(f"activation of {model}", layer, known)
    deepest = max(known.index(layer) for layer in layers)
    blocks: list[list[Convolution]] = []
    torchvisions = 0
    for name, (number, place) in list(zip(known, _places(model), strict=True))[: deepest + 1]:
        if place == 1:
            blocks.append([])
            torchvisions += number > 1  # the pooling before
        last = place == BLOCKS[model][number - 1]
        blocks[-1].append(Convolution(name, torchvisions, WIDTHS[number - 1], last))
        torchvisions += 2  # with its ReLU
    return blocks
