"""ResNet and the plain network beside it (He et al. 2015, https://arxiv.org/abs/1512.03385).

The layers and their names are torchvision's, so that its weights load unchanged. The chapter's
listing never halves its maps and has no ReLU after the sum: here both are as in the paper.
"""

from collections.abc import Callable

from torch import Tensor, nn

from striate.errors import UsageError
from striate.layers import chain
from striate.layers.norms import Norm
from striate.layers.norms import norm as normed

from .initial import he

# Blocks of each stage, of two convolutions or, from 50 layers on, of three: the paper's table 1.
STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
EXPANSION = 4  # a bottleneck gives four times as many channels as its 3x3 convolution has

Make = Callable[[int, int, int], nn.Module]  # (channels, width, stride) -> block


class Residual(nn.Module):
    """The sum of a branch and a shortcut, then ReLU; the names are those of torchvision's block."""

    def __init__(self, branch: dict[str, nn.Module], shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = tuple(branch)
        for name, layer in branch.items():
            self.add_module(name, layer)
        self.downsample = shortcut
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for name in self.branch:
            y = self.get_submodule(name)(y)
        y = y + self.downsample(x)
        y = self.relu(y)
        return y


def resnet_basic(
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
        return Residual(
            two_convolutions(given, wide, stride, norm), _project(given, wide, stride, norm)
        )

    net = _network(depth, channels, classes, size, block=block, norm=norm, width=width)
    if norm == "none":
        start_as_shortcuts(net)
    return net


def resnet_bottleneck(  # noqa: PLR0913
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
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out = EXPANSION * wide
        bias = norm == "none"
        branch = {
            "conv1": nn.Conv2d(given, wide, 1, first, bias=bias),
            "bn1": normed(norm, wide),
            "relu1": nn.ReLU(inplace=True),
            "conv2": nn.Conv2d(wide, wide, 3, second, padding=1, bias=bias),
            "bn2": normed(norm, wide),
            "relu2": nn.ReLU(inplace=True),
            "conv3": nn.Conv2d(wide, out, 1, bias=bias),
            "bn3": normed(norm, out),
        }
        return Residual(branch, _project(given, out, stride, norm))

    net = _network(
        depth, channels, classes, size, block=block, norm=norm, width=width, expansion=EXPANSION
    )
    if norm == "none":
        start_as_shortcuts(net)
    return net


def plain(
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    width: int = 64,
) -> nn.Sequential:
    """The same convolutions as resnet_basic's without the sums: (N, C, H, W) -> (N, K)."""

    def block(given: int, wide: int, stride: int) -> nn.Module:
        return chain(**two_convolutions(given, wide, stride, norm), relu=nn.ReLU(inplace=True))

    return _network(depth, channels, classes, size, block=block, norm=norm, width=width)


def two_convolutions(channels: int, width: int, stride: int, norm: Norm) -> dict[str, nn.Module]:
    """Give a block's two 3x3 convolutions, of which the first changes the size."""
    bias = norm == "none"
    return {
        "conv1": nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias),
        "bn1": normed(norm, width),
        "relu1": nn.ReLU(inplace=True),
        "conv2": nn.Conv2d(width, width, 3, padding=1, bias=bias),
        "bn2": normed(norm, width),
    }


def stages(
    block: Make,
    channels: int,
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    *,
    expansion: int = 1,
) -> dict[str, nn.Module]:
    """Give rows of blocks; the first block of each row but the first halves the maps."""
    rows: dict[str, nn.Module] = {}
    for number, (wide, count) in enumerate(zip(widths, blocks, strict=True), 1):
        row = nn.Sequential(block(channels, wide, 1 if number == 1 else 2))
        channels = expansion * wide
        row.extend(block(channels, wide, 1) for _ in range(count - 1))
        rows[f"layer{number}"] = row
    return rows


def start_as_shortcuts(net: nn.Module) -> None:
    """Begin without norms as Fixup does (Zhang et al. 2019, https://arxiv.org/abs/1901.09321).

    Each block's last convolution is 0 and the ones before are scaled down by their number, else
    each sum would double the variance.
    """
    blocks = [m for m in net.modules() if isinstance(m, Residual)]
    for block in blocks:
        convolutions = [
            m for n in block.branch if isinstance(m := block.get_submodule(n), nn.Conv2d)
        ]
        nn.init.zeros_(convolutions[-1].weight)
        for layer in convolutions[:-1]:
            layer.weight.data *= len(blocks) ** (-1 / (2 * len(convolutions) - 2))


def check_sizes(size: tuple[int, int], *, norm: Norm, width: int, stride: int) -> None:
    """Refuse a width of nothing, and instance norm where it is over one pixel and gives 0."""
    if width < 1:
        raise UsageError(f"a residual or plain network has width >= 1, not {width}")
    if norm == "instance" and max(size) <= stride:
        raise UsageError(
            f"with instance norm the network takes pictures of {stride + 1}x{stride + 1} or more, "
            f"not {size[0]}x{size[1]}: its last maps are of one pixel"
        )


def _project(channels: int, width: int, stride: int, norm: Norm) -> nn.Module:
    """Give the paper's shortcut B: a 1x1 convolution where sizes change, else nothing."""
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, stride, bias=norm == "none"), normed(norm, width)
    )


def _network(  # noqa: PLR0913
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    block: Make,
    norm: Norm,
    width: int,
    expansion: int = 1,
) -> nn.Sequential:
    check_sizes(size, norm=norm, width=width, stride=32)
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
    return net
