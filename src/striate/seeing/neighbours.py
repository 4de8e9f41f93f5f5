"""Nearest vectors, exactly and in parts: as brute force finds them, in little memory."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.floating]

_BLOCK = 1 << 24  # distances at once: 64 MB
_HELD = 1 << 18  # numbers that are measured at once: few enough for a processor's cache
_SPARE = 8  # candidates more than are asked for, before they are measured exactly


class Nearest(NamedTuple):
    """The k nearest of each query, the nearest first; of equal distances the earlier row."""

    rows: NDArray[np.int64]  # (Q, k)
    distances: NDArray[np.float64]  # (Q, k), Euclidean


def nearest(queries: Vectors, known: Vectors, k: int) -> Nearest:
    """Find the k nearest of the known vectors (N, D) to each query (Q, D); all N where N < k."""
    return _searched(queries, known, min(k, len(known)), np.full(len(queries), -1))


def others(vectors: Vectors, k: int, *, of: NDArray[np.int64] | None = None) -> Nearest:
    """Find the k nearest others of each vector (N, D), or `of` some by place; at most N - 1."""
    rows = np.arange(len(vectors)) if of is None else of
    return _searched(vectors[rows], vectors, min(k, len(vectors) - 1), rows)


def _searched(queries: Vectors, known: Vectors, k: int, own: NDArray[np.int64]) -> Nearest:
    # About the mean: the squares below then lose the fewest digits.
    middle = known.mean(0, dtype=np.float64)
    a, b = ((x - middle).astype(np.float32) for x in (queries, known))
    squares = np.einsum("nd,nd->n", b, b)
    size = max(1, _BLOCK // max(1, len(known)))
    rows = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k))
    for start in range(0, len(queries), size):
        part = slice(start, start + size)
        rough = squares - 2 * (a[part] @ b.T)  # but for what is the same along a row
        itself = own[part]
        mine = np.flatnonzero(itself >= 0)
        rough[mine, itself[mine]] = np.inf
        candidates = _candidates(rough, k)
        rows[part], distances[part] = _measured(queries[part], known, candidates, itself, k)
    return Nearest(rows, distances)


def _candidates(rough: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Choose the columns that may be among the k smallest, by their rounded distances."""
    count = min(k + _SPARE, rough.shape[1])
    if count == rough.shape[1]:
        return np.broadcast_to(np.arange(count), rough.shape)
    # Torch's selection takes a fifth of the time of NumPy's partition.
    found = torch.topk(torch.from_numpy(rough), count, largest=False, sorted=False)
    places: NDArray[np.int64] = found.indices.numpy()
    return places


def _measured(
    queries: Vectors, known: Vectors, candidates: NDArray[np.int64], own: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Measure the candidates in float64, and sort them by distance and row."""
    ordered = np.sort(candidates, axis=1)
    exact = np.empty(ordered.shape)
    size = max(1, _HELD // max(1, ordered.shape[1] * known.shape[1]))
    for start in range(0, len(queries), size):
        part = slice(start, start + size)
        gap = known[ordered[part]].astype(np.float64) - queries[part, None]
        exact[part] = np.sqrt(np.einsum("qcd,qcd->qc", gap, gap))
    exact[ordered == own[:, None]] = np.inf
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ordered, order, 1), np.take_along_axis(exact, order, 1)
