import dataclasses
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.classes import class_order
from striate.data.splits import (
    NAMES,
    SYNONYMS,
    Chosen,
    Data,
    Origin,
    Split,
    assigned,
    complete,
    cut,
    relabelled,
    split_name,
    taken,
)
from striate.errors import DataError, UsageError

COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=6)
SHARES = st.floats(0.01, 0.9)
SEEDS = st.integers(0, 2**63 - 1)


def split_of(counts: Sequence[int], name: str = "train") -> Split:
    """A split of numbered pictures; the labels are mixed."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    labels = np.random.default_rng(0).permutation(labels)
    rows = range(len(labels))
    return Split([f"picture {row}" for row in rows], labels, [f"{name}/{row}" for row in rows])


def data_of(**splits: Split) -> Data:
    classes = tuple(f"class {label}" for label in range(10))
    return Data("data", Origin("named", "data"), classes, splits, "")


def test_words_for_splits_are_known_in_any_case() -> None:
    assert set(SYNONYMS) == set(NAMES)
    for name, words in SYNONYMS.items():
        for word in words:
            assert split_name(word) == split_name(word.upper()) == split_name(word.title()) == name
    assert split_name("cats") is None


class Salted(str):
    """A text whose place in a set follows a salt, as every text's follows the hash seed."""

    salt = 0

    def __hash__(self) -> int:
        return hash((Salted.salt, str(self)))


@given(
    st.one_of(
        st.lists(st.text("0123456789", min_size=1, max_size=4), min_size=1),
        st.lists(st.text("0\u0663\uff171", min_size=1, max_size=3), min_size=1),
        st.lists(st.text(min_size=1, max_size=4), min_size=1),
    ),
    st.randoms(),
)
def test_the_order_of_classes_follows_from_their_names_alone(
    labels: list[str], random: Random
) -> None:
    expected = class_order(labels)
    assert sorted(expected) == sorted(set(labels))
    if all(label.isdecimal() for label in labels):
        assert [int(label) for label in expected] == sorted(map(int, set(labels)))
    for salt in range(4):
        Salted.salt = salt
        assert class_order(map(Salted, random.sample(labels, len(labels)))) == expected


def test_numbers_of_any_length_have_an_order() -> None:
    assert class_order(["1" + "0" * 5000, "9" * 5000]) == ("9" * 5000, "1" + "0" * 5000)


@given(COUNTS, SHARES, SEEDS)
def test_each_class_is_cut_to_within_one_picture(
    counts: list[int], share: float, seed: int
) -> None:
    split = split_of(counts)
    if max(counts) < 2:
        with pytest.raises(DataError, match="no class has two pictures left"):
            cut(split, share, seed=[seed])
        return
    _, out = cut(split, share, seed=[seed])
    for label, count in enumerate(counts):
        held = int((out.labels == label).sum())
        assert abs(held - share * count) <= 1
        assert held >= 1 or count == 1
        assert held < count


@given(COUNTS.filter(lambda counts: max(counts) > 1), SHARES, SEEDS)
def test_a_cut_loses_and_doubles_nothing(counts: list[int], share: float, seed: int) -> None:
    split = split_of(counts)
    stay, out = cut(split, share, seed=[seed])
    assert sorted([*stay.names, *out.names]) == sorted(split.names)
    for part in (stay, out):
        assert len(part) == len(part.names) == len(part.pictures) == len(part.labels)
        for row, name in enumerate(part.names):
            before = list(split.names).index(name)
            assert part.pictures[row] == split.pictures[before]
            assert part.labels[row] == split.labels[before]
    again = cut(split, share, seed=[seed])
    assert again[1].names == out.names


def test_another_seed_cuts_other_pictures() -> None:
    split = split_of([50, 50])
    found = {tuple(cut(split, 0.2, seed=[seed])[1].names) for seed in range(5)}
    assert len(found) == 5


@given(COUNTS.filter(lambda counts: min(counts) > 3), st.floats(0.01, 0.3), SEEDS)
def test_the_test_split_does_not_depend_on_the_validation_share(
    counts: list[int], share: float, seed: int
) -> None:
    tests = [
        complete(
            data_of(train=split_of(counts)), validation_share=other, test_share=share, seed=seed
        )["test"]
        for other in (0.0, 0.1, 0.3)
    ]
    assert tests[0].names == tests[1].names == tests[2].names


def test_splits_are_disjoint_complete_and_in_order() -> None:
    data = data_of(train=split_of([40, 30, 20]))
    found = complete(data, validation_share=0.1, test_share=0.2, seed=3)
    assert tuple(found) == NAMES
    names = [name for split in found.values() for name in split.names]
    assert sorted(names) == sorted(data.splits["train"].names)
    assert [len(split) for split in found.values()] == [65, 7, 18]


def test_no_share_makes_no_split() -> None:
    data = data_of(train=split_of([9, 9]))
    found = complete(data, validation_share=0, test_share=0, seed=0)
    assert found == {"train": data.splits["train"]}


@pytest.mark.parametrize("brought", ["validation", "test"])
def test_validation_is_cut_from_train_and_a_test_only_where_there_are_no_splits(
    brought: str,
) -> None:
    data = data_of(train=split_of([20, 20]), **{brought: split_of([5, 5], brought)})
    found = complete(data, validation_share=0.25, test_share=0.25, seed=0)
    assert found[brought] is data.splits[brought]
    if brought == "test":
        assert len(found["validation"]) == 10
        assert all(name.startswith("train/") for name in found["validation"].names)
    else:
        assert "test" not in found
        assert found["train"] is data.splits["train"]


