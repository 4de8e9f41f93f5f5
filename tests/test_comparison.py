"""Two runs beside each other: counts, tests and intervals against references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from striate.errors import DataError, UsageError
from striate.seeing import Answers, compare, differences, mcnemar, paired


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemars_test_is_the_exact_binomial(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    found = mcnemar(first, second)
    assert found.both + found.first + found.second + found.neither == len(pairs)
    assert found.first == sum(a and not b for a, b in pairs)
    alone = found.first + found.second
    expected = stats.binomtest(found.first, alone).pvalue if alone else 1.0
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_many_pictures_are_no_trouble() -> None:
    first = np.arange(200_000) % 2 == 0
    assert mcnemar(first, ~first).p == pytest.approx(1.0)
    assert mcnemar(first, np.zeros_like(first)).p == 0.0


@given(
    st.dictionaries(st.integers(0, 9), st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2),
    st.sets(st.integers(10, 14)),
)
def test_paired_differences_have_students_interval(
    pairs: dict[int, tuple[float, float]], alone: set[int]
) -> None:
    first = {seed: pair[0] for seed, pair in pairs.items()} | dict.fromkeys(alone, 100.0)
    second = {seed: pair[1] for seed, pair in pairs.items()}
    found = paired(first, second)
    gaps = [second[seed] - first[seed] for seed in pairs]
    assert found.n == len(gaps)
    assert found.mean == pytest.approx(np.mean(gaps), abs=1e-12)
    if np.ptp(gaps) > 1e-6:
        low, high = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high))
    assert found.is_sure == (found.low > 0 or found.high < 0)


def test_one_seed_tells_no_difference() -> None:
    with pytest.raises(UsageError, match="two seeds or more that both settings have, not 1"):
        paired({0: 0.1, 1: 0.2}, {1: 0.3, 2: 0.4})


def answers(files: list[str], names: list[str], predicted: list[str], classes: str) -> Answers:
    """Answers that are sure of a class by 0.8."""
    places = {name: place for place, name in enumerate(classes)}
    shares = np.full((len(files), len(classes)), 0.2 / (len(classes) - 1))
    for row, name in enumerate(predicted):
        shares[row, places[name]] = 0.8
    labels = np.array([places[name] for name in names])
    return Answers("test", files, labels, shares, tuple(classes))


def test_answers_are_matched_by_names() -> None:
    first = answers(["1", "2", "3", "4"], list("aabc"), list("abbc"), "abc")
    second = answers(["4", "3", "5", "2"], list("cbda"), list("cdda"), "dcba")
    found = compare(first, second)
    assert found.files == ["2", "3", "4"]
    assert found.left_out == (1, 1)
    assert found.right.tolist() == [[False, True, True], [True, False, True]]
    assert found.test[:4] == (1, 1, 1, 0)
    assert found.probabilities.tolist() == [[0.8] * 3] * 2
    with pytest.raises(DataError, match="none in common"):
        compare(first, answers(["9"], ["a"], ["a"], "ab"))
    with pytest.raises(DataError, match="2 has another class in one run than in the other"):
        compare(first, answers(["2"], ["b"], ["a"], "ab"))


def test_choices_that_differ_are_listed() -> None:
    recipes = [
        {"model": "convnet", "rate": 0.1, "arguments": {"width": 8}},
        {"model": "convnet", "rate": 0.2, "arguments": {"norm": "none", "width": 8}, "clip": 1.0},
    ]
    assert differences(recipes) == {
        "rate": [0.1, 0.2],
        "arguments.norm": [None, "none"],
        "clip": [None, 1.0],
    }
    assert differences(recipes[:1] * 3) == {}
