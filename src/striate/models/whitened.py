"""A wide, short network that begins by whitening patches (Jordan 2024, airbench).

https://arxiv.org/abs/2404.00498: filters of 2x2 patches from the training pictures themselves,
then blocks whose convolutions begin as identities.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.errors import UsageError

PATCH = 2  # side of the patches that are whitened
SCALE = 1 / 9  # of the logits: the head's norm is large, as its input is the largest of each map
FLOOR = 5e-4  # added to variances, so that directions of next to no variance are not blown up


class Block(nn.Module):
    """Convolutions of which the first halves the maps: (N, C, H, W) -> (N, width, H/2, W/2).

    With three of them the last two are a residual.
    """

    def __init__(self, channels: int, width: int, depth: int, momentum: float) -> None:
        super().__init__()
        inputs = [channels, *[width] * (depth - 1)]
        self.convs = nn.ModuleList(nn.Conv2d(c, width, 3, padding=1, bias=False) for c in inputs)
        # Next to no epsilon: the first filters are identities, whose outputs may be small.
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width, eps=1e-12, momentum=momentum) for _ in inputs
        )
        self.pool = nn.MaxPool2d(2)
        self.activations = nn.ModuleList(nn.GELU() for _ in inputs)

    def forward(self, x: Tensor) -> Tensor:
        # Pooled before norm and activation: three quarters of their work saved.
        x = self.activations[0](self.norms[0](self.pool(self.convs[0](x))))
        y = self.norms[1](self.convs[1](x))
        if len(self.convs) == 3:
            y = self.norms[2](self.convs[2](self.activations[1](y))) + x
        last: Tensor = self.activations[-1](y)
        return last


class Scaled(nn.Module):
    """Multiply by a fixed number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Whitened(nn.Sequential):
    """Whitening, blocks, the largest of each map: (N, C, H, W) -> logits (N, K)."""

    whiten: nn.Conv2d
    blocks: nn.Sequential

    def __init__(
        self, channels: int, classes: int, widths: Sequence[int], depth: int, momentum: float
    ) -> None:
        patch = channels * PATCH * PATCH
        pairs = zip((2 * patch, *widths), widths, strict=False)
        layers = {
            "whiten": nn.Conv2d(channels, 2 * patch, PATCH),
            "activation": nn.GELU(),
            "blocks": nn.Sequential(*[Block(c, width, depth, momentum) for c, width in pairs]),
            # Not amax, whose gradient is not finite once compiled in bfloat16.
            "pool": nn.AdaptiveMaxPool2d(1),
            "flatten": nn.Flatten(),
            "head": nn.Linear(widths[-1], classes, bias=False),
            "scale": Scaled(SCALE),
        }
        super().__init__(OrderedDict(layers))
        self._start()

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Set the whitening from training pictures as the network sees them: (N, C, H, W)."""
        filters = whitening(values)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))

    @torch.no_grad()
    def _start(self) -> None:
        """Begin as identities; what whitens, and the norms' scales, stay as they are."""
        for name, parameter in self.named_parameters():
            scale = ".norms." in name and name.endswith("weight")
            parameter.requires_grad_(not (scale or name == "whiten.weight"))
        nn.init.zeros_(self.whiten.get_parameter("bias"))
        for conv in self.blocks.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.dirac_(conv.weight[: conv.in_channels])


def whitening(values: Tensor) -> Tensor:
    """Compute filters (C * 4, C, 2, 2) whose answers on patches are uncorrelated, of variance 1."""
    channels = values.shape[1]
    patches = F.unfold(values, PATCH).transpose(1, 2).flatten(0, 1).double()
    eigenvalues, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    # An eigenvector's sign is the library's choice: its largest number is made positive.
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    filters = (vectors * largest.sign() / (eigenvalues + FLOOR).sqrt()).T
    kernels: Tensor = filters.reshape(-1, channels, PATCH, PATCH).to(values.dtype)
    return kernels


def whitened(
    channels: int,
    classes: int,
    size: tuple[int, int],  # noqa: ARG001 -- any
    *,
    first: int = 64,
    second: int = 256,
    third: int = 256,
    depth: int = 2,
    momentum: float = 0.4,
) -> nn.Module:
    """Build the network: `first` to `third` are the channels of its blocks.

    `depth` is 2 or 3 convolutions in a block, `momentum` the norms' share of a new batch.
    """
    if depth not in (2, 3):
        raise UsageError(f"depth is 2 or 3 convolutions in a block, not {depth}")
    return Whitened(channels, classes, (first, second, third), depth, momentum)
