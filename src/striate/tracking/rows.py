"""What is sent of a training: numbers of its epochs and of its end, as the run names them."""

import math
from collections.abc import Mapping
from typing import Any


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Keep the finite numbers of a line of metrics.jsonl, or of result.json.

    >>> numbers({"epoch": 1, "train_loss": 0.5, "split": "test", "leak": None, "ended": True})
    {'epoch': 1.0, 'train_loss': 0.5}
    """
    return {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def final(result: Mapping[str, Any]) -> dict[str, float]:
    """Name the accuracies and the loss of a finished training by their split.

    >>> final({"split": "test", "accuracy": 0.5, "loss": 1.5, "n": 10})
    {'test_accuracy': 0.5, 'test_loss': 1.5}
    """
    keys = ("accuracy", "balanced_accuracy", "top5", "loss")
    split = result["split"]
    return {f"{split}_{key}": value for key, value in numbers(result).items() if key in keys}
