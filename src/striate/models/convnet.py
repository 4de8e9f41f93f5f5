"""A small convolutional network for pictures of any size: the default.

Stages of two 3x3 convolutions with batch norm (Ioffe & Szegedy 2015,
https://arxiv.org/abs/1502.03167) and ReLU; each stage halves the picture and doubles the width.
"""

from torch import nn

from striate.errors import UsageError
from striate.layers import Norm, chain
from striate.layers import norm as normed


def convnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    width: int | None = None,
    stages: int | None = None,
    norm: Norm = "batch",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build stages down to a map of about 4x4, global average pooling, and one linear layer.

    Pictures (N, C, H, W) -> logits (N, K). From 96 pixels on, the first convolution has stride 2:
    full-size maps would cost more than all the rest. The first stage has
    `width` channels: 32, and 64 for pictures below 16 pixels, where width is cheap and needed.
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
    layers: dict[str, nn.Module] = {}
    for number in range(1, count + 1):
        wide = width * min(2 ** (number - 1), 8)
        layers[f"stage{number}"] = _stage(channels, wide, stride, norm=norm, pool=number < count)
        channels, stride = wide, 1
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(channels, classes)
    net = chain(**layers)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return net


def _stage(channels: int, width: int, stride: int, *, norm: Norm, pool: bool) -> nn.Sequential:
    bias = norm == "none"
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias),
        "norm1": normed(norm, width),
        "relu1": nn.ReLU(inplace=True),
        "conv2": nn.Conv2d(width, width, 3, padding=1, bias=bias),
    }
    if pool:  # before norm and ReLU: a quarter of the numbers left for both
        layers["pool"] = nn.MaxPool2d(2)
    layers["norm2"] = normed(norm, width)
    layers["relu2"] = nn.ReLU(inplace=True)
    return chain(**layers)
