"""Residual blocks and rows of them (He et al. 2015, https://arxiv.org/abs/1512.03385)."""

from collections.abc import Callable

from torch import Tensor, nn

from striate.errors import UsageError
from striate.layers import Norm, chain
from striate.layers import norm as normed

EXPANSION = 4  # a bottleneck gives four times as many channels as its 3x3 convolution has

Make = Callable[[int, int, int], nn.Module]  # (channels, width, stride) -> block


class Basic(nn.Module):
    """Two 3x3 convolutions, a sum, a ReLU: (N, C, H, W) -> (N, width, H/stride, W/stride).

    The names are those of torchvision's block; `bn1` is a norm of any kind.
    """

    def __init__(
        self, channels: int, width: int, stride: int, *, norm: Norm, shortcut: nn.Module
    ) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias)
        self.bn1 = normed(norm, width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.bn2 = normed(norm, width)
        self.downsample = shortcut
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu2(y + self.downsample(x))
        return out


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1, a sum, a ReLU: (N, C, H, W) -> (N, 4 width, H/s, W/s).

    `strides` are those of the first 1x1 and of the 3x3.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        strides: tuple[int, int],
        *,
        norm: Norm,
        shortcut: nn.Module,
    ) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(channels, width, 1, strides[0], bias=bias)
        self.bn1 = normed(norm, width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], padding=1, bias=bias)
        self.bn2 = normed(norm, width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=bias)
        self.bn3 = normed(norm, EXPANSION * width)
        self.downsample = shortcut
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu3(y + self.downsample(x))
        return out


def unsummed(channels: int, width: int, stride: int, *, norm: Norm) -> nn.Sequential:
    """Return the layers of `Basic` without the sum: (N, C, H, W) -> (N, width, H/s, W/s)."""
    bias = norm == "none"
    return chain(
        conv1=nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias),
        bn1=normed(norm, width),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(width, width, 3, padding=1, bias=bias),
        bn2=normed(norm, width),
        relu2=nn.ReLU(inplace=True),
    )


def projection(channels: int, width: int, stride: int, *, norm: Norm) -> nn.Module:
    """Return the paper's shortcut B: a 1x1 convolution where sizes change, else nothing."""
    if stride == 1 and channels == width:
        return nn.Identity()
    convolution = nn.Conv2d(channels, width, 1, stride, bias=norm == "none")
    return nn.Sequential(convolution, normed(norm, width))


def stages(
    block: Make,
    channels: int,
    widths: tuple[int, ...],
    counts: tuple[int, ...],
    *,
    expansion: int = 1,
) -> dict[str, nn.Module]:
    """Build rows of blocks; the first block of each row but the first halves the maps."""
    rows: dict[str, nn.Module] = {}
    for number, (width, count) in enumerate(zip(widths, counts, strict=True), 1):
        first = block(channels, width, 1 if number == 1 else 2)
        channels = expansion * width
        rest = [block(channels, width, 1) for _ in range(count - 1)]
        rows[f"layer{number}"] = nn.Sequential(first, *rest)
    return rows


def start_as_shortcuts(net: nn.Module, *kinds: type[nn.Module]) -> None:
    """Begin without norms as Fixup does (Zhang et al. 2019, https://arxiv.org/abs/1901.09321).

    In each block of these kinds the last `conv` is 0 and the ones before are scaled down by the
    number of blocks; else each sum would double the mean square.
    """
    blocks = [module for module in net.modules() if isinstance(module, kinds)]
    for block in blocks:
        named = block.named_children()
        *before, last = (layer for name, layer in named if name.startswith("conv"))
        nn.init.zeros_(last.get_parameter("weight"))
        for layer in before:
            layer.get_parameter("weight").data *= len(blocks) ** (-1 / (2 * len(before)))


def check_last_maps(size: tuple[int, int], *, norm: Norm, stride: int) -> None:
    """Refuse instance norm over maps of one pixel, which it makes 0."""
    if norm == "instance" and min(size) <= stride:
        raise UsageError(
            f"with norm=instance the network needs pictures of {stride + 1}x{stride + 1} or more, "
            f"not {size[0]}x{size[1]}: its last maps would be of one pixel"
        )
