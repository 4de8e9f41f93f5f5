"""The chapter's CIFAR-10 network, with and without norms, its sizes mended.

The listing is a network for 1x28x28: its 9216 = 64*12*12 numbers after the pooling are 64*10*10 for
the chapter's crops of 24x24.
"""

from typing import Literal

from torch import nn

from striate.layers import chain
from striate.layers.norms import norm as normed

from .initial import he

Kind = Literal["batch", "group", "layer", "none"]


def cifar_convnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Kind = "batch",
    logits: Literal["raw", "normalised"] = "raw",
) -> nn.Sequential:
    """Two 3x3 convolutions, one pooling, two linear layers: (N, C, H, W) -> (N, K).

    `logits="normalised"` is the listing's: it has a norm after the last layer as well, which bounds
    how sure the network can be.
    """
    height, width = ((side - 4) // 2 for side in size)
    net = chain(
        conv1=nn.Conv2d(channels, 32, 3),
        norm1=normed(norm, 32),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(32, 64, 3),
        norm2=normed(norm, 64),
        relu2=nn.ReLU(inplace=True),
        pool=nn.MaxPool2d(2),
        dropout1=nn.Dropout(0.25),
        flatten=nn.Flatten(),
        linear=nn.Linear(64 * height * width, 128),
        norm3=normed(norm, 128, axes=0),
        relu3=nn.ReLU(inplace=True),
        dropout2=nn.Dropout(0.5),
        head=nn.Linear(128, classes),
    )
    he(net)
    if logits == "normalised":
        net.add_module("norm4", normed(norm, classes, axes=0))
    return net
