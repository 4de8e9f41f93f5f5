"""Cross-validation: training examples in parts that have equal shares of each class."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError, UsageError
from striate.wording import counted

from .splits import Data, Split, cut, gathered, require_training


def parts(labels: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """Return which part, from 0, each of N examples is in: each class dealt out in turn.

    So two parts differ by at most one in each class, and by at most one as a whole.
    """
    random = np.random.default_rng([seed, 3])
    order = [
        random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels).tolist()
    ]
    found = np.empty(len(labels), np.int64)
    found[np.concatenate(order)] = np.arange(len(labels)) % folds
    return found


def held_out(
    data: Data, *, fold: int, folds: int, test_share: float, seed: int
) -> dict[str, Split]:
    """Return train and validation: the part `fold`, from 1, of what may be learnt from is held.

    That is the training split, with validation where the data bring one. A test split is left
    alone; where the data have no splits it is cut off first, as for any other training.
    """
    require_training(data)
    pool = data.splits["train"]
    if set(data.splits) == {"train"} and test_share:
        pool, _ = cut(pool, test_share, seed=[seed, 1])
    if "validation" in data.splits:
        pool = gathered(
            data, [(name, row) for name in ("train", "validation") for row in _rows(data, name)]
        )
    _check(data, pool, folds)
    is_held = parts(pool.labels, folds, seed=seed) == fold - 1
    return {
        "train": pool.take(np.flatnonzero(~is_held)),
        "validation": pool.take(np.flatnonzero(is_held)),
    }


def _rows(data: Data, name: str) -> range:
    return range(len(data.splits[name]))


def held_out_note(splits: Mapping[str, Split], *, fold: int, folds: int) -> str:
    """Say what is held out."""
    held = splits["validation"]
    return (
        f"part {fold} of {folds} is held out for validation ({counted(len(held), held.kind)}); a "
        "test split is left alone"
    )


def _check(data: Data, pool: Split, folds: int) -> None:
    if len(pool) < folds:
        raise UsageError(
            f"--folds {folds} is more than the {counted(len(pool), pool.kind)} to train on"
        )
    counts = np.bincount(pool.labels, minlength=len(data.classes))
    if (counts == 1).any():
        name = data.classes[int(np.flatnonzero(counts == 1)[0])]
        raise DataError(
            f"{data.name}: class {name!r} has one of the {pool.kind} only, and none is left to "
            "train on where it is held out: add some, or take the class away"
        )
