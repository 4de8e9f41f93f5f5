"""How far a picture is from the styles and the content that it should have, with its gradient.

Each layer's style loss is divided by its value at the content picture, the content loss by the
variance of the content's activations: so 0 is reached, 1 is where the picture began, and a weight
means the same at every size, with every network and loss.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import tiles
from .backbone import CONTENT, Trunk
from .losses import LOSSES, Kept, Kind, Loss
from .scene import Region, Scene
from .tiles import Tile

# The least that a style loss is divided by, in shares of its value for no activation at all. Where
# content and style agree, or a picture is flat, rounding would be blown up otherwise.
FLOOR = 1e-3


class Evaluation(NamedTuple):
    """One look at a picture."""

    loss: float
    gradient: Tensor  # as the picture
    style: dict[str, float]  # a layer's residual: 1 for the content picture, 0 for the style's
    content: float  # 0 for the content picture


class _Weights(NamedTuple):
    style: float
    content: float
    smoothness: float


class Objective:
    """The loss of pictures (1, 3, H, W) in [0, 1] for one content, its regions, at one size."""

    def __init__(
        self,
        trunk: Trunk,
        scene: Scene,
        *,
        loss: str = "gram",
        weights: tuple[float, float, float] = (1.0, 1.0, 0.0),
        tile: int | None = None,
    ) -> None:
        """Look at content and styles once; `weights` are of style, content and smoothness.

        With `tile`, a side in pixels, the picture is cut for the sake of memory.
        """
        content, styles, regions, _ = scene
        self.trunk, self.kind = trunk, LOSSES[loss]
        self.weights = _Weights(*weights)
        self.size = (content.shape[2], content.shape[3])
        self.layers = _common(trunk, [content, *styles])
        self.tiles = tiles.tiled(self.size, tile, trunk.margin, trunk.alignment)
        assert self.kind.additive or len(self.tiles) == 1, "a sorted loss sees a picture whole"
        self.areas = [_areas(region, self.size, self.layers) for region in regions]
        with torch.no_grad():
            found = [self._look(style, tile) for style in styles]
            self.losses = [
                _targets(self.kind, region, found, areas)
                for region, areas in zip(regions, self.areas, strict=True)
            ]
            self.content = self._content_of(content)
            own, _ = self._sums(content)
            self.scales = [
                {name: _scale(loss, kept[name]) for name, loss in losses.items()}
                for losses, kept in zip(self.losses, own, strict=True)
            ]
        spread = self.content.float()
        self.spread = float(spread.var() + FLOOR * spread.square().mean()) * spread.numel() or 1.0
        self.roughness = float(variation(content)) + 1e-6

    def evaluate(self, picture: Tensor) -> Evaluation:
        """Give loss, gradient and residuals of a picture."""
        leaf = picture.detach().requires_grad_()
        if len(self.tiles) == 1:
            sums, content = self._run(leaf, self.tiles[0])
            style, gradients = self._judge(_detached(sums))
            self._backward(sums, content, gradients)
            gradient = leaf.grad
        else:
            with torch.no_grad():
                sums, content = self._sums(picture)
            style, gradients = self._judge(sums)
            gradient = self._gradient(picture, gradients)
        assert gradient is not None
        rough = self._smooth(picture, gradient)
        apart = float(content.detach()) / self.spread
        mean = sum(style.values()) / len(style)
        loss = self.weights.style * mean + self.weights.content * apart + rough
        return Evaluation(loss, gradient, style, apart)

    def _gradient(self, picture: Tensor, gradients: list[Tensor]) -> Tensor:
        gradient = torch.zeros_like(picture)
        for tile in self.tiles:
            leaf = tile.crop(picture).detach().clone().requires_grad_()
            sums, content = self._run(leaf, tile)
            self._backward(sums, content, gradients)
            assert leaf.grad is not None
            tile.crop(gradient).add_(leaf.grad)
        return gradient

    def _smooth(self, picture: Tensor, gradient: Tensor) -> float:
        """Add the slope of total variation to the gradient, and give its part of the loss."""
        if not self.weights.smoothness:
            return 0.0
        leaf = picture.detach().requires_grad_()
        rough = variation(leaf) * (self.weights.smoothness / self.roughness)
        gradient += torch.autograd.grad(rough, leaf)[0]
        return float(rough.detach())

    def _sums(self, picture: Tensor) -> tuple[list[dict[str, Kept]], Tensor]:
        total, content = self._run(self.tiles[0].crop(picture), self.tiles[0])
        for tile in self.tiles[1:]:
            sums, apart = self._run(tile.crop(picture), tile)
            for whole, part in zip(_tensors(total), _tensors(sums), strict=True):
                whole += part
            content += apart
        return total, content

    def _run(self, pixels: Tensor, tile: Tile) -> tuple[list[dict[str, Kept]], Tensor]:
        """Give the sums of a tile by region and layer, and its part of the content loss."""
        sums: list[dict[str, Kept]] = [{} for _ in self.areas]
        content = pixels.new_zeros(())
        for depth in range(self.trunk.depth(*pixels.shape[2:])):
            pixels, found, apart = self._block(pixels, depth, tile)
            for whole, part in zip(sums, found, strict=True):
                whole |= part
            content = content + apart
        return sums, content

    def _block(
        self, x: Tensor, depth: int, tile: Tile
    ) -> tuple[Tensor, list[dict[str, Kept]], Tensor]:
        x, named = self.trunk.block(depth, x)
        sums: list[dict[str, Kept]] = []
        for areas in self.areas:
            cores = {n: tile.core(f, depth) for n, f in named.items() if n in areas}
            sums.append(
                {
                    name: self.kind.keep(_columns(core), _share(areas[name], tile, depth))
                    for name, core in cores.items()
                }
            )
        apart = x.new_zeros((), dtype=torch.float32)
        if self.layers.content in named:
            core = tile.core(named[self.layers.content], depth)
            target = tile.whole(self.content, depth)
            apart = (core.float() - target).square().sum()
        return x, sums, apart

    def _content_of(self, content: Tensor) -> Tensor:
        """Give the content's activations (1, C, H, W), tile by tile."""
        depth, name = self.layers.depths[self.layers.content], self.layers.content
        whole = content.new_empty(0)
        for tile in self.tiles:
            core = tile.core(self.trunk(tile.crop(content))[name], depth)
            if not whole.numel():
                size = (1, core.shape[1], self.size[0] >> depth, self.size[1] >> depth)
                whole = core.new_empty(size).contiguous(memory_format=torch.channels_last)
            tile.whole(whole, depth).copy_(core)
        return whole

    def _look(self, style: Tensor, tile: int | None) -> dict[str, Kept]:
        """Give what a style picture has at each layer, tile by tile."""
        depths = {name: self.layers.depths[name] for name in self.layers.style}
        height, width = style.shape[2:]
        count = {name: (height >> depth) * (width >> depth) for name, depth in depths.items()}
        total: dict[str, Kept] = {}
        for one in tiles.tiled((height, width), tile, self.trunk.margin, self.trunk.alignment):
            features = self.trunk(one.crop(style))
            for name, depth in depths.items():
                core = _columns(one.core(features[name], depth))
                kept = self.kind.keep(core, torch.tensor(1 / count[name]))
                whole = total.setdefault(name, kept)
                if whole is not kept:
                    total[name] = tuple(a + b for a, b in zip(whole, kept, strict=True))
        return total

    def _judge(self, sums: Sequence[dict[str, Kept]]) -> tuple[dict[str, float], list[Tensor]]:
        """Give each layer's residual, and the slope of the loss along each sum."""
        leaves = [
            {name: tuple(t.detach().requires_grad_() for t in kept) for name, kept in one.items()}
            for one in sums
        ]
        residuals: dict[str, Tensor] = {}
        for losses, scales, kept, areas in zip(
            self.losses, self.scales, leaves, self.areas, strict=True
        ):
            for name, loss in losses.items():
                value = loss(kept[name]) / scales[name] * areas[name].size
                residuals[name] = residuals[name] + value if name in residuals else value
        mean = torch.stack(list(residuals.values())).mean() * self.weights.style
        gradients = torch.autograd.grad(mean, _tensors(leaves), materialize_grads=True)
        shown = {name: float(residuals[name].detach()) for name in self.layers.style}
        return shown, list(gradients)

    def _backward(
        self, sums: Sequence[dict[str, Kept]], content: Tensor, gradients: list[Tensor]
    ) -> None:
        """Send the slopes of the whole through the part of the network that is at hand."""
        slope = torch.full_like(content, self.weights.content / self.spread)
        ends = [*_tensors(sums), *([content] if content.requires_grad else [])]
        torch.autograd.backward(ends, [*gradients, slope][: len(ends)])


