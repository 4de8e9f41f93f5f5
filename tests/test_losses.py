"""Losses against torch, scikit-learn and their formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from striate.training.losses import Weighted, class_weights, cross_entropy, loss_of
from striate.training.recipe import Recipe

law = settings(deadline=None, derandomize=True, max_examples=60)
CPU = torch.device("cpu")


def drawn(n: int, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, k), labels (n,) and shares of classes (n, k)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, k, generator=generator).double()
    shares = torch.rand(n, k, generator=generator).double()
    return logits, torch.randint(k, (n,), generator=generator), shares / shares.sum(1, keepdim=True)


sizes = {"n": st.integers(1, 20), "k": st.integers(2, 7), "seed": st.integers(0, 1000)}


@given(smoothing=st.floats(0, 0.9), soft=st.booleans(), **sizes)
@law
def test_without_weights_and_focus_it_is_torchs_cross_entropy(
    smoothing: float, soft: bool, n: int, k: int, seed: int
) -> None:
    logits, labels, shares = drawn(n, k, seed)
    targets = shares if soft else labels
    even = Weighted(torch.ones(k, dtype=torch.float64), 0.0)
    if not soft:
        even = Weighted(torch.ones(k), 0.0)
        logits = logits.float()
    expected = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(even(logits, targets, smoothing=smoothing), expected)
    torch.testing.assert_close(cross_entropy(logits, targets, smoothing=smoothing), expected)


@given(**sizes)
@law
def test_weighted_cross_entropy_is_torchs_but_for_the_mean(n: int, k: int, seed: int) -> None:
    logits, labels, _ = drawn(n, k, seed)
    weights = torch.rand(k) + 0.1
    found = Weighted(weights, 0.0)(logits.float(), labels, smoothing=0.0)
    theirs = F.cross_entropy(logits.float(), labels, weight=weights, reduction="sum") / n
    torch.testing.assert_close(found, theirs)


@given(focal=st.sampled_from([0.5, 1.0, 2.0, 5.0]), smoothing=st.floats(0, 0.5), **sizes)
@law
def test_the_focal_loss_is_its_formula(
    focal: float, smoothing: float, n: int, k: int, seed: int
) -> None:
    logits, _, shares = drawn(n, k, seed)
    weights = torch.rand(k, dtype=torch.float64) + 0.1
    found = Weighted(weights, focal)(logits, shares, smoothing=smoothing)
    p = logits.softmax(1)
    total = 0.0
    for i in range(n):
        weight = sum(float(shares[i, c] * weights[c]) for c in range(k))
        for c in range(k):
            target = float(shares[i, c]) * (1 - smoothing) + smoothing / k
            total -= weight * target * (1 - float(p[i, c])) ** focal * float(p[i, c].log())
    assert float(found) == pytest.approx(total / n, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("focal", [0.5, 1.0, 2.0])
def test_what_is_known_for_certain_has_a_finite_slope(focal: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [0.0, 0.0]], requires_grad=True)
    loss = Weighted(torch.ones(2), focal)(logits, torch.tensor([0, 1]), smoothing=0.0)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[1].abs().max()) > 0


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=50))
@law
def test_balanced_weights_are_scikit_learns(labels: list[int]) -> None:
    own, there = torch.tensor(labels), sorted(set(labels))
    found = class_weights("balanced", own, 6)
    theirs = compute_class_weight("balanced", classes=np.array(there), y=labels)
    torch.testing.assert_close(found[there], torch.tensor(theirs).float())
    assert found[5] == 0
    for kind in ("none", "root", "balanced"):
        weights = class_weights(kind, own, 6)
        torch.testing.assert_close(weights[own].mean(), torch.tensor(1.0))
    rooted = class_weights("root", own, 6)[there] ** 2
    torch.testing.assert_close(rooted / rooted[0], found[there] / found[there][0])


def test_the_usual_loss_is_torchs_own() -> None:
    labels = torch.tensor([0, 0, 1])
    assert loss_of(Recipe(), labels, 2, CPU) is cross_entropy
    made = loss_of(Recipe(class_weights="balanced", focal=2.0), labels, 2, CPU)
    assert isinstance(made, Weighted)
    assert made.weights.tolist() == [0.75, 1.5]
    assert made.focal == 2.0
