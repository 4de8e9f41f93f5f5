"""How figures, counts and names are written."""

import ast
import itertools
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import striate
from striate import wording

PLURAL = re.compile(r" (pictures|sounds|clips|classes|copies|groups|pairs|files|threads|rows)\b")
SOURCES = sorted(Path(striate.__file__).parent.rglob("*.py"))


@given(st.integers(0, 10**9), st.sampled_from(["pictures", "class folders", "near-copies"]))
def test_only_one_thing_is_singular(count: int, things: str) -> None:
    number, _, noun = wording.counted(count, things).partition(" ")
    assert int(number.replace(",", "")) == count
    assert (noun == things) == (count != 1)


@given(st.floats(0, 59.9), st.floats(0, 1))
def test_a_longer_time_is_never_written_with_60(seconds: float, more: float) -> None:
    for time in (seconds, seconds + more, 60 * seconds, 3600 * seconds + more):
        assert not re.search(r"\b60(\.0)? (s|min)", wording.duration(time))


def names() -> st.SearchStrategy[str]:
    odd = st.characters(codec="utf-8") | st.sampled_from([chr(0xDC80 + i) for i in range(128)])
    return st.text(odd, min_size=1)


@given(names())
def test_a_name_is_shown_on_one_line_of_utf8_and_comes_back(name: str) -> None:
    text = wording.shown(name)
    text.encode()
    assert not re.search(r"[\x00-\x1f\x7f]", text)
    # Surrogates that together are UTF-8 are the characters that they spell.
    assert wording.original(text).encode("utf-8", "surrogateescape") == name.encode(
        "utf-8", "surrogateescape"
    )


def test_no_message_counts_by_hand() -> None:
    """A count before a plural would say "1 pictures"; a share has one form, but in drawings."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and (
                _counts(node) or ("figures" not in path.parts and _is_share(node))
            ):
                found.append(f"{path.name}, line {node.lineno}")
    assert found == []


def _counts(text: ast.JoinedStr) -> bool:
    for before, after in itertools.pairwise(text.values):
        if isinstance(before, ast.FormattedValue) and isinstance(after, ast.Constant):
            value = ast.unparse(before.value)
            is_count = value.startswith(("len(", "sum(")) or value.endswith("count")
            if is_count and PLURAL.match(str(after.value)):
                return True
    return False


def _is_share(text: ast.JoinedStr) -> bool:
    specs = [part.format_spec for part in text.values if isinstance(part, ast.FormattedValue)]
    return any(spec is not None and ast.unparse(spec).rstrip("'\"").endswith("%") for spec in specs)
