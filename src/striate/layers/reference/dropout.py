"""Dropout, inverted: what is kept grows, so that evaluation leaves everything as it is.

Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def draw(shape: Sequence[int], share: float, generator: torch.Generator) -> Tensor:
    """Draw which cells are kept: True with probability 1 - share, each for itself."""
    return torch.rand(*shape, generator=generator) >= share


def dropout(x: Tensor, kept: Tensor, share: float) -> Tensor:
    """Put 0 where x is not kept, and divide the rest by 1 - share, its chance of being kept.

    `kept` (N, C, 1, 1) drops whole channels. In evaluation dropout is left out.
    """
    return torch.where(kept, x / (1 - share) if share < 1 else x, torch.zeros_like(x))
