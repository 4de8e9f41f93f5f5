"""AlexNet (Krizhevsky et al. 2012; this form for one device: https://arxiv.org/abs/1404.5997).

The layers and their names are torchvision's, so that its weights load unchanged.
"""

from torch import nn

from striate.layers import chain

from .initial import he


def alexnet(
    channels: int,
    classes: int,
    _size: tuple[int, int],  # adaptive pooling gives 6x6 for every size
    *,
    hidden: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Five convolutions and three linear layers, two of `hidden`: (N, C, H, W) -> (N, K).

    The first paper has 96, 256, 384, 384, 256 channels in two columns, and a norm over neighbouring
    channels. Weights start by He's rule; published was N(0, 0.01) with biases of 1 in five layers.
    """
    features = nn.Sequential(
        nn.Conv2d(channels, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
    )
    classifier = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(256 * 6 * 6, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, classes),
    )
    pool = nn.AdaptiveAvgPool2d(6)
    net = chain(features=features, avgpool=pool, flatten=nn.Flatten(), classifier=classifier)
    he(net)
    return net
