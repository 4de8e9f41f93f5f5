"""VGG (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556): 3x3 convolutions, five poolings.

The layers and their names are torchvision's, so that its weights load unchanged: those of `vgg16`
without norms, those of its `vgg16_bn` with `norm=batch`.
"""

from torch import nn

from striate.errors import UsageError
from striate.layers import chain
from striate.layers.norms import Norm
from striate.layers.norms import norm as normed

from .initial import he

# Convolutions before each pooling: the paper's table 1, columns A, B, D and E.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(  # noqa: PLR0913
    depth: int,
    channels: int,
    classes: int,
    size: tuple[int, int],  # noqa: ARG001 - adaptive pooling gives 7x7 for every size
    *,
    norm: Norm = "none",
    width: int = 64,
    hidden: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """`depth` layers with weights: (N, C, H, W) -> (N, K).

    `width` is the first stage's, doubled at each of the next three; `hidden` is that of the two
    linear layers.
    """
    if width < 1 or hidden < 1:
        raise UsageError(f"a VGG has width >= 1 and hidden >= 1, not {width} and {hidden}")
    features = nn.Sequential()
    for stage, convolutions in enumerate(STAGES[depth]):
        wide = width * min(2**stage, 8)
        for _ in range(convolutions):
            features.append(nn.Conv2d(channels, wide, 3, padding=1))
            if norm != "none":  # not an identity: torchvision counts its layers without one
                features.append(normed(norm, wide))
            features.append(nn.ReLU(inplace=True))
            channels = wide
        features.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(channels * 7 * 7, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
    net = chain(
        features=features,
        avgpool=nn.AdaptiveAvgPool2d(7),
        flatten=nn.Flatten(),
        classifier=classifier,
    )
    he(net)
    return net
