"""Wide residual networks (Zagoruyko & Komodakis 2016, https://arxiv.org/abs/1605.07146)."""

from torch import Tensor, nn

from striate.errors import UsageError
from striate.layers import Norm, chain
from striate.layers import norm as normed

from .initial import he
from .residual import check_last_maps, stages, start_as_shortcuts


class Preactivated(nn.Module):
    """Norm, ReLU, convolution, twice, beside a shortcut; nothing follows the sum."""

    def __init__(
        self, channels: int, width: int, stride: int, *, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        bias = norm == "none"
        self.norm1 = normed(norm, channels)
        self.relu1 = nn.ReLU()  # not in place: without a norm it would change the shortcut's x
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias)
        self.norm2 = normed(norm, width)
        self.relu2 = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity() if self.same else nn.Conv2d(channels, width, 1, stride, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.norm1(x))
        hidden = self.relu2(self.norm2(self.conv1(active)))
        y = self.conv2(self.dropout(hidden))
        # A projection takes the activated input, as in the authors' code.
        out: Tensor = y + self.shortcut(x if self.same else active)
        return out


def wide_resnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    depth: int = 28,
    widen: int = 10,
    norm: Norm = "batch",
    dropout: float = 0.0,
) -> nn.Sequential:
    """WRN-`depth`-`widen`, three stages of 16, 32 and 64 times `widen`: (N, C, H, W) -> (N, K).

    Dropout lies between a block's two convolutions; the paper takes 0.3 where it has any.
    """
    count, rest = divmod(depth - 4, 6)
    if count < 1 or rest:
        raise UsageError(f"depth of wide-resnet is 6n + 4 (10, 16, 22, 28, ...), not {depth}")

    def block(given: int, wide: int, stride: int) -> nn.Module:
        return Preactivated(given, wide, stride, norm=norm, dropout=dropout)

    check_last_maps(size, norm=norm, stride=4)
    widths = (16 * widen, 32 * widen, 64 * widen)
    net = chain(
        conv1=nn.Conv2d(channels, 16, 3, padding=1, bias=norm == "none"),
        **stages(block, 16, widths, (count,) * 3),
        norm=normed(norm, widths[-1]),
        relu=nn.ReLU(inplace=True),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=nn.Linear(widths[-1], classes),
    )
    he(net)
    if norm == "none":
        start_as_shortcuts(net, Preactivated)
    return net
