"""Pictures on a map: t-SNE (van der Maaten and Hinton 2008) by openTSNE, the same each time.

Started from the two main axes and with a learning rate of n / 12, as Kobak and Berens (2019,
https://doi.org/10.1038/s41467-019-13056-x) advise.
"""

import importlib.util

import numpy as np
import torch
from numpy.typing import NDArray

from striate.errors import UsageError

from .neighbours import others

AXES = 50  # main axes that are kept of longer vectors
PERPLEXITY = 30.0
EXAGGERATION = 12.0
LEAST = 10  # pictures
MANY = 10_000  # pictures from which on the engine takes a faster transform, and several threads
FEW = 3_000  # up to here the forces are summed nearly exactly, and 250 steps more are taken
_SLOWEST = 200.0  # learning rate
_START = 1e-4  # standard deviation of the start along the first axis


def check() -> None:
    """Raise UsageError where the engine is not installed."""
    if importlib.util.find_spec("openTSNE") is None:
        raise UsageError("maps are placed by openTSNE, which is not here: `pip install openTSNE`")


def place(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Place vectors (N, D) on a plane so that neighbours stay together: (N, 2), in no unit."""
    check()
    if len(vectors) < LEAST:
        raise UsageError(f"a map is of {LEAST} pictures or more, not {len(vectors)}")
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    reduced = main_axes(vectors, AXES)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    near = others(reduced, int(3 * perplexity))
    affinities = PerplexityBasedNN(
        perplexity=perplexity, knn_index=PrecomputedNeighbors(near.rows, near.distances)
    )
    start = main_axes(reduced, 2)
    start *= _START / (start[:, 0].std() or 1.0)
    few = len(vectors) <= FEW
    engine = TSNE(
        early_exaggeration=EXAGGERATION,
        learning_rate=max(_SLOWEST, len(vectors) / EXAGGERATION),
        negative_gradient_method="bh" if len(vectors) < MANY else "fft",
        theta=0.2 if few else 0.5,
        n_iter=750 if few else 500,
        # Threads that wait for each other at each step cost more than they bring to few.
        n_jobs=torch.get_num_threads() if len(vectors) >= MANY else 1,
        random_state=0,
    )
    placed = engine.fit(affinities=affinities, initialization=start)
    return np.asarray(placed, dtype=np.float32)


def main_axes(vectors: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Turn vectors (N, D) to their main axes and keep at most `count`; each with a fixed sign."""
    from sklearn.decomposition import PCA

    kept = min(count, *vectors.shape)
    found: NDArray[np.float64] = PCA(kept, random_state=0).fit_transform(vectors.astype(np.float64))
    if kept < count <= 2:  # of vectors of one number: a line
        found = np.pad(found, ((0, 0), (0, count - kept)))
    return found
