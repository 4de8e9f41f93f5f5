"""Whether a network is as often right as it says: reliability in bins, and its mean error.

Expected calibration error of Guo et al. (2017, https://arxiv.org/abs/1706.04599).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .accuracy import wilson

BINS = 15


class Bin(NamedTuple):
    """Answers of about the same confidence."""

    low: float  # confidence from here on
    high: float  # and below; the last bin includes 1
    n: int
    confidence: float  # mean; NaN of an empty bin
    accuracy: float
    interval: tuple[float, float]  # of the accuracy, 95 % (Wilson)


class Calibration(NamedTuple):
    """How confidence and accuracy agree over N answers."""

    bins: tuple[Bin, ...]  # of equal width, from 0 to 1
    error: float  # expected calibration error: mean distance of confidence and accuracy
    confidence: float  # mean
    accuracy: float
    brier: float  # mean squared distance of the probabilities from the truth, from 0 to 2
    n: int


def calibration(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = BINS
) -> Calibration:
    """Compare confidence with accuracy: probabilities (N, K), labels (N,).

    A confidence of exactly 1 lies in the last bin.
    """
    shares = probabilities.astype(np.float64)
    confidence = shares.max(1)
    right = shares.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    found = tuple(_bin(number, bins, confidence, right, place == number) for number in range(bins))
    gaps = [one.n * abs(one.accuracy - one.confidence) for one in found if one.n]
    truth = np.zeros_like(shares)
    truth[np.arange(len(labels)), labels] = 1
    return Calibration(
        found,
        sum(gaps) / max(1, len(labels)),
        float(confidence.mean()),
        float(right.mean()),
        float(((shares - truth) ** 2).sum(1).mean()),
        len(labels),
    )


def _bin(
    number: int,
    bins: int,
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> Bin:
    n, correct = int(inside.sum()), int(right[inside].sum())
    sure = float(confidence[inside].mean()) if n else float("nan")
    share = correct / n if n else float("nan")
    return Bin(number / bins, (number + 1) / bins, n, sure, share, wilson(correct, n))
