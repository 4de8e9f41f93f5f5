"""LeNet-5 (LeCun et al. 1998, https://doi.org/10.1109/5.726791), the first of its kind."""

import math

import torch
from torch import Tensor, nn

from striate.layers import chain

from .initial import HEAD


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3), which is 1 at 1 and -1 at -1 (the paper's appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


def lenet(channels: int, classes: int, size: tuple[int, int]) -> nn.Sequential:
    """Two 5x5 convolutions with average pooling, three linear layers: (N, C, H, W) -> (N, K).

    Padded by 2, as the paper laid its 28x28 digits in fields of 32x32. Three of its parts are as
    everyone has them since: the second convolution sees all maps instead of a table's choice,
    pooling has no weights of its own, and logits take the place of distances to drawn letters.
    Weights start with deviation 1 / sqrt(fan-in), which this tanh was made for (LeCun et al. 1998,
    "Efficient BackProp"); the paper's +-2.4 / fan-in needs its second-order steps to get under way.
    """
    pixels = math.prod((side // 2 - 4) // 2 for side in size)
    net = chain(
        conv1=nn.Conv2d(channels, 6, 5, padding=2),
        tanh1=ScaledTanh(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        tanh2=ScaledTanh(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        linear1=nn.Linear(16 * pixels, 120),
        tanh3=ScaledTanh(),
        linear2=nn.Linear(120, 84),
        tanh4=ScaledTanh(),
        head=nn.Linear(84, classes),
    )
    layers = [layer for layer in net if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    layers[-1].weight.data *= HEAD
    return net
