"""Temperature scaling: fitted to validation logits, so that confidence is calibrated.

Guo et al. (2017, https://arxiv.org/abs/1706.04599). The order of the logits stays, and so do all
answers.
"""

import math

import numpy as np
import torch
from torch import Tensor

from striate.errors import DataError
from striate.wording import counted

LEAST, GREATEST = 0.05, 20.0


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute the softmax of logits (N, K) over their temperature, float64.

    In float64 what differs as float32 still differs after the division.
    """
    return (logits.double() / temperature).softmax(1)


def fit(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature of least cross-entropy: logits (N, K), labels (N,).

    Raises DataError where it lies outside LEAST to GREATEST: the smaller it is the better where all
    answers are right, and the greater the better where they are no better than chance.
    """
    from scipy.optimize import brentq  # slow to import

    logits, labels = logits.detach().cpu().double(), labels.detach().cpu().long()
    own = logits.gather(1, labels[:, None])[:, 0]

    def slope(logarithm: float) -> float:
        """Compute the loss's slope in 1 / T, which never falls: the loss has one minimum."""
        shares = torch.softmax(logits * math.exp(-logarithm), 1)
        return float(((shares * logits).sum(1) - own).mean())

    low, high = math.log(LEAST), math.log(GREATEST)
    if not slope(low) > 0 > slope(high):
        raise DataError(_outside(logits, labels))
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def _outside(logits: Tensor, labels: Tensor) -> str:
    right, n = int((logits.argmax(1) == labels).sum()), len(labels)
    why = (
        "all of its answers are right: a temperature is fitted to mistakes"
        if right == n
        else f"{right:,} of its {counted(n, 'answers')} are right"
    )
    return (
        f"no temperature from {LEAST:g} to {GREATEST:g} is best on the validation split, where "
        f"{why}; nothing was saved"
    )
