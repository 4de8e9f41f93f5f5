import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from striate import figures
from striate.epochs import best as best_row
from striate.figures import style
from striate.figures.curves import best, scale_loss
from striate.figures.sheet import WIDE, Columns, caption_lines, resized

Pixels = NDArray[np.uint8]
RED, WHITE = (255, 0, 0), (255, 255, 255)
AWKWARD = "$x_1$ \\frac{a}{b} $\nüß 日本 😀 👩‍🔬\x00\t\ud800 \U000130b8\r\nthird\nfourth $\n\n"


def history(epochs: int, *, validation: bool = True) -> list[dict[str, float]]:
    rows = [
        {"epoch": i, "train_loss": 2 / i, "train_accuracy": 1 - 0.9 / i, "rate": 0.1 / i}
        for i in range(1, epochs + 1)
    ]
    if validation:
        for row in rows:
            row["validation_loss"] = row["train_loss"] + 0.1
            row["validation_accuracy"] = row["train_accuracy"] - 0.05
    return rows


def pixels(content: bytes) -> Pixels:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"))


def count(drawn: Pixels, colour: tuple[int, int, int]) -> int:
    return int((drawn == colour).all(axis=2).sum())


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def plain(colour: tuple[int, int, int], height: int = 8, width: int = 8) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.uint8)


@pytest.mark.parametrize("epochs", [0, 1, 2, 60, 300])
@pytest.mark.parametrize("validation", [True, False])
def test_curves_of_any_length_fill_the_width(epochs: int, validation: bool) -> None:
    drawn = pixels(figures.curves(history(epochs, validation=validation), "title"))
    assert drawn.shape[1] == 1600
    assert 500 < drawn.shape[0] < 700
    assert (drawn[:, [0, -1]] == 255).all(), "ink at the edge: something is cut off"
    assert (drawn[[0, -1]] == 255).all()
    assert (count(drawn, rgb(style.BLUE)) > 0) == (epochs > 0)
    assert (count(drawn, rgb(style.ORANGE)) > 0) == (validation and epochs > 0)


def by_step(epochs: int, an_epoch: int) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    rows = [{**row, "step": an_epoch * row["epoch"]} for row in history(epochs)]
    points = [
        {"step": i, "train_loss": 2 / i, "train_accuracy": 1 - 0.9 / i, "rate": 0.1 / i}
        for i in range(1, an_epoch * epochs + 1)
    ]
    return rows, points


def test_curves_of_a_short_run_are_drawn_by_step() -> None:
    rows, points = by_step(1, 20)
    fine, coarse = (
        count(pixels(figures.curves(rows, by_step=found)), rgb(style.BLUE))
        for found in (points, points[-1:])
    )
    assert fine > 4 * coarse > 0, "an epoch alone is one dot"
    assert count(pixels(figures.curves(rows, by_step=points)), rgb(style.ORANGE)) > 0
    assert (pixels(figures.curves(rows, by_step=points))[:, [0, -1]] == 255).all()


def test_curves_leave_out_what_is_not_finite_or_not_there() -> None:
    rows = history(6)
    del rows[1]["validation_loss"], rows[1]["validation_accuracy"]
    rows[2]["train_loss"] = float("nan")
    rows[3]["validation_loss"] = float("inf")
    rows[5]["validation_loss"] = float("nan")  # of the best epoch
    assert count(pixels(figures.curves(rows)), rgb(style.ORANGE)) > 0
    broken = [{**row, "train_loss": float("nan")} for row in history(3, validation=False)]
    assert pixels(figures.curves(broken)).shape[1] == 1600


def test_the_best_epoch_is_that_of_the_run() -> None:
    rows = history(5)
    for row, accuracy in zip(rows, (0.1, 0.8, 0.3, 0.8, 0.8), strict=True):
        row["validation_accuracy"] = accuracy
    for row, loss in zip(rows, (0.1, 0.5, 0.1, 0.4, 0.4), strict=True):
        row["validation_loss"] = loss
    assert best(rows)[0] is rows[4] is best_row(rows), "the later of equals"
    rows[3]["validation_loss"] = 0.3
    assert best(rows)[0] is rows[3] is best_row(rows), "the lower loss"
    rows[1]["validation_accuracy"] = 0.81
    assert best(rows)[0] is rows[1] is best_row(rows), "the higher accuracy"
    rows[1]["validation_loss"] = float("nan")
    assert best(rows)[0] is rows[1]
    assert best(history(5, validation=False))[1] == "train"


