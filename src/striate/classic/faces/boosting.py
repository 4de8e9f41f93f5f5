"""AdaBoost over stumps of one feature each, by sorted feature values.

Freund & Schapire 1997 (https://doi.org/10.1006/jcss.1997.1504), as in Viola & Jones 2001, table 1.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 16  # features looked at together: their sums stay in the processor's cache
LEAST_ERROR = 1e-6  # of a stump without a mistake, whose vote would have no end


class Stump(NamedTuple):
    """One feature as a judge: votes +vote where its value is at least the threshold, else -vote."""

    feature: int  # its row
    threshold: float
    vote: float


class Round(NamedTuple):
    """A stump that was chosen, its weighted error, and the sum of all votes so far."""

    stump: Stump
    error: float
    score: NDArray[np.float64]  # (N,)


class Table(NamedTuple):
    """Features of all examples, and the order of each feature's values."""

    values: NDArray[np.float32]  # (F, N)
    order: NDArray[np.int32]  # (F, N)


def table(values: NDArray[np.float32]) -> Table:
    """Sort each feature's values (F, N) once, for all rounds."""
    order = np.empty(values.shape, np.int32)
    for row, one in enumerate(values):
        order[row] = one.argsort()
    return Table(values, order)


def boost(known: Table, labels: NDArray[np.bool_]) -> Iterator[Round]:
    """Yield one round after the other: the best stump, then more weight on what it gets wrong.

    Half of the weight lies on each label at first. Ends only where no stump is better than chance.
    """
    signs = np.where(labels, 1.0, -1.0)
    weights = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    score = np.zeros(len(labels))
    while True:
        weights /= weights.sum()
        row, threshold, sign, error = best(known, weights * signs)
        if error >= 0.5:
            return
        # Half of the paper's log(1 / beta): votes are +1 and -1 here, not 1 and 0.
        kept = max(error, LEAST_ERROR)
        vote = 0.5 * sign * float(np.log((1 - kept) / kept))
        answers = np.where(known.values[row] >= threshold, vote, -vote)
        score = score + answers
        weights *= np.exp(-signs * answers)
        yield Round(Stump(row, threshold, vote), error, score)


def best(known: Table, signed: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """Return the stump of the least weighted error: row, threshold, sign of its vote, error.

    `signed` are the examples' weights, of sum 1, negative for the label false.
    """
    negative = -float(signed[signed < 0].sum())
    with _one_thread():
        row, place, gain = _search(known, torch.from_numpy(signed), negative)
    low, high = known.values[row, known.order[row, place : place + 2]].astype(float)
    return row, (low + high) / 2, 1.0 if gain > 0 else -1.0, 0.5 - abs(gain)


def _search(known: Table, signed: Tensor, negative: float) -> tuple[int, int, float]:
    """Return the best row and place in its order, and how far its error is below 1/2, or above."""
    row, place, gain = 0, 0, 0.0
    for start in range(0, len(known.order), CHUNK):
        order = known.order[start : start + CHUNK]
        # torch's gather and running sums take a quarter of NumPy's time.
        ordered = signed.index_select(0, torch.from_numpy(order).view(-1)).view(order.shape)
        # The error of "true above this value": false ones above, true ones up to here.
        errors = ordered.cumsum(1).add_(negative - 0.5)
        sizes = errors.abs().numpy()
        most = int(sizes.argmax())
        if sizes.flat[most] > abs(gain) and not _parts(known, start, most):
            # Rare, so not asked of all places: equal values lie on both sides.
            sizes *= _ends(known.values[start : start + CHUNK], order)
            most = int(sizes.argmax())
        if sizes.flat[most] > abs(gain):
            row, place = start + most // sizes.shape[1], most % sizes.shape[1]
            gain = -float(errors.view(-1)[most])
    return row, place, gain


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: for pieces that fit in cache, threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _parts(known: Table, start: int, most: int) -> bool:
    """Tell whether a place lies between two values that differ."""
    row, place = divmod(most, known.order.shape[1])
    pair = known.values[start + row, known.order[start + row, place : place + 2]]
    return len(pair) == 2 and bool(pair[0] < pair[1])


def _ends(values: NDArray[np.float32], order: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell of each place in order (F, N) whether the next value is larger; none after the last."""
    ordered = np.take_along_axis(values, order, axis=1)
    ends = np.zeros(order.shape, np.bool_)
    ends[:, :-1] = ordered[:, 1:] > ordered[:, :-1]
    return ends
