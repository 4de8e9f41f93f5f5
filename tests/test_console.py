"""Lines and tables on a terminal: as wide as it is, and no word in two."""

import io
import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from striate import console

WORDS = st.text(st.sampled_from("ab[]/.%é漢"), min_size=1, max_size=30)
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


class Screen(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, columns: int) -> Screen:
    """Put a terminal of so many columns in stdout's place."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", screen)
    return screen


@given(TEXTS, st.integers(10, 100))
def test_a_line_breaks_between_words_only(line: str, room: int) -> None:
    wrapped = console.wrapped(line, room)
    assert wrapped.split() == line.split()
    for part in wrapped.splitlines():
        assert cell_len(part) <= room or len(part.split()) == 1 or re.search(r"\d (%|s|h)", part)


@given(WORDS, st.integers(3, 40))
def test_a_shortened_word_fits(word: str, room: int) -> None:
    short = console.shortened(word, room)
    assert cell_len(short) <= room
    assert (short == word) == (cell_len(word) <= room)


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 10**6).map(str)), min_size=1, max_size=4),
    columns=st.sampled_from([50, 60, 80]),
)
def test_a_table_fits_the_terminal_and_its_words_and_numbers_are_whole(
    rows: list[tuple[str, str, str]], columns: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        screen = printed(patched, columns)
        console.table(["file", "class", "count"], rows)
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert all(cell_len(line) <= columns for line in text.splitlines())
    shown = text.split()
    for row in rows:
        assert row[-1] in shown
        for word in " ".join(row[:-1]).split():
            if cell_len(word) <= console.SHORTEST:
                assert word in shown, "neither cut, nor taken for markup"


@given(columns=st.integers(3, 12), room=st.sampled_from([60, 80]))
def test_what_does_not_fit_beside_stands_below_with_the_first_column(
    columns: int, room: int
) -> None:
    names = [f"setting-with-a-long-name-{k}-of-several" for k in range(3)]
    rows = [[name, *(f"{k}.{i} ± 0.11 %" for i in range(columns))] for k, name in enumerate(names)]
    heads = ["", *(f"measured thing-{i}" for i in range(columns))]
    with pytest.MonkeyPatch.context() as patched:
        screen = printed(patched, room)
        console.table(heads, rows)
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert all(cell_len(line) <= room for line in text.splitlines())
    shown = text.split()
    for cells in (heads, *(row[1:] for row in rows)):
        for word in " ".join(cells).split():
            assert word in shown, "none is cropped"
    parts = text.split("\n\n")
    for part in parts:
        starts = {line.split()[0] for line in part.splitlines() if "setting" in line or "…" in line}
        assert len(starts) == len(names), "rows are told apart in each part"


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_names_are_never_markup(rows: list[tuple[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        stream = io.StringIO()
        patched.setattr("sys.stdout", stream)
        console.table(["file", "class"], rows)
    lines = stream.getvalue().splitlines()[1:]
    for (name, label), line in zip(rows, lines, strict=True):
        assert line.startswith(name)
        assert line.endswith(label)


def test_numbers_stand_at_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["class", "n", "share"], [["a", "1,000", "9.50 %"], ["b", "5", "100.00 %"]])
    rows = capsys.readouterr().out.splitlines()
    assert rows == ["class      n     share", "a      1,000    9.50 %", "b          5  100.00 %"]


def test_names_do_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = printed(monkeypatch, 80)
    console.table(["file\x1b[2J"], [["a\x1b]0;b\x07\u202ec"]])
    console.tell("d\x1b[2J")
    assert set(re.findall(r"\x1b.", screen.getvalue())) <= {"\x1b["}
    assert not re.search("\x1b\\[2J|[\x07\u202e]", screen.getvalue())


class Far(NamedTuple):
    """A reading that is far on."""

    done: int = 12_345
    total: int = 50_000
    kind: str = "pictures"
    work: str = ""


@pytest.mark.parametrize("columns", [80, 100])
def test_a_bar_is_one_line_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    screen = printed(monkeypatch, columns)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(console, "duration", lambda _: "59 min 59 s")
    with console.working("1/1 network timm/tf_efficientnet_lite0, seed 0") as watch:
        watch(Far())
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    bars = [line for line in re.split(r"[\r\n]+", text) if "seed 0" in line]
    assert bars
    assert all(cell_len(line) <= columns for line in bars)
    assert bars[-1].rstrip().endswith("12,345 of 50,000 pictures 59 min 59 s")
