"""ResNet for small pictures, as CIFAR's (He et al. 2015, https://arxiv.org/abs/1512.03385, 4.2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from striate.layers import chain
from striate.layers.norms import Norm
from striate.layers.norms import norm as normed

from .initial import he
from .resnet import Residual, check_sizes, stages, start_as_shortcuts, two_convolutions


class ZeroPadded(nn.Module):
    """The paper's shortcut A, without weights: every second pixel, and 0 in the new channels."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = width - channels, stride

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
        same = stride == 1 and given == wide
        shortcut = nn.Identity() if same else ZeroPadded(given, wide, stride)
        return Residual(two_convolutions(given, wide, stride, norm), shortcut)

    check_sizes(size, norm=norm, width=width, stride=4)
    widths, blocks = (width, 2 * width, 4 * width), (depth - 2) // 6
    net = chain(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=norm == "none"),
        bn1=normed(norm, width),
        relu=nn.ReLU(inplace=True),
        **stages(block, width, widths, (blocks,) * 3),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(4 * width, classes),
    )
    he(net)
    if norm == "none":
        start_as_shortcuts(net)
    return net
