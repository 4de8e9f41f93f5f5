"""Classes in a few groups by similarity, for colours that several share."""

import numpy as np
from numpy.typing import NDArray

MOST = 10


def class_groups(
    vectors: NDArray[np.floating], labels: NDArray[np.int64], count: int, *, most: int = MOST
) -> NDArray[np.int64]:
    """Return the group of each of `count` classes, by the mean vectors of their pictures: (K,).

    Up to `most` classes each is a group of its own, in its order; of more, those whose
    means are near are joined by Ward's criterion. A class without pictures is in the last group.
    """
    if count <= most:
        return np.arange(count)
    from scipy.cluster import hierarchy

    there = np.unique(labels[labels >= 0])
    found = np.full(count, most - 1, dtype=np.int64)
    means = np.stack([vectors[labels == label].mean(0, dtype=np.float64) for label in there])
    # Ward's criterion gives groups of similar sizes, where average linkage splits off single ones.
    tree = hierarchy.linkage(means, "ward") if len(there) > 1 else None
    if tree is not None:
        found[there] = hierarchy.fcluster(tree, most, "maxclust") - 1
    return found
