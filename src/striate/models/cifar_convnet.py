"""The chapter's CIFAR-10 network, with and without norms, its sizes corrected.

The listing is a network for 1x28x28: its 9216 = 64*12*12 numbers after the pooling are 64*10*10 for
the chapter's crops of 24x24. It also normalises the logits, which bounds how sure the network can
be: here it does not.
"""

import math

from torch import nn

from striate.layers import Norm, chain
from striate.layers import norm as normed

from .initial import he


def cifar_convnet(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    norm: Norm = "batch",
    dropout: float = 0.5,
) -> nn.Sequential:
    """Two 3x3 convolutions, one pooling, two linear layers: (N, C, H, W) -> (N, K).

    `dropout` is that of the linear layer, half of it that of the maps: 0.25 as in the listing.
    """
    pixels = math.prod((side - 4) // 2 for side in size)
    net = chain(
        conv1=nn.Conv2d(channels, 32, 3),
        norm1=normed(norm, 32),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(32, 64, 3),
        norm2=normed(norm, 64),
        relu2=nn.ReLU(inplace=True),
        pool=nn.MaxPool2d(2),
        dropout1=nn.Dropout(dropout / 2),
        flatten=nn.Flatten(),
        linear=nn.Linear(64 * pixels, 128),
        norm3=normed(norm, 128, axes=0),
        relu3=nn.ReLU(inplace=True),
        dropout2=nn.Dropout(dropout),
        head=nn.Linear(128, classes),
    )
    he(net)
    return net
