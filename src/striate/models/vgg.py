"""VGG (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556).

Rows of 3x3 convolutions, a pooling after each, and three linear layers. The layers and their
names are torchvision's, so that its weights load unchanged: those of `vgg16` without norms,
those of `vgg16_bn` with `norm="batch"`.
"""

from torch import nn

from striate.layers import Norm, chain
from striate.layers import norm as normed

from .initial import he

# Convolutions before each pooling: the paper's table 1, columns A, B, D and E.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(
    depth: int,
    channels: int,
    classes: int,
    _size: tuple[int, int],  # adaptive pooling gives 7x7 for every size
    *,
    norm: Norm = "none",
    width: int = 64,
    hidden: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """`depth` layers with weights: (N, C, H, W) -> (N, K).

    `width` is the first stage's, doubled at each of the next three; `hidden` is that of the two
    linear layers. Weights start by He's rule, made for such depths a year later; the paper began
    with N(0, 0.01), and its deep networks with the layers of a trained shallow one.
    """
    features = nn.Sequential()
    wide = channels
    for stage, convolutions in enumerate(STAGES[depth]):
        for _ in range(convolutions):
            given, wide = wide, width * min(2**stage, 8)
            features.append(nn.Conv2d(given, wide, 3, padding=1))
            if norm != "none":  # no identity: it would move the numbers of the layers behind it
                features.append(normed(norm, wide))
            features.append(nn.ReLU(inplace=True))
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(wide * 7 * 7, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
    pool = nn.AdaptiveAvgPool2d(7)
    net = chain(features=features, avgpool=pool, flatten=nn.Flatten(), classifier=classifier)
    he(net)
    return net
