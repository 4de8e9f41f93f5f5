"""Initial weights of networks with ReLU (He et al. 2015, https://arxiv.org/abs/1502.01852)."""

from torch import nn


def he(net: nn.Module) -> None:
    """Draw weights so that each layer keeps the mean square of what it is given, biases 0.

    The last linear layer is near 0 (as in Goyal et al. 2017, https://arxiv.org/abs/1706.02677), so
    that the first answer is a guess: He's rule holds where a ReLU follows.
    """
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)
