"""Our map of 1,000 digits beside scikit-learn's exact t-SNE: loss, recall, trustworthiness.

    python benchmarks/placement.py

The loss is computed for both by one evaluator, densely (perplexity 30).
"""

import time

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities

from striate.seeing import faithfulness, placement

Array = NDArray[np.floating]


def divergence(vectors: Array, placed: Array) -> float:
    """Compute t-SNE's loss exactly."""
    squares = squareform(pdist(vectors.astype(np.float64), "sqeuclidean")).astype(np.float32)
    p = np.maximum(_joint_probabilities(squares, 30, 0), 1e-300)
    q = 1 / (1 + pdist(placed.astype(np.float64), "sqeuclidean"))
    q = np.maximum(q / (2 * q.sum()), 1e-300)
    return float(2 * p @ np.log(p / q))


def exact(vectors: Array) -> Array:
    """Place by scikit-learn without any approximation, in 750 steps."""
    engine = TSNE(method="exact", init="pca", perplexity=30, random_state=0, max_iter=750)
    found: Array = engine.fit_transform(placement.main_axes(vectors, placement.AXES))
    return found


def main() -> None:
    """Print a line for each way."""
    vectors = load_digits().data[:1000].astype(np.float32)
    for name, place in (("ours", placement.place), ("exact", exact)):
        start = time.process_time()
        placed = place(vectors)
        seconds = time.process_time() - start
        kept = faithfulness.recall(vectors, placed)
        trust = faithfulness.trustworthiness(vectors, placed)
        loss = divergence(vectors, placed)
        print(f"{name:6} loss {loss:.4f}  recall@10 {kept:.4f}  trust {trust:.4f}  {seconds:.1f} s")


if __name__ == "__main__":
    main()
