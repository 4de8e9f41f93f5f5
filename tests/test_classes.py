import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.classes import canonical, look_alikes

FORMS = ("NFC", "NFD")


@given(st.text(), st.sampled_from(FORMS), st.sampled_from(["", " ", "\t ", "\u00a0"]))
def test_every_way_to_write_a_name_has_one_canonical_form(name: str, form: str, blank: str) -> None:
    written = blank + unicodedata.normalize(form, name) + blank  # type: ignore[arg-type]
    assert canonical(name) == canonical(canonical(name))
    if name.strip():  # of a blank name nothing would be left
        assert canonical(written) == canonical(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "Cat"),
        ("cat", "cat "),
        ("fire truck", "fire  truck"),
        ("fire truck", "fire\u00a0truck"),
        ("café", "cafe\u0301"),
        ("Straße", "STRASSE"),
        ("cat", "\uff43\uff41\uff54"),
        ("cat", "ca\u200bt"),
    ],
)
def test_names_that_people_would_take_for_one_look_alike(one: str, other: str) -> None:
    assert look_alikes(["dog", one, "cow", other]) == [[one, other]]


def test_names_that_are_seen_to_differ_do_not_look_alike() -> None:
    assert look_alikes(["cat", "cats", "cut", "c at", "1", "01", "é", "e", ""]) == []
