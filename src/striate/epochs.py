"""The epochs of a training in one order: which is kept, and when no better one came for long."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from striate.wording import counted, percent

METRICS = ("accuracy", "loss", "balanced-accuracy")  # by which epochs may be chosen
METRIC = METRICS[0]
SMALLER_IS_BETTER = frozenset({"loss"})

Row = Mapping[str, Any]  # a line of metrics.jsonl


class End(NamedTuple):
    """Why a training stopped, and which epoch it kept."""

    reason: str  # epochs (all were done) or patience
    line: str  # for people


def score(row: Row, metric: str = METRIC) -> tuple[float, ...]:
    """Return what epochs are ordered by, the best greatest.

    It is the metric on the validation split, then the loss there; without such a split the number
    of the epoch, so that the last is the best.

    >>> score({"validation_accuracy": 0.8, "validation_loss": 0.5})
    (0.8, -0.5)
    """
    value = row.get(_key(metric))
    if value is None:
        return (float(row["epoch"]),)
    return _rank(value, smaller=metric in SMALLER_IS_BETTER), _rank(
        row.get("validation_loss", math.nan), smaller=True
    )


def best(history: Sequence[Any], metric: str = METRIC) -> Any:
    """Return the line of the epoch that is kept; the later one of equals."""
    return max(history, key=lambda row: (score(row, metric), row["epoch"]))


def since_better(history: Sequence[Row], metric: str = METRIC) -> int:
    """Count the epochs since one was better than all before it."""
    top = max(history, key=lambda row: (score(row, metric), -row["epoch"]))
    return int(history[-1]["epoch"] - top["epoch"])


def is_over(
    history: Sequence[Row], epochs: int, patience: int | None, metric: str = METRIC
) -> bool:
    """Tell whether a training of so many epochs is done, or no better one came for `patience`."""
    return len(history) >= epochs or _is_patience_over(history, patience, metric)


def end(history: Sequence[Row], epochs: int, patience: int | None, metric: str = METRIC) -> End:
    """Say why a training stopped, and which epoch it kept."""
    done, row = len(history), best(history, metric)
    if early := done < epochs and _is_patience_over(history, patience, metric):
        waited = counted(since_better(history, metric), "epochs")
        why = (
            f"stopped after epoch {done:,} of {epochs:,}, as {waited} brought none better "
            f"(--patience {patience})"
        )
    else:
        why = f"{counted(epochs, 'epochs')} done"
    return End(
        "patience" if early else "epochs", f"{why}; kept epoch {row['epoch']:,}{_by(row, metric)}"
    )


def _key(metric: str) -> str:
    """Name a metric on the validation split as a line of metrics.jsonl does."""
    return f"validation_{metric.replace('-', '_')}"


def _is_patience_over(history: Sequence[Row], patience: int | None, metric: str) -> bool:
    if patience is None or not history or _key(metric) not in history[-1]:
        return False
    return since_better(history, metric) >= patience


def _by(row: Row, metric: str) -> str:
    if _key(metric) not in row:
        return ", the last: there is no validation split to choose by"
    loss = f"{row['validation_loss']:.4f}"
    if metric == "loss":
        return f", the best by validation loss ({loss})"
    name = metric.replace("-", " ")
    return f", the best by validation {name} ({percent(row[_key(metric)])}), then loss ({loss})"


def _rank(value: float, *, smaller: bool) -> float:
    # What is not known is the worst: NaN would make the order depend on the rows' own.
    if not math.isfinite(value):
        return -math.inf
    return -value if smaller else value
