import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import SHOWN, UsageError, choose

NAMES = ["convnet", "mlp", "ResNet18", "resnet34"]


@given(st.lists(st.text(), min_size=1))
def test_a_name_that_is_allowed_comes_back(names: list[str]) -> None:
    assert choose("thing", names[-1], names) == names[-1]


@given(st.text().filter(lambda text: text not in NAMES))
def test_any_other_name_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose("model", given, NAMES)
    assert len(str(caught.value).splitlines()) == 1
    assert all(name in str(caught.value) for name in NAMES)


@pytest.mark.parametrize(
    ("given", "near"), [("convnt", "convnet"), ("MLP", "mlp"), ("resnet18", "ResNet18")]
)
def test_near_names_are_proposed_whatever_their_case(given: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown model '{given}': did you mean {near}"):
        choose("model", given, NAMES)


def test_a_long_list_is_cut_and_counted() -> None:
    with pytest.raises(UsageError) as caught:
        choose("number", "x", map(str, range(1000)))
    assert str(caught.value).endswith(f", {SHOWN - 1}, ... (1000 in all)")


def test_an_empty_list_is_said_to_be_empty() -> None:
    with pytest.raises(UsageError, match="unknown split 'test': there is none"):
        choose("split", "test", [])
