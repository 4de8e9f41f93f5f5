"""Labels that are likely wrong: confident learning (Northcutt et al. 2021).

https://arxiv.org/abs/1911.00068
"""

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.wording import counted

from .answers import Answers

_ROUNDING = 1e-6  # by which a probability may miss its class's threshold
_LEAST = 2e-6  # threshold of a class that the network never believes in


def doubted(answers: Answers) -> NDArray[np.int64]:
    """Return the places of answers whose label is likely wrong, the likeliest first.

    The network must not have learnt from these pictures: UsageError for a training split.
    """
    if answers.split == "train":
        raise UsageError(
            "label errors are looked for in pictures that the network did not learn from, and "
            f"these {counted(len(answers.files), 'pictures')} are its training split"
        )
    return likely_errors(answers.probabilities, answers.labels)


def likely_errors(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rows of probabilities (N, K) whose label (N,) is likely wrong, likeliest first.

    The probabilities are of pictures that the network has not learnt from. A row belongs to a class
    where its probability reaches the mean that the class's own pictures have; where it belongs to
    another class than its label, and that is the likeliest, the label is doubted.
    """
    thresholds = _thresholds(probabilities, labels)
    belongs = probabilities >= thresholds - _ROUNDING
    likeliest = probabilities.argmax(1)
    guess = np.where(belongs.sum(1) > 1, likeliest, belongs.argmax(1))
    is_doubted = belongs.any(1) & (guess != labels) & (likeliest != labels)
    rows = np.flatnonzero(is_doubted)
    margins = probabilities[rows, labels[rows]] - probabilities[rows].max(1)
    return rows[np.argsort(margins, kind="stable")]


def _thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average the probability of each class over its own pictures; none is sure of an empty one."""
    found = np.full(probabilities.shape[1], np.inf)
    for label in np.unique(labels):
        found[label] = max(float(probabilities[labels == label, label].mean()), _LEAST)
    return found
