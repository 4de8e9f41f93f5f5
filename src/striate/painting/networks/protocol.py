"""What painting asks of any network: its named activations, and how a picture may be cut for it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from striate.painting.tiling.tiles import Span, Tile


class Grid(NamedTuple):
    """How a network may be cut into tiles, and where its activations then are."""

    alignment: int  # the spacing in pixels at which all layers begin anew: tiles start at multiples
    margin: int  # how far in pixels an activation sees beyond its own place, such a multiple too
    depths: dict[str, int]  # how often an activation's picture was halved


class Front(NamedTuple):
    """A network's first block, which is run in strips of rows, and what follows it."""

    rows: list[Span]  # the strips
    # The pixels of a strip, and marks of an earlier run if there was one -> named activations of
    # its core, what the core is pooled to, marks.
    run: Callable[[Tensor, Span, Tensor | None], tuple[dict[str, Tensor], Tensor, Tensor]]
    # What the whole picture is pooled to -> the named activations behind.
    rest: Callable[[Tensor, Tile | None], Iterator[tuple[str, Tensor]]]


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

    def pixel_bytes(self, *, additive: bool) -> int:
        """Return the bytes of memory that a step takes for a pixel, by what the loss is."""

    @property
    def device(self) -> torch.device:
        """Where it runs, and with it the painting."""

    @property
    def precision(self) -> torch.dtype:
        """What its convolutions are run in."""

    def place(self, device: torch.device, precision: torch.dtype) -> Self:
        """Move it to a device, its convolutions in a precision."""

    def walk(self, images: Tensor, tile: Tile | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield the named activations of pictures (N, 3, H, W) in [0, 1], in order.

        Of a tile with its margin, what counts of them.
        """

    def front(self, height: int, width: int) -> Front | None:
        """Return its first block where that is run in strips at this size; None: all at once."""

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Return height and width of all named activations that pictures of this size reach."""
