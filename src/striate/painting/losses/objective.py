"""How far a picture is from the styles and the content that it should have, with its gradient.

Each layer's style loss is divided by its value at the content picture, the content loss by the
variance of the content's activations: so 0 is reached, 1 is where the picture began, and a weight
means the same at every size, with every network and loss.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from striate import devices
from striate.errors import UsageError
from striate.painting.networks.protocol import Network
from striate.painting.pictures.scene import Region, Scene
from striate.painting.tiling.tiles import Tile

from . import sums
from .style_losses import LOSSES, Loss, Statistics, StyleLoss
from .sums import Area, Sums, tensors

# The least that a style loss is divided by, in shares of its value for no activation at all. Where
# content and style agree, or a picture is flat, rounding would be blown up otherwise.
FLOOR = 1e-3


class Residuals(NamedTuple):
    """How far a picture is from what it should be, and the loss that is weighed from that."""

    loss: float
    style: dict[str, float]  # a layer's residual: 1 for the content picture, 0 for the style's
    content: float  # 0 for the content picture


class Evaluation(NamedTuple):
    """The residuals of a picture, and the gradient of their loss."""

    residuals: Residuals
    gradient: Tensor  # as the picture

    @property
    def loss(self) -> float:
        """What is minimised."""
        return self.residuals.loss


class _Weights(NamedTuple):
    style: float
    content: float
    smoothness: float


class Objective:
    """The loss of pictures (1, 3, H, W) in [0, 1] for one content, its regions, at one size."""

    def __init__(
        self,
        network: Network,
        scene: Scene,
        *,
        loss: str = "gram",
        weights: tuple[float, float, float] = (1.0, 1.0, 0.0),
        tile: int | None = None,
    ) -> None:
        """Compute the targets from content and styles; `weights`: style, content and smoothness.

        With `tile`, a side in pixels, the picture is cut for the sake of memory.
        """
        content, styles, regions, _ = scene
        self.network, self.style_loss = network, LOSSES[loss]
        self.weights = _Weights(*weights)
        size = (content.shape[2], content.shape[3])
        self.layers = _common(network, [content, *styles])
        self.tiles = sums.cut(network, size, tile)
        assert self.style_loss.additive or len(self.tiles) == 1, "a sorted loss has no tiles"
        sizes = network.sizes(*size)
        self.areas = [
            sums.areas(region, {name: sizes[name] for name in self.layers.style}, content.device)
            for region in regions
        ]
        with torch.no_grad(), devices.repeatable():
            found = [
                sums.statistics(network, self.style_loss, style, self.layers.style, tile)
                for style in styles
            ]
            self.losses = [
                _targets(self.style_loss, region, found, areas)
                for region, areas in zip(regions, self.areas, strict=True)
            ]
            own, self.content = self._first(content, sizes[self.layers.content])
            values = self._values(own)
            self.scales = [
                {name: _scale(value, losses[name], kept[name]) for name, value in found.items()}
                for found, losses, kept in zip(values, self.losses, own, strict=True)
            ]
        activations = self.content.float()
        self.variance = (
            float(activations.var() + FLOOR * activations.square().mean()) * activations.numel()
            or 1.0
        )
        self.roughness = float(variation(content)) + 1e-6
        self.loss_seconds = 0.0  # seconds from the last sums to their slopes: the same at any size
        self.untouched = self._weighed(
            _numbers(self._by_layer(values)), torch.zeros(()), float(self._roughness(content))
        )

    @devices.repeatable()
    def evaluate(self, picture: Tensor) -> Evaluation:
        """Compute loss, gradient and residuals of a picture."""
        if len(self.tiles) == 1:
            leaf = picture.detach().requires_grad_()
            found, content = self._run(leaf, self.tiles[0])
            style, gradients = self._slopes(sums.detached(found))
            self._backward(found, content, gradients)
            gradient = leaf.grad
        else:
            with torch.no_grad():
                found, content = self._sums(picture)
            style, gradients = self._slopes(found)
            gradient = self._gradient(picture, gradients)
        assert gradient is not None
        return Evaluation(self._weighed(style, content, self._smooth(picture, gradient)), gradient)

    @devices.repeatable()
    def residuals(self, picture: Tensor) -> Residuals:
        """Compute loss and residuals of a picture: a third of the work that the gradient takes."""
        with torch.no_grad():
            found, content = self._sums(picture)
            rough = self._roughness(picture)
            style = _numbers(self._by_layer(self._values(found)))
        return self._weighed(style, content, float(rough))

    def _weighed(self, style: dict[str, float], content: Tensor, rough: float) -> Residuals:
        apart = float(content.detach()) / self.variance
        mean = sum(style.values()) / len(style)
        loss = self.weights.style * mean + self.weights.content * apart + rough
        return Residuals(loss, style, apart)

    def _roughness(self, picture: Tensor) -> Tensor:
        if not self.weights.smoothness:
            return picture.new_zeros(())
        return variation(picture) * (self.weights.smoothness / self.roughness)

    def _gradient(self, picture: Tensor, gradients: list[Tensor]) -> Tensor:
        gradient = torch.zeros_like(picture)
        for tile in self.tiles:
            leaf = sums.crop(picture, tile).detach().clone().requires_grad_()
            found, content = self._run(leaf, tile)
            self._backward(found, content, gradients)
            assert leaf.grad is not None
            sums.crop(gradient, tile).add_(leaf.grad)
        return gradient

    def _smooth(self, picture: Tensor, gradient: Tensor) -> float:
        """Add the slope of total variation to the gradient, and give its part of the loss."""
        if not self.weights.smoothness:
            return 0.0
        leaf = picture.detach().requires_grad_()
        rough = self._roughness(leaf)
        gradient += torch.autograd.grad(rough, leaf)[0]
        return float(rough.detach())

    def _sums(self, picture: Tensor) -> tuple[Sums, Tensor]:
        total, content = self._run(sums.crop(picture, self.tiles[0]), self.tiles[0])
        for tile in self.tiles[1:]:
            found, apart = self._run(sums.crop(picture, tile), tile)
            sums.add(total, found)
            content += apart
        return total, content

    def _run(self, pixels: Tensor, tile: Tile | None) -> tuple[Sums, Tensor]:
        """Compute the sums of a tile by region and layer, and its part of the content loss."""
        name = self.layers.content
        found, seen = sums.run(self.network, self.style_loss, pixels, self.areas, tile, also=name)
        target = sums.whole(self.network, name, self.content, tile)
        return found, (seen[name].float() - target).square().sum()

    def _first(self, content: Tensor, size: tuple[int, int]) -> tuple[Sums, Tensor]:
        """Compute the content picture's sums, and its activations (1, C, H, W) of this size."""
        total: Sums = [{} for _ in self.areas]
        whole = content.new_empty(0)
        name = self.layers.content
        for tile in self.tiles:
            pixels = sums.crop(content, tile)
            found, seen = sums.run(
                self.network, self.style_loss, pixels, self.areas, tile, also=name
            )
            core = seen[name]
            if not whole.numel():
                whole = core.new_empty((1, core.shape[1], *size)).contiguous(
                    memory_format=torch.channels_last
                )
            sums.whole(self.network, name, whole, tile).copy_(core)
            sums.add(total, found)
        return total, whole

    def _slopes(self, found: Sums) -> tuple[dict[str, float], list[Tensor]]:
        """Compute each layer's residual, and the gradient of the loss by each sum."""
        if self.content.is_cuda:  # what was queued before is no part of it
            torch.cuda.synchronize(self.content.device)
        began = time.monotonic()
        leaves = [
            {name: tuple(t.detach().requires_grad_() for t in kept) for name, kept in one.items()}
            for one in found
        ]
        residuals = self._by_layer(self._values(leaves))
        mean = torch.stack(list(residuals.values())).mean() * self.weights.style
        gradients = torch.autograd.grad(mean, tensors(leaves), materialize_grads=True)
        numbers = _numbers(residuals)
        # What is not additive keeps as much as the picture has positions.
        self.loss_seconds = time.monotonic() - began if self.style_loss.additive else 0.0
        return numbers, list(gradients)

    def _values(self, found: Sums) -> list[dict[str, Tensor]]:
        """Compute the losses of each region and layer."""
        return [
            {name: loss(kept[name]) for name, loss in losses.items()}
            for losses, kept in zip(self.losses, found, strict=True)
        ]

    def _by_layer(self, values: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Compute the residual of each layer: the mean of its regions by their sizes."""
        residuals: dict[str, Tensor] = {}
        for found, scales, areas in zip(values, self.scales, self.areas, strict=True):
            for name, value in found.items():
                share = value / scales[name] * areas[name].size
                residuals[name] = residuals[name] + share if name in residuals else share
        return {name: residuals[name] for name in self.layers.style}

    def _backward(self, found: Sums, content: Tensor, gradients: list[Tensor]) -> None:
        """Send the slopes of the whole through the part of the network that is at hand."""
        slope = torch.full_like(content, self.weights.content / self.variance)
        ends = [*tensors(found), *([content] if content.requires_grad else [])]
        torch.autograd.backward(ends, [*gradients, slope][: len(ends)])


class _Layers(NamedTuple):
    """The layers that all pictures reach: styles', and content's."""

    style: tuple[str, ...]
    content: str


def variation(picture: Tensor) -> Tensor:
    """Compute the mean square of differences between neighbours in a picture (1, 3, H, W)."""
    down = picture[:, :, 1:] - picture[:, :, :-1]
    right = picture[..., 1:] - picture[..., :-1]
    return (down.square().sum() + right.square().sum()) / picture.numel()


def _common(network: Network, pictures: Sequence[Tensor]) -> _Layers:
    least = min(min(picture.shape[2:]) for picture in pictures)
    reached = list(network.sizes(least, least))
    style = tuple(name for name in network.style if name in reached)
    if not style:
        raise UsageError(
            f"{least} pixels are too few for {', '.join(network.style)}: take a larger picture"
        )
    return _Layers(style, network.content if network.content in reached else reached[-1])


def _targets(
    style_loss: StyleLoss,
    region: Region,
    styles: Sequence[dict[str, Statistics]],
    areas: dict[str, Area],
) -> dict[str, Loss]:
    numbers, shares = list(region.shares), list(region.shares.values())
    return {
        name: style_loss.against(
            style_loss.mix([styles[number][name] for number in numbers], shares)
        )
        for name in areas
    }


def _scale(value: Tensor, loss: Loss, content: Statistics) -> float:
    """Compute what a loss is divided by, from its value at the content."""
    nothing = tuple(torch.zeros_like(kept) for kept in content)
    return max(float(value), FLOOR * float(loss(nothing)), 1e-12)


def _numbers(residuals: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(residual.detach()) for name, residual in residuals.items()}
