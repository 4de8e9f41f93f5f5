"""A small convolutional network for pictures of any size: the default.

Stages of two 3x3 convolutions with batch norm (Ioffe & Szegedy 2015,
https://arxiv.org/abs/1502.03167) and ReLU; each stage halves the picture and doubles the width.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import nn

from striate.errors import UsageError
from striate.layers import FractionalMaxPool, Norm, chain
from striate.layers import norm as normed

Pooling = Literal["max", "overlapping", "average", "stride", "fractional"]


def convnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    width: int | None = None,
    stages: int | None = None,
    kernel: int = 3,
    layers: int = 2,
    pooling: Pooling = "max",
    norm: Norm = "batch",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build stages down to a map of about 4x4, global average pooling, and one linear layer.

    Pictures (N, C, H, W) -> logits (N, K). From 96 pixels on, the first convolution has stride 2:
    full-size maps would cost more than all the rest. The first stage has
    `width` channels: 32, and 64 for pictures below 16 pixels, where width is cheap and needed.

    A stage has `layers` convolutions of `kernel` x `kernel`. It ends with a pooling: max of 2x2,
    overlapping of 3x3, average, none but a stride of 2 in the last convolution, or fractional,
    which shrinks by the root of two instead of by two.
    """
    stride = 2 if min(size) >= 96 else 1
    most = (min(size) // stride).bit_length()  # each stage but the last halves the map
    count = min(max(most - 2, 1), 5) if stages is None else stages
    if width is None:
        width = 64 if min(size) < 16 else 32
    if norm == "instance":  # over one pixel it gives 0
        most -= 1
    if count > most:
        raise UsageError(f"a convnet on {size[0]}x{size[1]} has 1 to {most} stages, not {count}")
    if kernel % 2 == 0:
        raise UsageError(f"kernel of convnet is an odd number, not {kernel}")
    parts: dict[str, nn.Module] = {}
    for number in range(1, count + 1):
        wide = width * min(2 ** (number - 1), 8)
        shrink = pooling if number < count else None
        stage = Stage(wide, kernel, layers, norm, shrink)
        parts[f"stage{number}"] = _stage(stage, channels, stride)
        channels, stride = wide, 1
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["dropout"] = nn.Dropout(dropout)
    parts["head"] = nn.Linear(channels, classes)
    net = chain(**parts)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return net


class Stage(NamedTuple):
    """What a stage is made of; `pooling` is None in the last."""

    width: int
    kernel: int
    layers: int
    norm: Norm
    pooling: Pooling | None


_POOLS: dict[Pooling, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "overlapping": lambda: nn.MaxPool2d(3, 2, padding=1),
    "average": lambda: nn.AvgPool2d(2),
    "fractional": lambda: FractionalMaxPool(math.sqrt(2)),
}


def _stage(made: Stage, channels: int, stride: int) -> nn.Sequential:
    """Build a stage whose first convolution has this stride."""
    width, kernel, count, norm, pooling = made
    layers: dict[str, nn.Module] = {}
    for number in range(1, count + 1):
        last = number == count
        step = stride if number == 1 else 1
        step *= 2 if last and pooling == "stride" else 1
        layers[f"conv{number}"] = nn.Conv2d(
            channels, width, kernel, step, padding=kernel // 2, bias=norm == "none"
        )
        if last and pooling in _POOLS:  # before norm and ReLU: fewer numbers left for both
            layers["pool"] = _POOLS[pooling]()
        layers[f"norm{number}"] = normed(norm, width)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        channels = width
    return chain(**layers)
