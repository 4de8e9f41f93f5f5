import json
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from torch import Tensor

from striate.errors import DataError
from striate.metrics import ROWS, as_json, measure, wilson


def draw(n: int, k: int, seed: int, *, levels: int = 0) -> tuple[Tensor, Tensor, list[str]]:
    """Logits, labels and names; with levels > 0 the logits are whole numbers with many ties."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=generator)
    if levels:
        logits = torch.randint(levels, (n, k), generator=generator).float()
    labels = torch.randint(k, (n,), generator=generator)
    return logits, labels, [f"class {i}" for i in range(k)]


sizes = {"n": st.integers(1, 60), "k": st.integers(1, 9), "seed": st.integers(0, 1000)}


@settings(deadline=None, derandomize=True, max_examples=60)
@given(n=st.integers(1, 60), k=st.integers(2, 9), seed=st.integers(0, 1000))
def test_counts_by_class_agree_with_sklearn(n: int, k: int, seed: int) -> None:
    logits, labels, classes = draw(n, k, seed)
    found = measure(logits, labels, classes)
    truth, predicted = labels.numpy(), logits.argmax(1).numpy()
    expected = oracle.confusion_matrix(truth, predicted, labels=range(k))
    np.testing.assert_array_equal(found.matrix, expected)
    scores = oracle.precision_recall_fscore_support(
        truth, predicted, labels=range(k), zero_division=np.nan
    )
    for key, column in zip(("precision", "recall", "f1", "n"), scores, strict=True):
        ours = [math.nan if row[key] is None else row[key] for row in found.per_class]
        np.testing.assert_allclose(ours, column, rtol=1e-12)
    assert [row["class"] for row in found.per_class] == classes


@settings(deadline=None, derandomize=True, max_examples=60)
@given(**sizes)
def test_accuracy_top5_and_loss_agree_with_sklearn(n: int, k: int, seed: int) -> None:
    logits, labels, classes = draw(n, k, seed)
    found = measure(logits, labels, classes)
    truth = labels.numpy()
    assert found.accuracy == oracle.accuracy_score(truth, logits.argmax(1).numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of predicted classes without pictures
        balanced = oracle.balanced_accuracy_score(truth, logits.argmax(1).numpy())
    assert found.balanced_accuracy == pytest.approx(balanced, rel=1e-12)
    assert found.n == n
    if k > 5:
        top = oracle.top_k_accuracy_score(truth, logits.numpy(), k=5, labels=range(k))
        assert found.top5 == pytest.approx(top)
    else:
        assert found.top5 == 1
    if k > 1:
        loss = oracle.log_loss(truth, logits.double().softmax(1).numpy(), labels=range(k))
        assert found.loss == pytest.approx(loss, rel=1e-9)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(**sizes, levels=st.integers(1, 3))
def test_of_equal_logits_the_first_counts(n: int, k: int, seed: int, levels: int) -> None:
    logits, labels, classes = draw(n, k, seed, levels=levels)
    found = measure(logits, labels, classes)
    orders = [sorted(range(k), key=lambda i: (-row[i], i)) for row in logits.tolist()]
    pairs = list(zip(orders, labels.tolist(), strict=True))
    assert found.accuracy == sum(order[0] == label for order, label in pairs) / n
    assert found.top5 == sum(label in order[:5] for order, label in pairs) / n


@settings(deadline=None, derandomize=True, max_examples=30)
@given(**sizes)
def test_confusions_are_the_rest_of_the_matrix_largest_first(n: int, k: int, seed: int) -> None:
    logits, labels, classes = draw(n, k, seed)
    found = measure(logits, labels, classes)
    expected = [
        (-found.matrix[i][j], i, j)
        for i in range(k)
        for j in range(k)
        if i != j and found.matrix[i][j]
    ]
    ours = [
        (-row["count"], classes.index(row["true"]), classes.index(row["predicted"]))
        for row in found.confusions
    ]
    assert ours == sorted(expected)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(
    correct: int, n: int, low: float, high: float
) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None, derandomize=True)
@given(n=st.integers(1, 10_000), share=st.floats(0, 1), z=st.floats(0.5, 4))
def test_wilson_bounds_are_where_the_score_is_z(n: int, share: float, z: float) -> None:
    correct = round(share * n)
    low, high = wilson(correct, n, z)
    assert 0 <= low <= correct / n <= high <= 1
    for bound in (low, high):
        distance = abs(correct / n - bound)
        assert distance == pytest.approx(z * math.sqrt(bound * (1 - bound) / n), abs=1e-9)
    mirrored = wilson(n - correct, n, z)
    assert (1 - high, 1 - low) == pytest.approx(mirrored)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_class_without_pictures_or_predictions_has_no_scores() -> None:
    logits = torch.tensor([[5.0, 0, 0], [5, 0, 0]])
    found = measure(logits, torch.tensor([0, 1]), ["seen", "missed", "absent"])
    assert found.per_class[1] == {
        "class": "missed",
        "n": 1,
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
    }
    assert found.per_class[2] == {
        "class": "absent",
        "n": 0,
        "precision": None,
        "recall": None,
        "f1": None,
    }
    assert found.confusions == [{"true": "missed", "predicted": "seen", "count": 1}]


def test_no_pictures_are_a_data_error() -> None:
    with pytest.raises(DataError, match="no pictures"):
        measure(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), ["a", "b", "c"])


def test_logits_that_are_not_finite_are_counted_by_picture() -> None:
    logits = torch.zeros(7, 3)
    logits[2] = math.nan
    logits[5, 1] = math.inf
    with pytest.raises(DataError, match="2 of 7 pictures"):
        measure(logits, torch.zeros(7, dtype=torch.long), ["a", "b", "c"])


def test_the_loss_is_exact_beyond_one_part_and_in_half_precision() -> None:
    logits, labels, classes = draw(2 * ROWS + 1, 2, seed=0)
    rough = logits.bfloat16()
    found = measure(rough, labels, classes)
    expected = torch.nn.functional.cross_entropy(rough.double(), labels).item()
    assert found.loss == pytest.approx(expected, rel=1e-12)
    far = measure(1000 * logits, labels, classes)
    assert math.isfinite(far.loss)


def test_json_holds_every_metric() -> None:
    logits, labels, classes = draw(20, 4, seed=1)
    found = measure(logits, labels, classes)
    document = as_json(found)
    assert list(document) == [
        "accuracy",
        "top5",
        "n",
        "interval",
        "balanced_accuracy",
        "loss",
        "per_class",
        "confusions",
        "matrix",
    ]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["interval"] == list(found.interval)
    assert document["matrix"] == found.matrix
