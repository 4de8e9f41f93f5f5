"""Selective prediction: coverage and accuracy where only confident answers count."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from striate.errors import UsageError

from .accuracy import wilson

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Coverage(NamedTuple):
    """What is answered with at least a confidence; the others are unsure."""

    confidence: float  # the least, a share in [0, 1]
    answered: int
    correct: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return a row of the JSON output; the accuracy is null where nothing is answered."""
        none = self.answered == 0
        return {
            "min_confidence": self.confidence,
            "answered": self.answered,
            "n": self.n,
            "coverage": self.answered / self.n,
            "accuracy": None if none else self.correct / self.answered,
            "interval": None if none else list(wilson(self.correct, self.answered)),
        }


def coverage(probabilities: Tensor, labels: Tensor, least: float) -> Coverage:
    """Count the answers with at least a confidence: probabilities (N, K), labels (N,)."""
    shares, answers = probabilities.max(1)
    sure = shares >= least
    right = (answers == labels) & sure
    return Coverage(least, int(sure.sum()), int(right.sum()), len(labels))


def coverages(probabilities: Tensor, labels: Tensor, asked: float) -> Sequence[Coverage]:
    """Count at each of THRESHOLDS, and at the confidence that is asked for, in order."""
    levels = sorted({*THRESHOLDS, asked})
    return [coverage(probabilities, labels, level) for level in levels]


def check_confidence(least: float | None) -> None:
    """Raise UsageError for a confidence that is no share."""
    if least is not None and not 0 < least <= 1:  # NaN is in no range
        raise UsageError(f"--min-confidence is above 0 and at most 1, not {least:g}")