class _Layers(NamedTuple):
    """The layers that all pictures reach: styles', content's, and the block that each is in."""

    style: tuple[str, ...]
    content: str
    depths: dict[str, int]


class _Area(NamedTuple):
    """A region at one layer: each position's share (H, W) or one for all; its size in [0, 1]."""

    shares: Tensor
    size: float


def variation(picture: Tensor) -> Tensor:
    """Give the mean square of differences between neighbours, of a picture (1, 3, H, W)."""
    down = picture[:, :, 1:] - picture[:, :, :-1]
    right = picture[..., 1:] - picture[..., :-1]
    return (down.square().sum() + right.square().sum()) / picture.numel()


def _common(trunk: Trunk, pictures: Sequence[Tensor]) -> _Layers:
    sides = [min(picture.shape[2:]) for picture in pictures]
    least = min(sides)
    reached = trunk.reached(least, least)
    depths = {one.name: depth for depth, block in enumerate(trunk.plan) for one in block}
    style = tuple(name for name in reached if name.endswith("_1"))
    content = CONTENT if CONTENT in reached else reached[-1]
    return _Layers(style, content, depths)


def _areas(region: Region, size: tuple[int, int], layers: _Layers) -> dict[str, _Area]:
    found = {}
    for name in layers.style:
        height, width = (side >> layers.depths[name] for side in size)
        if region.mask is None:
            found[name] = _Area(torch.tensor(1 / (height * width)), 1.0)
            continue
        mask = F.adaptive_avg_pool2d(region.mask[None, None], (height, width))[0, 0]
        total = float(mask.sum())
        if total > 0:
            found[name] = _Area(mask / total, total / (height * width))
    return found


