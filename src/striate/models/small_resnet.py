"""ResNet for small pictures, as CIFAR's (He et al. 2015, https://arxiv.org/abs/1512.03385, 4.2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from striate.layers import Norm, chain
from striate.layers import norm as normed

from .initial import he
from .residual import Basic, Make, check_last_maps, stages, start_as_shortcuts, unsummed


class ZeroPadded(nn.Module):
    """The paper's shortcut A, without weights: every `stride`-th pixel, and 0 in new channels."""

    def __init__(self, new: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = new, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


def small_resnet(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 16,
) -> nn.Sequential:
    """Three stages of (depth - 2) / 6 blocks: (N, C, H, W) -> (N, K); `width` is the first's."""

    def block(given: int, wide: int, stride: int) -> nn.Module:
        shortcut = nn.Identity() if stride == 1 else ZeroPadded(wide - given, stride)
        return Basic(given, wide, stride, norm=norm, shortcut=shortcut)

    check_last_maps(size, norm=norm, stride=4)
    net = _network(depth, channels, classes, block=block, norm=norm, width=width)
    if norm == "none":
        start_as_shortcuts(net, Basic)
    return net


def small_plain(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 16,
) -> nn.Sequential:
    """Build the convolutions of `small_resnet` without the sums: (N, C, H, W) -> (N, K)."""

    def block(given: int, wide: int, stride: int) -> nn.Module:
        return unsummed(given, wide, stride, norm=norm)

    check_last_maps(size, norm=norm, stride=4)
    return _network(depth, channels, classes, block=block, norm=norm, width=width)


def _network(
    depth: int, channels: int, classes: int, *, block: Make, norm: Norm, width: int
) -> nn.Sequential:
    widths, count = (width, 2 * width, 4 * width), (depth - 2) // 6
    net = chain(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=norm == "none"),
        bn1=normed(norm, width),
        relu=nn.ReLU(inplace=True),
        **stages(block, width, widths, (count,) * 3),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(4 * width, classes),
    )
    he(net)
    return net
