"""What torch lacks for building networks."""

from collections import OrderedDict

from torch import nn

from .fractional import FractionalMaxPool
from .norms import NORMS, Norm, convert_norm, norm

__all__ = ["NORMS", "FractionalMaxPool", "Norm", "chain", "convert_norm", "norm"]


def chain(**layers: nn.Module) -> nn.Sequential:
    """Return a row of layers in which each has the name by which it is described and saved."""
    return nn.Sequential(OrderedDict(layers))
