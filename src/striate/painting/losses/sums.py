"""What a style loss keeps of a picture, by region and layer, added up over tiles."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.painting.networks.protocol import Front, Network
from striate.painting.pictures.scene import Region
from striate.painting.tiling import strips, tiles
from striate.painting.tiling.tiles import Span, Tile

from .style_losses import Statistics, StyleLoss

Sums = list[dict[str, Statistics]]  # by region and layer


class Area(NamedTuple):
    """A region at one layer: each position's share (H, W) or one for all; its size in [0, 1]."""

    shares: Tensor  # in double precision: the loss divides by what they leave
    size: float


def areas(
    region: Region, sizes: Mapping[str, tuple[int, int]], device: torch.device
) -> dict[str, Area]:
    """Compute a region's area at layers of these heights and widths; where it is empty, none."""
    found = {}
    for name, (height, width) in sizes.items():
        if region.mask is None:
            one = torch.tensor(1 / (height * width), dtype=torch.float64, device=device)
            found[name] = Area(one, 1.0)
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
    """Return the pixels that a tile is run on."""
    return picture if tile is None else tile.crop(picture)


def run(
    network: Network,
    loss: StyleLoss,
    pixels: Tensor,
    wanted: Sequence[Mapping[str, Area]],
    tile: Tile | None,
    *,
    also: str = "",
) -> tuple[Sums, dict[str, Tensor]]:
    """Run the network on a tile's pixels: give its part of what is kept by region and layer.

    The second are the activations (1, C, H, W) of the layer `also`, what counts of them.
    """
    size = (pixels.shape[2], pixels.shape[3])
    front = network.front(*size) if loss.additive else None
    if front is not None:
        total, pooled = _front(network, front, loss, pixels, wanted, tile or tiles.whole(size))
        walk = front.rest(pooled, tile)
    else:
        total = [{} for _ in wanted]
        walk = network.walk(pixels, tile)
    seen: dict[str, Tensor] = {}
    for name, core in walk:
        add(total, _statistics(network, loss, {name: core}, wanted, tile))
        if name == also:
            seen[name] = core
    return total, seen


def _front(
    network: Network,
    front: Front,
    loss: StyleLoss,
    pixels: Tensor,
    wanted: Sequence[Mapping[str, Area]],
    tile: Tile,
) -> tuple[Sums, Tensor]:
    """Run the first block in strips: give its part of the sums, and what it is pooled to."""

    def one(part: Tensor, span: Span, marks: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        features, pooled, marked = front.run(part, span, marks)
        strip = tiles.strip(tile, span)
        cores = {name: strip.core(found, 0) for name, found in features.items()}
        kept = _statistics(network, loss, cores, wanted, strip, known=marks is not None)
        return pooled, marked, tensors(kept)

    pooled, parts = strips.run(pixels, one, front.rows)
    names = network.sizes(1, 1)  # one pixel reaches the first block only
    found = iter(parts)
    # Whatever is additive keeps a mean and second moments.
    total: Sums = [
        {name: (next(found), next(found)) for name in names if name in areas} for areas in wanted
    ]
    return total, pooled


def _statistics(
    network: Network,
    loss: StyleLoss,
    cores: Mapping[str, Tensor],
    wanted: Sequence[Mapping[str, Area]],
    tile: Tile | None,
    *,
    known: bool = False,
) -> Sums:
    # Only what is additive is ever known before.
    keep = partial(loss.keep, known=True) if known else loss.keep
    return [
        {
            name: keep(columns(core), share(network, name, areas[name], tile))
            for name, core in cores.items()
            if name in areas
        }
        for areas in wanted
    ]


def whole(network: Network, name: str, features: Tensor, tile: Tile | None) -> Tensor:
    """Return a tile's place in activations (..., H, W) of the whole picture."""
    return features if tile is None else tile.whole(features, _depth(network, name))


def share(network: Network, name: str, area: Area, tile: Tile | None) -> Tensor:
    """Return the shares of a tile's positions, or the one share of all."""
    if not area.shares.ndim:
        return area.shares
    return whole(network, name, area.shares, tile).flatten()


def columns(features: Tensor) -> Tensor:
    """Return activations (1, C, H, W) as a view (C, M), or (C, H, W) where that would be a copy."""
    # Not features[0]: on the backward pass that is a copy.
    rows = features.squeeze(0).permute(1, 2, 0)
    whole = rows.stride(0) == rows.shape[1] * rows.stride(1)
    return rows.flatten(0, 1).T if whole else rows.permute(2, 0, 1)


def statistics(
    network: Network, loss: StyleLoss, picture: Tensor, names: Sequence[str], side: int | None
) -> dict[str, Statistics]:
    """Compute the statistics of a style picture at each layer, tile by tile."""
    height, width = picture.shape[2:]
    sizes = network.sizes(height, width)
    own = areas(Region(None, {}), {name: sizes[name] for name in names}, picture.device)
    total: Sums = [{}]
    for tile in cut(network, (height, width), side):
        add(total, run(network, loss, crop(picture, tile), [own], tile)[0])
    return total[0]


def add(total: Sums, part: Sums) -> None:
    """Add the sums of a tile to those of the tiles before."""
    for whole, one in zip(total, part, strict=True):
        whole |= {name: _added(whole[name], kept) for name, kept in one.items() if name in whole}
        whole |= {name: kept for name, kept in one.items() if name not in whole}


def tensors(sums: Iterable[Mapping[str, Statistics]]) -> list[Tensor]:
    """List all tensors of sums, in a fixed order."""
    return [tensor for one in sums for kept in one.values() for tensor in kept]


def detached(sums: Sums) -> Sums:
    """Return the same numbers without their graph."""
    return [{name: tuple(t.detach() for t in kept) for name, kept in one.items()} for one in sums]


def _added(one: Statistics, other: Statistics) -> Statistics:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _depth(network: Network, name: str) -> int:
    assert network.grid is not None
    return network.grid.depths[name]
