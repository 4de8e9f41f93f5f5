"""AlexNet (Krizhevsky et al. 2012; on one device: https://arxiv.org/abs/1404.5997).

The layers and their names are torchvision's, so that its weights load unchanged.
"""

from torch import nn

from striate.layers import chain


def alexnet(
    channels: int,
    classes: int,
    size: tuple[int, int],  # noqa: ARG001 - adaptive pooling gives 6x6 for every size
    *,
    hidden: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Five convolutions and three linear layers: (N, C, H, W) -> (N, K)."""
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
    _initialise(features, classifier)
    return chain(
        features=features,
        avgpool=nn.AdaptiveAvgPool2d(6),
        flatten=nn.Flatten(),
        classifier=classifier,
    )


def _initialise(features: nn.Sequential, classifier: nn.Sequential) -> None:
    """Weights from N(0, 0.01); biases 0, and 1 where the paper gives ReLUs a positive start."""
    layers = [m for m in (*features, *classifier) if isinstance(m, (nn.Conv2d, nn.Linear))]
    for number, layer in enumerate(layers, 1):
        nn.init.normal_(layer.weight, std=0.01)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, 1.0 if number in (2, 4, 5, 6, 7) else 0.0)
