"""Functions by their series: the same bits in every batch and on every device.

torch's own may differ in the last bit between their vector and their remainder code.
"""

import math

import torch
from torch import Tensor


def exponential(x: Tensor) -> Tensor:
    """Compute e to the power of x in [-2, 2], float64, exact to 1e-15."""
    total = torch.zeros_like(x)
    for power in range(24, -1, -1):
        total = total * x + 1 / math.factorial(power)
    return total


def turned(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of angles in [-pi, pi], float64.

    The series of the half angle, at most pi / 2, is exact to 1e-15.
    """
    half = angles / 2
    square = half * half
    cos, sin = torch.zeros_like(half), torch.zeros_like(half)
    for power in range(22, -1, -2):
        sign = (-1) ** (power // 2)
        cos = cos * square + sign / math.factorial(power)
        sin = sin * square + sign / math.factorial(power + 1)
    sin = sin * half
    return 1 - 2 * sin * sin, 2 * sin * cos
