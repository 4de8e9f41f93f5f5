"""Fractional max pooling (Graham 2014, https://arxiv.org/abs/1412.6071)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FractionalMaxPool(nn.Module):
    """Max over 2x2 regions at pseudo-random places: (N, C, H, W) -> (N, C, H/factor, W/factor).

    In training each map of each picture draws its own places. In evaluation they are the middle
    ones, so that an answer is the same each time; torch's own layer draws then as well.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        size = [max(1, int(side / self.factor)) for side in x.shape[2:]]
        shape = (*x.shape[:2], 2)
        places = torch.rand(shape, device=x.device) if self.training else x.new_full(shape, 0.5)
        return F.fractional_max_pool2d(x, 2, size, _random_samples=places.to(x.dtype))

    def extra_repr(self) -> str:
        """Say by how much sides shrink."""
        return f"factor={self.factor:.4g}"