def _share(area: _Area, tile: Tile, depth: int) -> Tensor:
    return tile.whole(area.shares, depth).flatten() if area.shares.ndim else area.shares


def _targets(
    kind: Kind, region: Region, styles: Sequence[dict[str, Kept]], areas: dict[str, _Area]
) -> dict[str, Loss]:
    numbers, shares = list(region.shares), list(region.shares.values())
    return {
        name: kind.against(kind.mix([styles[number][name] for number in numbers], shares))
        for name in areas
    }


def _scale(loss: Loss, content: Kept) -> float:
    nothing = tuple(torch.zeros_like(kept) for kept in content)
    return max(float(loss(content)), FLOOR * float(loss(nothing)), 1e-12)


def _columns(features: Tensor) -> Tensor:
    """Give activations (1, C, H, W) as (C, M), a view where they are stored channels last."""
    return features[0].permute(1, 2, 0).reshape(-1, features.shape[1]).float().T


def _tensors(sums: Sequence[dict[str, Kept]]) -> list[Tensor]:
    return [tensor for one in sums for kept in one.values() for tensor in kept]


def _detached(sums: Sequence[dict[str, Kept]]) -> list[dict[str, Kept]]:
    return [{name: tuple(t.detach() for t in kept) for name, kept in one.items()} for one in sums]
