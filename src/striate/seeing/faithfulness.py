"""How much of the neighbourhoods a map keeps, and how much classes lie together in a space.

Trustworthiness is that of Venna and Kaski (2001).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .neighbours import Vectors, others

Distances = NDArray[np.float64]

K = 10  # neighbours
ROWS = 2000  # looked at of more pictures: the mean of so many is known to a point
_HELD = 1 << 22  # distances at once: 32 MB
_ROUNDING = 1e-11  # share of the largest distance by which a product may miss one


def recall(space: Vectors, placed: Vectors, k: int = K) -> float:
    """Return the share of each vector's k nearest others that are also its nearest on the map."""
    true, shown = others(space, k).rows, others(placed, k).rows
    shared = sum(int((shown == column[:, None]).sum()) for column in true.T)
    return shared / max(1, true.size)


def trustworthiness(space: Vectors, placed: Vectors, k: int = K, *, rows: int = ROWS) -> float:
    """Return how near, by rank, the map's k neighbours are in the space: 1 where all are true ones.

    Of many vectors `rows` are looked at, evenly; their neighbours are sought among all.
    """
    n = len(space)
    chosen = _evenly(n, rows)
    shown = others(placed, k, of=chosen).rows
    # About the mean: the products in `_squares` then lose the fewest digits.
    exact = space.astype(np.float64) - space.mean(0, dtype=np.float64)
    lost = 0
    for row, places, rough in zip(chosen, shown, _squares(exact, chosen), strict=True):
        lost += _lost(exact, row, places, rough)
    return 1 - 2 * lost / (len(chosen) * k * (2 * n - 3 * k - 1))


def _squares(exact: NDArray[np.float64], chosen: NDArray[np.int64]) -> Iterator[Distances]:
    """Yield the squared distances (N,) of each chosen vector to all, with errors of rounding."""
    lengths = np.einsum("nd,nd->n", exact, exact)
    size = max(1, _HELD // len(exact))
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        yield from lengths[part, None] + lengths - 2 * (exact[part] @ exact.T)


def _lost(exact: NDArray[np.float64], row: int, places: NDArray[np.int64], rough: Distances) -> int:
    """Sum by how much the ranks of a vector's neighbours on the map exceed their number."""
    limits = _measured(exact, row, places)
    # Only what may be nearer than the farthest of them is measured without such errors.
    slack = _ROUNDING * float(rough.max())
    near = np.flatnonzero(rough <= limits.max(initial=0) + slack)
    distances = _measured(exact, row, near)
    distances[near == row] = -1
    # A rank counts from 1 for the nearest; the vector itself comes before all.
    ranks = (distances[None] < limits[:, None]).sum(1)
    return int(np.maximum(ranks - len(places), 0).sum())


def _measured(exact: NDArray[np.float64], row: int, places: NDArray[np.int64]) -> Distances:
    gap = exact[places] - exact[row]
    found: Distances = np.einsum("nd,nd->n", gap, gap)
    return found


def purity(space: Vectors, labels: NDArray[np.int64], k: int = K, *, rows: int = ROWS) -> float:
    """Return the share of a vector's k nearest others that are of its own class, on the mean.

    Of many vectors `rows` are looked at, evenly; their neighbours are sought among all.
    """
    chosen = _evenly(len(space), rows)
    near = others(space, k, of=chosen).rows
    return float((labels[near] == labels[chosen][:, None]).mean())


def _evenly(n: int, rows: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, rows)).astype(np.int64))


def raw_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn pixels (N, C, H, W) into vectors, to compare features with: levels in [0, 1]."""
    found: NDArray[np.float32] = np.divide(pixels.reshape(len(pixels), -1), 255, dtype=np.float32)
    return found


def colour_histograms(pixels: NDArray[np.uint8], *, steps: int = 4) -> NDArray[np.float32]:
    """Count colours of pixels (N, C, H, W): roots of shares, so that distances are Hellinger's.

    Each channel has `steps` levels, a grey one its third power.
    """
    count, channels = pixels.shape[:2]
    levels = steps if channels > 1 else steps**3
    code = np.zeros(pixels.shape[:1] + pixels.shape[2:], dtype=np.int64)
    for channel in range(channels):
        code = code * levels + pixels[:, channel].astype(np.int64) * levels // 256
    bins = levels**channels
    flat = code.reshape(count, -1) + bins * np.arange(count)[:, None]
    shares = np.bincount(flat.ravel(), minlength=bins * count).reshape(count, bins)
    found: NDArray[np.float32] = np.sqrt(shares / flat.shape[1]).astype(np.float32)
    return found
