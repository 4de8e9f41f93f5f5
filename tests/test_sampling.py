"""The order of an epoch, and how often it shows what is rare."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data import sampling

law = settings(deadline=None, derandomize=True, max_examples=60)
LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(torch.tensor)


@given(labels=LABELS, seed=st.integers(0, 100), epoch=st.integers(0, 100))
@law
def test_a_balanced_epoch_shows_all_classes_equally_often(
    labels: torch.Tensor, seed: int, epoch: int
) -> None:
    rows = sampling.balanced(labels, seed=seed, epoch=epoch)
    assert torch.equal(rows, sampling.balanced(labels, seed=seed, epoch=epoch))
    assert len(rows) == len(labels)
    counts = torch.bincount(labels[rows])[labels.unique()]
    assert counts.max() - counts.min() <= 1
    for label in labels.unique():
        own = (labels == label).nonzero().squeeze(1)
        shown = torch.bincount(rows, minlength=len(labels))[own]
        assert shown.max() - shown.min() <= 1, "no example is shown twice before all were once"


def test_epochs_differ_and_all_examples_have_their_turn() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3)
    epochs = [sampling.balanced(labels, seed=0, epoch=epoch) for epoch in range(20)]
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], sampling.balanced(labels, seed=1, epoch=0))
    assert len(torch.cat(epochs).unique()) == 53


@given(rows=st.lists(st.integers(0, 9), min_size=1, max_size=40))
@law
def test_each_showing_has_a_place_of_its_own(rows: list[int]) -> None:
    places = sampling.places(torch.tensor(rows), 10).tolist()
    assert len(set(places)) == len(rows)
    seen: dict[int, int] = {}
    for row, place in zip(rows, places, strict=True):
        assert place == row + 10 * seen.get(row, 0), "the first showing is at the row itself"
        seen[row] = seen.get(row, 0) + 1


def test_a_natural_epoch_is_drawn_by_its_rows() -> None:
    rows = sampling.natural(torch.zeros(30), seed=2, epoch=3)
    assert torch.equal(rows.sort().values, torch.arange(30))
    assert torch.equal(sampling.places(rows, 30), rows)
