"""Maps of pictures against scikit-learn's exact t-SNE, and how far neighbours stay together."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.seeing import faithfulness, neighbours, placement

Array = NDArray[np.floating]


def digits(count: int) -> tuple[Array, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    vectors, labels = load_digits(return_X_y=True)
    return vectors[:count].astype(np.float32), labels[:count].astype(np.int64)


@given(
    st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 5), st.integers(1, 9), st.booleans()
)
def test_neighbours_are_those_of_brute_force(
    seed: int, count: int, size: int, k: int, ties: bool
) -> None:
    random = np.random.default_rng(seed)
    known = random.normal(1000, 1, (count, size)).astype(np.float32)
    if ties:
        known = known.round()
    queries = random.permutation(known)[:7]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK", 3 * count)  # three rows at once
        patch.setattr(neighbours, "_SPARE", count if ties else 2)
        found, own = neighbours.nearest(queries, known, k), neighbours.others(known, k)
    gaps = queries[:, None].astype(np.float64) - known
    expected = np.sqrt((gaps**2).sum(2))
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_allclose(found.distances, np.take_along_axis(expected, order, 1), rtol=1e-12)
    assert np.array_equal(found.rows, order)
    assert own.rows.shape == (count, min(k, count - 1))
    assert not (own.rows == np.arange(count)[:, None]).any()


@given(st.integers(0, 10**6), st.integers(20, 50), st.integers(1, 6))
def test_trustworthiness_is_scikit_learns(seed: int, count: int, k: int) -> None:
    from sklearn.manifold import trustworthiness

    random = np.random.default_rng(seed)
    space = random.normal(size=(count, 5))
    placed = space[:, :2] + random.normal(scale=0.5, size=(count, 2))
    expected = trustworthiness(space, placed, n_neighbors=k)
    found = faithfulness.trustworthiness(space, placed, k)
    assert found == pytest.approx(expected, abs=1e-12)
    assert faithfulness.trustworthiness(space, space, k) == 1
    assert faithfulness.recall(space, space, k) == 1
    shared = faithfulness.recall(space, placed, k) * count * k
    assert shared == pytest.approx(round(shared))


@given(st.integers(0, 10**6), st.integers(20, 40), st.integers(1, 4), st.booleans())
def test_ranks_are_those_of_distances_measured_one_by_one(
    seed: int, count: int, k: int, ties: bool
) -> None:
    random = np.random.default_rng(seed)
    space = random.normal(1000, 1, (count, 3)).astype(np.float32)
    space = space.round() if ties else space
    placed = random.normal(size=(count, 2))
    shown = neighbours.others(placed, k).rows
    gaps = np.square(space[:, None].astype(np.float64) - space).sum(2)
    np.fill_diagonal(gaps, -1)
    ranks = (gaps[:, None] < np.take_along_axis(gaps, shown, 1)[:, :, None]).sum(2)
    lost = int(np.maximum(ranks - k, 0).sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faithfulness, "_HELD", 3 * count)  # three rows at once
        found = faithfulness.trustworthiness(space, placed, k)
    assert found == pytest.approx(1 - 2 * lost / (count * k * (2 * count - 3 * k - 1)), abs=1e-12)


def test_purity_counts_neighbours_of_the_own_class() -> None:
    space = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    labels = np.array([0, 0, 0, 1, 1, 0])
    assert faithfulness.purity(space, labels, k=2) == pytest.approx((2 + 2 + 2 + 1 + 1 + 0) / 12)


@given(st.integers(0, 1000), st.sampled_from([1, 3]))
def test_colours_are_counted_wherever_they_are(seed: int, channels: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (3, channels, 4, 5)).astype(np.uint8)
    found = faithfulness.colour_histograms(pixels)
    assert found.shape == (3, 64)
    np.testing.assert_allclose((found**2).sum(1), 1, rtol=1e-5)
    order = random.permutation(20)
    moved = pixels.reshape(3, channels, 20)[:, :, order].reshape(pixels.shape)
    assert np.array_equal(faithfulness.colour_histograms(moved), found)
    if channels == 3:
        one = np.array([[[[255]], [[0]], [[130]]]], dtype=np.uint8)
        assert faithfulness.colour_histograms(one).argmax() == 3 * 16 + 0 * 4 + 2


# The map


def divergence(vectors: Array, placed: Array) -> float:
    """Compute t-SNE's loss exactly: dense, by scikit-learn's probabilities (perplexity 30)."""
    from scipy.spatial.distance import pdist, squareform
    from sklearn.manifold._t_sne import _joint_probabilities

    squares = squareform(pdist(vectors.astype(np.float64), "sqeuclidean")).astype(np.float32)
    p = np.maximum(_joint_probabilities(squares, 30, 0), 1e-300)
    q = 1 / (1 + pdist(placed.astype(np.float64), "sqeuclidean"))
    q = np.maximum(q / (2 * q.sum()), 1e-300)
    return float(2 * p @ np.log(p / q))


# Loss and recall of scikit-learn 1.9.1's exact map of these digits: benchmarks/placement.py.
EXACT = 0.4979, 0.6581


def as_good(vectors: Array, placed: Array) -> bool:
    """Tell whether loss and recall are within 2 % of the exact map's, or better."""
    loss, kept = divergence(vectors, placed), faithfulness.recall(vectors, placed)
    return loss <= 1.02 * EXACT[0] and kept >= 0.98 * EXACT[1]


def test_a_map_is_as_good_as_the_exact_one() -> None:
    vectors, _ = digits(1000)
    placed = placement.place(vectors)
    assert as_good(vectors, placed)
    assert faithfulness.trustworthiness(vectors, placed) >= 0.98
    order = np.random.default_rng(0).permutation(len(vectors))
    assert not as_good(vectors, placed[order])
    assert not as_good(vectors, placement.main_axes(vectors, 2))


def test_a_map_is_the_same_each_time() -> None:
    vectors, labels = digits(200)
    found = [placement.place(vectors) for _ in range(2)]
    assert np.array_equal(found[0], found[1])
    assert faithfulness.purity(found[0], labels) > 0.8


def test_few_pictures_and_no_engine_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="10 pictures or more, not 4"):
        placement.place(np.zeros((4, 3)))
    assert placement.place(np.random.default_rng(0).normal(size=(10, 1))).shape == (10, 2)
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install openTSNE"):
        placement.place(np.zeros((20, 3)))
