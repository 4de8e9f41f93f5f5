"""What a network answered on pictures of known classes: mistakes, least certain, confusions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError
from striate.runs import folder


class Answers(NamedTuple):
    """The answers on a split: N pictures, K classes."""

    split: str
    files: list[str]
    labels: NDArray[np.int64]  # (N,)
    probabilities: NDArray[np.float64]  # (N, K)
    classes: tuple[str, ...]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The likeliest class of each."""
        found: NDArray[np.int64] = self.probabilities.argmax(1)
        return found

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of the likeliest class."""
        found: NDArray[np.float64] = self.probabilities.max(1)
        return found

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Tell which are mistakes."""
        found: NDArray[np.bool_] = self.predicted != self.labels
        return found

    def mistakes(self, most: int | None = None) -> NDArray[np.int64]:
        """Return the places of the mistakes, the most confident first."""
        rows = np.flatnonzero(self.wrong)
        return rows[np.argsort(-self.confidence[rows], kind="stable")][:most]

    def doubts(self, most: int | None = None) -> NDArray[np.int64]:
        """Return the places of the least certain answers, right or wrong, least certain first."""
        return np.argsort(self.confidence, kind="stable")[:most]


class Confusion(NamedTuple):
    """Which class was taken for which, and an order of the classes that shows groups of them."""

    counts: NDArray[np.int64]  # (K, K): a row is a true class, a column a predicted one
    order: NDArray[np.int64]  # (K,): classes that are taken for each other stand together
    pairs: list[tuple[int, int, int]]  # true, predicted, count: mistakes, the most frequent first


def read_answers(run: Path) -> Answers:
    """Read what a run answered on the split that it was judged on; no code of the run is needed.

    The probabilities are those of the bundle's temperature.
    """
    split = folder.read_result(folder.require_whole(run)).get("split")
    if split is None:
        raise DataError(f"{run} is not finished: continue it with `striate train --resume {run}`")
    table = folder.read_predictions(run)
    classes = tuple(folder.read_json(run, folder.DATA)["classes"])
    where = run / folder.PREDICTIONS
    places = {name: place for place, name in enumerate(classes)}
    lists = table["probabilities"].combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    names = table["class"].to_pylist()
    if len(flat) != len(table) * len(classes) or not places.keys() >= set(names):
        raise DataError(f"{where} does not fit the classes in {folder.DATA}")
    return Answers(
        str(split),
        table["file"].to_pylist(),
        np.array([places[name] for name in names], dtype=np.int64),
        _tempered(flat.reshape(len(table), len(classes)), folder.read_temperature(run)),
        classes,
    )


def _tempered(shares: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the softmax (N, K) of logits over a temperature, given their own softmax."""
    if temperature == 1:
        return shares
    powers = (shares / shares.max(1, keepdims=True)) ** (1 / temperature)
    scaled: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return scaled


def confusion(answers: Answers) -> Confusion:
    """Count what was taken for what, and order the classes so that what is confused is near."""
    k = len(answers.classes)
    counts = np.bincount(answers.labels * k + answers.predicted, minlength=k * k).reshape(k, k)
    wrong = counts - np.diag(counts.diagonal())
    found = [(int(i), int(j), int(wrong[i, j])) for i, j in np.argwhere(wrong)]
    found.sort(key=lambda pair: -pair[2])  # equal ones stay in the order of the classes
    return Confusion(counts, grouped(counts), found)


def grouped(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order classes by how often they are taken for each other: average linkage, ordered leaves.

    After Alsallakh et al. (2018, https://arxiv.org/abs/1710.06501).
    """
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    k = len(counts)
    if k < 3:
        return np.arange(k)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    alike = shares + shares.T
    np.fill_diagonal(alike, 0)
    if not alike.any():
        return np.arange(k)
    distances = squareform(1 - alike / (alike.max() * (1 + 1e-9)), checks=False)
    tree = hierarchy.linkage(distances, "average", optimal_ordering=True)
    order: NDArray[np.int64] = hierarchy.leaves_list(tree).astype(np.int64)
    return order