@pytest.mark.parametrize(
    ("low", "scale"), [(0.01, "log"), (1e-5, "log"), (1.0, "linear"), (0.0, "linear")]
)
def test_the_loss_axis_is_logarithmic_where_losses_fall_far(low: float, scale: str) -> None:
    axes = style.panel(style.canvas(600, 400), 100, 50, 400, 300)
    scale_loss(axes, [2.0, low])
    assert axes.get_yscale() == scale
    bottom, top = axes.get_ylim()
    assert bottom <= low < 2 < top
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert 2 <= len(ticks) <= 12


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1, "0.1"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (200, "200")]
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert style.short_number(value) == text


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 17])
def test_a_sheet_shows_every_picture_in_its_colour(number: int) -> None:
    images = [plain(RED)] * number
    drawn = pixels(figures.sheet(images, ["red"] * number, title="Sheet"))
    assert drawn.shape[1] <= 1600
    shown = count(drawn, RED)
    assert shown % max(1, number) == 0
    assert shown == number * (shown // max(1, number))
    assert (shown > 0) == (number > 0)
    assert (drawn[:, [0, -1]] == 255).all()
    assert (drawn[[0, -1]] == 255).all()


def test_small_pictures_become_equal_square_dots() -> None:
    board = ((np.indices((8, 8)).sum(axis=0) % 2) * 200).astype(np.uint8)
    drawn = resized(board, 170)
    dots = drawn.reshape(8, 21, 8, 21, 3)
    assert (dots == dots[:, :1, :, :1]).all()
    np.testing.assert_array_equal(dots[:, 0, :, 0, 0], board)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    box=st.integers(1, 300),
    grey=st.booleans(),
)
def test_a_resized_picture_fits_its_box_and_keeps_its_shape(
    height: int, width: int, box: int, grey: bool
) -> None:
    image = np.full((height, width) if grey else (height, width, 3), 77, dtype=np.uint8)
    drawn = resized(image, box)
    assert max(drawn.shape[:2]) <= box
    assert max(drawn.shape[:2]) > 0.74 * box
    wanted = max(drawn.shape[:2]) * min(height, width) / max(height, width)
    assert min(drawn.shape[:2]) == pytest.approx(wanted, abs=1)
    assert (drawn == 77).all()


def test_a_sheet_keeps_its_order_and_columns() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    drawn = pixels(figures.sheet([plain(c) for c in colours], ["", "", ""], columns=2))
    middles = [np.argwhere((drawn == c).all(axis=2)).mean(axis=0) for c in colours]
    red, green, blue = middles
    assert red[0] == green[0] < blue[0]
    assert red[1] == blue[1] < green[1]


@pytest.mark.filterwarnings("error")
def test_captions_and_titles_may_hold_anything() -> None:
    drawn = pixels(figures.sheet([plain(RED)], [AWKWARD], title=AWKWARD))
    assert count(drawn, RED) > 0
    names = [AWKWARD, "b", "", "$"]
    assert pixels(figures.confusion(np.eye(4, dtype=int).tolist(), names)).shape[2] == 3
    figures.curves(history(2), AWKWARD)


def test_a_dollar_is_drawn_as_it_is() -> None:
    one, other = (figures.sheet([], [], title=title) for title in ("$x_1$", "x1"))
    assert style.shorten("$x_1$", 500, 9) == "$x_1$"
    ink = [int((pixels(content) < 128).any(axis=2).sum()) for content in (one, other)]
    assert ink[0] > 1.5 * ink[1]


@pytest.mark.parametrize("name", ["Staffordshire bullterrier puppy", "animals/dogs/golden 17"])
def test_a_mistake_keeps_what_it_was_taken_for_and_the_end_of_its_file(name: str) -> None:
    caption = figures.mistake(name, name, "82 %", f"/photos/{name}/IMG_0001.jpg")
    true, predicted, sure, file = caption_lines(caption, 200)
    for word, line in (("true", true), ("predicted", predicted)):
        assert line.startswith(f"{word} {name[:3]}")
        assert line.endswith(name[-6:])
    assert sure == "82 % sure"
    assert file.startswith("…")
    assert file.endswith("/IMG_0001.jpg")


def test_a_mistake_says_names_of_usual_length_whole() -> None:
    caption = figures.mistake("english_springer", "golden retriever", "7 %", "all/1")
    assert caption_lines(caption, Columns(WIDE).pitch - style.GAP) == [
        *("true english_springer", "predicted golden retriever", "7 % sure", "all/1")
    ]


