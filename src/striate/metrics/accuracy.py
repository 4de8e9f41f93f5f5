"""Numbers from logits: accuracy with its interval, loss, counts by class and confusions."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.errors import DataError
from striate.wording import counted

# Rows taken at a time: so the copies in float64 stay small beside the logits themselves.
ROWS = 8192


class Metrics(NamedTuple):
    """What a network got right, and what it took for what.

    Accuracy and top5 are shares in [0, 1], the interval is that of the accuracy (95 %), the loss is
    the mean in nats, the balanced accuracy the mean recall of the classes that have pictures. The
    matrix counts pictures: a row is a true class, a column a predicted one.
    """

    n: int
    accuracy: float
    top5: float
    loss: float
    interval: tuple[float, float]
    balanced_accuracy: float
    per_class: list[dict[str, Any]]
    confusions: list[dict[str, Any]]
    matrix: list[list[int]]


def measure(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> Metrics:
    """Count and average: logits (N, K), labels (N,), K names -> the metrics.

    Of equal logits the first is the prediction. top5 asks for the label among the min(5, K) first.
    """
    # Not every accelerator has float64.
    logits, labels = logits.detach().cpu(), labels.detach().cpu().long()
    _check(logits)
    matrix = _matrix(labels, logits.argmax(1), len(classes))
    n, correct = len(labels), int(matrix.trace())
    per_class = _per_class(matrix, classes)
    return Metrics(
        n=n,
        accuracy=correct / n,
        top5=top(logits, labels, 5),
        loss=loss(logits, labels),
        interval=wilson(correct, n),
        balanced_accuracy=_mean([row["recall"] for row in per_class if row["n"]]),
        per_class=per_class,
        confusions=_confusions(matrix, classes),
        matrix=matrix.tolist(),
    )


def as_json(metrics: Metrics) -> dict[str, Any]:
    """Return what JSON can hold, the headline first."""
    headline = ("accuracy", "top5", "n", "interval", "balanced_accuracy", "loss")
    tables = ("per_class", "confusions", "matrix")
    document = {key: getattr(metrics, key) for key in (*headline, *tables)}
    return {**document, "interval": list(metrics.interval)}


def wilson(correct: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval of a share (1927, https://doi.org/10.2307/2276774); z is for 95 %.

    >>> [round(bound, 4) for bound in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if n == 0:
        return 0.0, 1.0
    share, scale = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the bound is the share itself, which rounding would miss by 1e-17.
    low = 0.0 if correct == 0 else centre - half
    return low, 1.0 if correct == n else centre + half


def top(logits: Tensor, labels: Tensor, most: int) -> float:
    """Return the share of labels (N,) among the `most` greatest logits (N, K); of equals the first.

    As scikit-learn's top_k_accuracy_score, which counts the last of equal ones first.
    """
    own = logits.gather(1, labels[:, None])  # (N, 1)
    earlier = torch.arange(logits.shape[1]) < labels[:, None]  # (N, K)
    before = (logits > own) | ((logits == own) & earlier)
    return float((before.sum(1) < most).double().mean())


def loss(logits: Tensor, labels: Tensor) -> float:
    """Compute the mean cross-entropy in nats: logits (N, K), labels (N,)."""
    parts = zip(logits.split(ROWS), labels.split(ROWS), strict=True)
    sums = [F.cross_entropy(rows.double(), own, reduction="sum").item() for rows, own in parts]
    return math.fsum(sums) / len(labels)


def _check(logits: Tensor) -> None:
    if len(logits) == 0:
        raise DataError("no pictures to measure: give a data set with at least one")
    bad = int((~logits.isfinite()).any(1).sum())
    if bad:
        raise DataError(
            f"the network gave numbers that are not finite for {bad:,} of "
            f"{counted(len(logits), 'pictures')}: its weights or its inputs are broken"
        )


def _matrix(labels: Tensor, predicted: Tensor, k: int) -> Tensor:
    return torch.bincount(labels * k + predicted, minlength=k * k).reshape(
        k, k
    )  # (true, predicted)


def _per_class(matrix: Tensor, classes: Sequence[str]) -> list[dict[str, Any]]:
    counts = zip(
        classes,
        matrix.diagonal().tolist(),
        matrix.sum(1).tolist(),
        matrix.sum(0).tolist(),
        strict=True,
    )
    return [
        {
            "class": name,
            "n": n,
            "precision": _share(correct, predicted),
            "recall": _share(correct, n),
            "f1": _share(2 * correct, n + predicted),
        }
        for name, correct, n, predicted in counts
    ]


def _mean(shares: Sequence[float]) -> float:
    return math.fsum(shares) / len(shares)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _confusions(matrix: Tensor, classes: Sequence[str]) -> list[dict[str, Any]]:
    wrong = matrix - matrix.diagonal().diag()
    pairs = wrong.nonzero().tolist()  # in class order, which the stable sort keeps among equals
    pairs.sort(key=lambda pair: -int(wrong[pair[0], pair[1]]))
    return [
        {"true": classes[i], "predicted": classes[j], "count": int(wrong[i, j])} for i, j in pairs
    ]
