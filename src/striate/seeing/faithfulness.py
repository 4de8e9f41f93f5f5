"""How much of the neighbourhoods a map keeps, and how much classes lie together in a space.

Trustworthiness is that of Venna and Kaski (2001).
"""

import numpy as np
from numpy.typing import NDArray

from .neighbours import Vectors, others

K = 10  # neighbours
ROWS = 2000  # looked at of more pictures: the mean of so many is known to a point


def recall(space: Vectors, placed: Vectors, k: int = K) -> float:
    """Return the share of each vector's k nearest others that are also its nearest on the map."""
    true, shown = others(space, k).rows, others(placed, k).rows
    shared = [len(np.intersect1d(a, b)) for a, b in zip(true, shown, strict=True)]
    return sum(shared) / max(1, true.size)


def trustworthiness(space: Vectors, placed: Vectors, k: int = K, *, rows: int = ROWS) -> float:
    """Return how near, by rank, the map's k neighbours are in the space: 1 where all are true ones.

    Of many vectors `rows` are looked at, evenly; their neighbours are sought among all.
    """
    n = len(space)
    chosen = _evenly(n, rows)
    shown = others(placed, k, of=chosen).rows
    lost = 0
    exact = space.astype(np.float64)
    for row, places in zip(chosen, shown, strict=True):
        gap = exact - exact[row]
        distances = np.einsum("nd,nd->n", gap, gap)
        distances[row] = -1
        # A rank counts from 1 for the nearest; the vector itself comes before all.
        ranks = (distances[None] < distances[places][:, None]).sum(1)
        lost += int(np.maximum(ranks - k, 0).sum())
    return 1 - 2 * lost / (len(chosen) * k * (2 * n - 3 * k - 1))


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