@pytest.mark.parametrize("number", [1, 4, 5, 8, 12])
def test_groups_of_a_sheet_stand_apart(number: int) -> None:
    drawn = pixels(figures.sheet([plain(RED)] * number, [""] * number, columns=8, group=4))
    assert drawn.shape[1] <= 1600
    assert (drawn[:, [0, -1]] == 255).all()
    columns = np.flatnonzero((drawn == RED).all(axis=2).any(axis=0))
    gaps = np.diff(columns)[np.diff(columns) > 1]
    wide = [place for place, gap in enumerate(gaps) if gap > 1.5 * gaps.min()]
    assert wide == ([3] if number > 4 else [])


def test_captions_keep_three_lines() -> None:
    assert caption_lines("a\nb\nc", 170) == ["a", "b", "c"]
    assert caption_lines("a\nb\nc\nd", 170) == ["a", "b", "c …"]
    assert caption_lines("", 170) == []


@settings(deadline=None, derandomize=True, max_examples=60)
@given(text=st.text(max_size=60), room=st.integers(60, 400), ending=st.sampled_from([0, 2, 60]))
def test_shortened_text_fits_the_room(text: str, room: int, ending: int) -> None:
    shown = style.shorten(text, room, 8, ending=ending)
    assert style.length(shown, 8) <= room
    assert "\n" not in shown
    assert all(style.drawable(letter) for letter in shown)


def test_long_text_ends_in_dots_and_can_keep_its_ending() -> None:
    name = "a very long class name of which only the number differs 17"
    assert style.shorten(name, 200, 8).endswith("…")
    assert style.shorten(name, 200, 8, ending=3).endswith("… 17")
    assert style.shorten("x" * 100_000, 200, 8).endswith("x…")


def test_the_overview_is_curves_above_mistakes() -> None:
    drawn = pixels(figures.overview(history(5), [plain(RED)] * 3, ["a"] * 3, "run", note="worst"))
    assert drawn.shape[1] == 1600
    below = int(np.argwhere((drawn == RED).all(axis=2))[0][0])
    curve = np.argwhere((drawn == rgb(style.BLUE)).all(axis=2))
    assert curve[:, 0].max() < below
    alone = pixels(figures.overview(history(5), [], [], "run", note="no mistakes among 9 pictures"))
    assert alone.shape[0] < drawn.shape[0]
    assert count(alone[-76:], rgb(style.INK)) > 100, "the note is missing"


@pytest.mark.parametrize("k", [1, 2, 10, 20, 21, 100, 150])
def test_a_confusion_of_any_size_fits_its_picture(k: int) -> None:
    matrix = np.eye(k, dtype=int) * 60_000
    drawn = pixels(figures.confusion(matrix.tolist(), [f"class number {i}" for i in range(k)]))
    assert max(drawn.shape) < 2100
    assert (drawn[:, [0, -1]] == 255).all()
    assert (drawn[[0, -1]] == 255).all()
    # The cells of the diagonal; the scale beside has only a few pixels of its end.
    assert count(drawn, rgb("#003A5C")) > k


def test_a_confusion_shades_the_share_of_its_row() -> None:
    classes = ["a", "b"]
    scaled = [figures.confusion(m, classes) for m in ([[5, 5], [0, 0]], [[50, 50], [0, 0]])]
    shades = [(0, 58, 92), WHITE]
    counted = [[count(pixels(content), shade) for shade in shades] for content in scaled]
    np.testing.assert_allclose(counted[0], counted[1], rtol=0.01, atol=30)


def test_a_row_of_the_confusion_is_a_true_class() -> None:
    upper, lower = (
        np.argwhere((pixels(figures.confusion(m, ["a", "b"])) == rgb("#003A5C")).all(axis=2))
        for m in ([[0, 9], [0, 0]], [[0, 0], [9, 0]])
    )
    assert upper[:, 0].mean() < lower[:, 0].mean()
    assert upper[:, 1].mean() > lower[:, 1].mean()


def test_equal_input_gives_equal_bytes() -> None:
    def draw() -> list[bytes]:
        images, captions = [plain(RED)], ["red"]
        return [
            figures.curves(history(3), "t"),
            figures.sheet(images, captions),
            figures.overview(history(3), images, captions, "t", note="n"),
            figures.confusion([[3, 1], [0, 2]], ["a", "b"]),
        ]

    assert draw() == draw()


def test_drawing_leaves_pyplot_and_the_settings_alone() -> None:
    program = """
import sys
from striate import figures
from striate.figures import style
from striate.figures.curves import best, scale_loss
from striate.figures.sheet import caption_lines, resized
from striate.training.session import teach
assert "matplotlib" not in sys.modules
figures.confusion([[1]], ["a"])
import matplotlib
assert "matplotlib.pyplot" not in sys.modules
before = dict(matplotlib.rcParams)
figures.curves([])
assert before == dict(matplotlib.rcParams)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
