"""Residual networks with 3-D convolutions, for clips (Tran et al. 2018, R3D).

https://arxiv.org/abs/1711.11248. With depth 18 and width 64 the layers and their names are those of
torchvision's r3d_18: its weights load.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from striate.errors import UsageError
from striate.layers import chain

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
# Clips with smaller sides need no more: what moves in them is a few pixels large.
SMALL = 64


class Block(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut: all three axes shrink by the stride."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_convolution(channels, width, 3, stride), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(*_convolution(width, width, 3, 1))
        same = stride == 1 and channels == width
        self.downsample = None if same else nn.Sequential(*_convolution(channels, width, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.downsample is None else self.downsample(x)
        return F.relu(self.conv2(self.conv1(x)) + beside)


def r3d(
    channels: int,
    classes: int,
    size: tuple[int, ...],
    *,
    depth: int | None = None,
    width: int | None = None,
) -> nn.Sequential:
    """Build the network: clips (N, C, T, H, W) -> logits (N, K); `depth` counts weighted layers.

    18 layers and 64 channels in the first stage, but 10 and 16 for sides below 64 pixels.
    """
    if len(size) != 3:
        raise UsageError("r3d takes clips of 2 frames or more: choose another network for pictures")
    small = min(size[1:]) < SMALL
    layers = (10 if small else 18) if depth is None else depth
    wide = (16 if small else 64) if width is None else width
    if layers not in BLOCKS or wide < 1:
        depths = ", ".join(map(str, BLOCKS))
        raise UsageError(f"r3d has depth {depths} and width >= 1, not {layers} and {wide}")
    stem = nn.Conv3d(channels, wide, (3, 7, 7), (1, 2, 2), padding=(1, 3, 3), bias=False)
    stages: dict[str, nn.Module] = {}
    before = wide
    for number, blocks in enumerate(BLOCKS[layers], 1):
        after = wide * 2 ** (number - 1)
        stages[f"layer{number}"] = _stage(before, after, blocks, 1 if number == 1 else 2)
        before = after
    net = chain(
        stem=nn.Sequential(stem, nn.BatchNorm3d(wide), nn.ReLU(inplace=True)),
        **stages,
        avgpool=nn.AdaptiveAvgPool3d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(before, classes),
    )
    for module in net.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [Block(width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(channels, width, stride), *rest)


def _convolution(
    channels: int, width: int, kernel: int, stride: int
) -> tuple[nn.Module, nn.Module]:
    layer = nn.Conv3d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    return layer, nn.BatchNorm3d(width)