@pytest.mark.parametrize("splits", [{}, {"test": split_of([3])}, {"train": split_of([0])}])
def test_data_without_training_pictures_are_refused(splits: dict[str, Split]) -> None:
    with pytest.raises(DataError, match="data has no training pictures"):
        complete(data_of(**splits), validation_share=0.1, test_share=0.1, seed=0)


def test_too_few_pictures_for_a_test_name_the_flags() -> None:
    with pytest.raises(DataError, match="--test-share 0"):
        complete(data_of(train=split_of([1, 1])), validation_share=0.1, test_share=0.5, seed=0)


@given(COUNTS, SHARES, SHARES, SEEDS)
def test_a_share_that_is_not_what_was_asked_for_is_said(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    shares = {"validation_share": validation, "test_share": test}
    data = data_of(train=split_of(counts))
    if max(counts) < 2:
        return
    made = complete(data, **shares, seed=seed)
    said = taken(data, made, **shares)
    whole = sum(counts)
    assert any("test" in line for line in said) == (abs(len(made["test"]) / whole - test) >= 0.02)
    left = whole - len(made["test"])
    if "validation" not in made:
        assert max(np.bincount(made["train"].labels)) == 1
        assert "no validation split: no class has two pictures left; the last epoch is kept" in said
    else:
        far = abs(len(made["validation"]) / left - validation) >= 0.02
        assert any("validation" in line for line in said) == far
        if far:
            assert f"({len(made['validation'])} of {left})" in said[-1]


def test_shares_of_splits_that_the_data_bring_are_not_spoken_of() -> None:
    parts = {name: split_of([3, 3], name) for name in NAMES}
    assert taken(data_of(**parts), parts, validation_share=0.9, test_share=0.9) == []


@given(COUNTS.filter(lambda counts: max(counts) > 3), SEEDS)
def test_saved_splits_come_back_as_they_were(counts: list[int], seed: int) -> None:
    data = data_of(train=split_of(counts), test=split_of([2, 2], "test"))
    made = complete(data, validation_share=0.3, test_share=0, seed=seed)
    table = {name: list(split.names) for name, split in made.items()}
    back = assigned(data, table, data.classes)
    for name, split in made.items():
        assert list(back[name].names) == list(split.names)
        assert list(back[name].pictures) == list(split.pictures)
        np.testing.assert_array_equal(back[name].labels, split.labels)


@given(COUNTS, st.permutations(range(12)), st.data())
def test_labels_are_matched_by_name_whatever_classes_there_are_today(
    counts: list[int], order: list[int], draw: st.DataObject
) -> None:
    """Classes have come, gone, and stand in another order; pictures have changed their splits."""
    split = split_of(counts)
    names = [f"class {label}" for label in range(10)]
    known = dict(zip(split.names, (names[label] for label in split.labels), strict=True))
    # Today's list has two classes more, and misses those that have no pictures.
    kept = [n for n in order if n >= len(names) or n < len(counts) or draw.draw(st.booleans())]
    today = [f"class {number}" for number in kept]
    labels = np.array([today.index(known[name]) for name in split.names])
    moved = draw.draw(st.sets(st.sampled_from(range(len(split)))))
    rows = {
        "train": np.array([r for r in range(len(split)) if r not in moved], dtype=np.int64),
        "test": np.array(sorted(moved), dtype=np.int64),
    }
    whole = dataclasses.replace(split, labels=labels)
    parts = {name: whole.take(places) for name, places in rows.items()}
    data = Data("data", Origin("named", "data"), tuple(today), parts, "")
    (back,) = assigned(data, {"train": list(split.names)}, names).values()
    assert list(back.names) == list(split.names)
    assert list(back.pictures) == list(split.pictures)
    assert [names[label] for label in back.labels] == list(known.values())
    assert relabelled(back, names, known) is None


def test_accents_may_be_coded_anew() -> None:
    """As when a folder moves from one system's disk to another's."""
    composed, apart = ("caf\u00e9", "th\u00e9"), ("cafe\u0301", "the\u0301")
    names = [f"{name}/{row}.png" for row in range(3) for name in apart]
    split = Split(list(names), np.array([0, 1] * 3), names)
    data = Data("data", Origin("folder", "data"), apart, {"train": split}, "")
    table = [f"{name}/{row}.png" for row in range(3) for name in reversed(composed)]
    (back,) = assigned(data, {"train": table}, composed).values()
    assert list(back.names) == table
    assert [composed[label] for label in back.labels] == [name.split("/")[0] for name in table]


def test_a_class_that_a_run_does_not_know_is_named() -> None:
    with pytest.raises(DataError, match=r"1 class that this network does not know \('class 1'\)"):
        assigned(data_of(train=split_of([2, 2])), {"train": ["train/0", "train/3"]}, ["class 0"])


def test_a_picture_that_is_gone_is_counted_and_named() -> None:
    data = data_of(train=split_of([2, 2]))
    with pytest.raises(DataError, match="2 of this run's pictures are gone from data, the first"):
        assigned(data, {"train": ["train/0", "train/7", "train/8"]}, data.classes)


def test_an_unknown_split_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown split 'tests': did you mean test"):
        data_of(train=split_of([1]), test=split_of([1])).split("tests")


@given(st.lists(st.integers(0, 9), max_size=20))
def test_chosen_items_are_those_of_the_sequence(rows: list[int]) -> None:
    chosen = Chosen("abcdefghij", np.array(rows, dtype=np.int64))
    assert "".join(chosen) == "".join("abcdefghij"[row] for row in rows)


def test_an_array_of_pictures_stays_an_array() -> None:
    pictures = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    split = Split(pictures, np.zeros(6, np.int64), list("abcdef"))
    kept = split.take(np.array([5, 0]))
    np.testing.assert_array_equal(kept.pictures, pictures[[5, 0]])
    assert kept.names == ["f", "a"]
