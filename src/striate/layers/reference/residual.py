"""The residual block: y = relu(F(x) + x). He et al. 2015, https://arxiv.org/abs/1512.03385."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from .convolution import convolution
from .normalisation import Running, batch_norm, evaluated
from .sliding import Each


class Unit(NamedTuple):
    """A convolution without a bias, and the batch norm behind it."""

    weight: Tensor  # (k, C, e, e)
    scale: Tensor  # (k,)
    shift: Tensor  # (k,)
    stride: Each = 1
    padding: Each = 0
    running: Running | None = None  # None: normalised by the batch itself, as in training

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve and normalise: (N, C, H, W) -> (N, k, H / stride, W / stride)."""
        maps = convolution(x, self.weight, stride=self.stride, padding=self.padding)
        if self.running is None:
            return batch_norm(maps, self.scale, self.shift)[0]
        return evaluated(maps, self.running, self.scale, self.shift)


def residual_block(x: Tensor, branch: Sequence[Unit], projection: Unit | None = None) -> Tensor:
    """Add x (N, C, H, W) to what a branch of units makes of it, then rectify.

    There is a ReLU between units, none behind the last, and one behind the sum. Where the branch
    changes size or depth, `projection`, a 1x1 convolution, brings x there (the paper's shortcut B).
    """
    y = x
    for number, unit in enumerate(branch):
        y = unit(_relu(y) if number else y)
    return _relu(y + (x if projection is None else projection(x)))


def _relu(x: Tensor) -> Tensor:
    return x.clamp_min(0)
