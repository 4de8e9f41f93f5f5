"""ResNet and the plain network beside it (He et al. 2015, https://arxiv.org/abs/1512.03385).

The layers and their names are torchvision's, so that its weights load unchanged. The chapter's
listing never halves its maps and has no ReLU after the sum: here both are as in the paper.
"""

from torch import nn

from striate.layers import Norm, chain
from striate.layers import norm as normed

from .initial import he
from .residual import (
    EXPANSION,
    Basic,
    Bottleneck,
    Make,
    check_last_maps,
    projection,
    stages,
    start_as_shortcuts,
    unsummed,
)

# Blocks of each stage, of two convolutions or, from 50 layers on, of three: the paper's table 1.
STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def resnet(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 64,
) -> nn.Sequential:
    """Blocks of two 3x3 convolutions: (N, C, H, W) -> (N, K); `width` is the first stage's."""

    def block(given: int, wide: int, stride: int) -> nn.Module:
        shortcut = projection(given, wide, stride, norm=norm)
        return Basic(given, wide, stride, norm=norm, shortcut=shortcut)

    check_last_maps(size, norm=norm, stride=32)
    return _network(depth, channels, classes, block=block, norm=norm, width=width)


def resnet_bottleneck(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 64,
    stride_in_1x1: bool = False,
) -> nn.Sequential:
    """Blocks of 1x1, 3x3 and 1x1 convolutions: (N, C, H, W) -> (N, K).

    The paper halves maps in the first 1x1 convolution, which skips three of four numbers;
    torchvision, and so the default, in the 3x3.
    """

    def block(given: int, wide: int, stride: int) -> nn.Module:
        strides = (stride, 1) if stride_in_1x1 else (1, stride)
        shortcut = projection(given, EXPANSION * wide, stride, norm=norm)
        return Bottleneck(given, wide, strides, norm=norm, shortcut=shortcut)

    check_last_maps(size, norm=norm, stride=32)
    return _network(
        depth, channels, classes, block=block, norm=norm, width=width, expansion=EXPANSION
    )


def plain(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 64,
) -> nn.Sequential:
    """The convolutions of `resnet` without the sums: (N, C, H, W) -> (N, K)."""

    def block(given: int, wide: int, stride: int) -> nn.Module:
        return unsummed(given, wide, stride, norm=norm)

    check_last_maps(size, norm=norm, stride=32)
    return _network(depth, channels, classes, block=block, norm=norm, width=width)


def _network(
    depth: int,
    channels: int,
    classes: int,
    *,
    block: Make,
    norm: Norm,
    width: int,
    expansion: int = 1,
) -> nn.Sequential:
    widths = (width, 2 * width, 4 * width, 8 * width)
    net = chain(
        conv1=nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=norm == "none"),
        bn1=normed(norm, width),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        **stages(block, width, widths, STAGES[depth], expansion=expansion),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(8 * width * expansion, classes),
    )
    he(net)
    if norm == "none":
        start_as_shortcuts(net, Basic, Bottleneck)
    return net
