"""What a style loss keeps of a picture, by region and layer, added up over tiles."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import tiles
from .backbone import Network
from .losses import Kept, Kind
from .scene import Region
from .tiles import Tile

Sums = list[dict[str, Kept]]  # by region and layer


class Area(NamedTuple):
    """A region at one layer: each position's share (H, W) or one for all; its size in [0, 1]."""

    shares: Tensor  # in double precision: the loss divides by what they leave
    size: float


def areas(region: Region, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Area]:
    """Give what a region is at layers of these heights and widths; where it is empty, nothing."""
    found = {}
    for name, (height, width) in sizes.items():
        if region.mask is None:
            found[name] = Area(torch.tensor(1 / (height * width), dtype=torch.float64), 1.0)
            continue
        mask = F.adaptive_avg_pool2d(region.mask[None, None], (height, width))[0, 0].double()
        total = float(mask.sum())
        if total > 0:
            found[name] = Area(mask / total, total / (height * width))
    return found


def cut(network: Network, size: tuple[int, int], side: int | None) -> list[Tile | None]:
    """Cut a picture of height and width into tiles; None is the whole of it."""
    if side is None or network.grid is None:
        return [None]
    grid = network.grid
    cut = tiles.tiled(size, side, grid.margin, grid.alignment)
    return [None] if len(cut) == 1 else list(cut)


def crop(picture: Tensor, tile: Tile | None) -> Tensor:
    """Give the pixels that a tile is run on."""
    return picture if tile is None else tile.crop(picture)


def cores(network: Network, pixels: Tensor, tile: Tile | None) -> Iterator[tuple[str, Tensor]]:
    """Run the network on a tile's pixels: give what counts of each activation (1, C, H, W)."""
    for name, features in network.walk(pixels):
        yield name, features if tile is None else tile.core(features, _depth(network, name))


def whole(network: Network, name: str, features: Tensor, tile: Tile | None) -> Tensor:
    """Give a tile's place in activations (..., H, W) of the whole picture."""
    return features if tile is None else tile.whole(features, _depth(network, name))


def share(network: Network, name: str, area: Area, tile: Tile | None) -> Tensor:
    """Give the shares of a tile's positions, or the one share of all."""
    if not area.shares.ndim:
        return area.shares
    return whole(network, name, area.shares, tile).flatten()


def columns(features: Tensor) -> Tensor:
    """Give activations (1, C, H, W) as (C, M), a view where they are stored channels last."""
    # Not features[0]: on the way back that is a copy.
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).T


def look(
    network: Network, kind: Kind, picture: Tensor, names: Sequence[str], side: int | None
) -> dict[str, Kept]:
    """Give what a style picture has at each layer, tile by tile."""
    height, width = picture.shape[2:]
    sizes = network.sizes(height, width)
    own = areas(Region(None, {}), {name: sizes[name] for name in names})
    total: dict[str, Kept] = {}
    for tile in cut(network, (height, width), side):
        for name, core in cores(network, crop(picture, tile), tile):
            if name in own:
                kept = kind.keep(columns(core), own[name].shares)
                total[name] = _added(total[name], kept) if name in total else kept
    return total


def add(total: Sums, part: Sums) -> None:
    """Add the sums of a tile to those of the tiles before."""
    for whole, one in zip(total, part, strict=True):
        whole |= {name: _added(whole[name], kept) for name, kept in one.items() if name in whole}
        whole |= {name: kept for name, kept in one.items() if name not in whole}


def tensors(sums: Iterable[Mapping[str, Kept]]) -> list[Tensor]:
    """List all tensors of sums, in a fixed order."""
    return [tensor for one in sums for kept in one.values() for tensor in kept]


def detached(sums: Sums) -> Sums:
    """Give the same numbers without a way back."""
    return [{name: tuple(t.detach() for t in kept) for name, kept in one.items()} for one in sums]


def _added(one: Kept, other: Kept) -> Kept:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _depth(network: Network, name: str) -> int:
    assert network.grid is not None
    return network.grid.depths[name]
