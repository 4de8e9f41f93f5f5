"""Initial weights of networks with ReLU (He et al. 2015, https://arxiv.org/abs/1502.01852)."""

from torch import nn

# The last layer's share of the deviation that would keep the mean square: so the first answer is a
# guess, and the first loss ln K.
HEAD = 0.05


def he(net: nn.Module) -> None:
    """Draw weights so that each layer keeps the mean square of what it is given; biases are 0."""
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        # Of two numbers a layer could keep, the paper's (10): forwards, by fan-in.
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    layers[-1].weight.data *= HEAD
