"""The fully connected baseline that every convolutional network is compared with."""

import math

from torch import nn

from striate.layers import chain


def mlp(
    channels: int,
    classes: int,
    size: tuple[int, int],
    *,
    hidden: int = 512,
    depth: int = 2,
    dropout: float = 0.2,
) -> nn.Sequential:
    """`depth` hidden layers with ReLU: pictures (N, C, H, W) -> logits (N, K).

    One hidden neuron has C*H*W weights: 784 for a 28x28 grey digit.
    """
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    width = channels * math.prod(size)
    for number in range(1, depth + 1):
        layers[f"linear{number}"] = nn.Linear(width, hidden)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"dropout{number}"] = nn.Dropout(dropout)
        width = hidden
    layers["head"] = nn.Linear(width, classes)
    return chain(**layers)
