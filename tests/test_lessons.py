"""The figures of the documents: all there, drawn from the numbers that the page speaks of."""

import io
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import figures
from striate.figures import cells, lessons, style
from striate.figures.shifts import spread

DOCS = Path(__file__).parents[1] / "docs"
DRAWINGS: dict[str, Any] = runpy.run_path(str(DOCS / "drawings.py"))
FIGURES: dict[str, Callable[[], bytes | None]] = DRAWINGS["FIGURES"]


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_the_folder_holds_what_is_drawn_and_the_page_shows_it() -> None:
    assert {path.name for path in (DOCS / "figures").iterdir()} >= set(FIGURES)
    pages = "".join(path.read_text() for path in DOCS.glob("*.md"))
    for name in FIGURES:
        assert f"(figures/{name})" in pages


def test_the_drawn_network_is_the_one_that_is_drawn_now() -> None:
    assert FIGURES["resnet18.svg"]() == (DOCS / "figures" / "resnet18.svg").read_bytes()


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"shifts.png", "resnet18.svg"}))
def test_a_figure_is_the_one_that_is_drawn_now(name: str) -> None:
    content = FIGURES[name]()
    assert content is not None
    drawn, kept = pixels(content), pixels((DOCS / "figures" / name).read_bytes())
    assert drawn.shape == kept.shape, "run `make docs`"
    # Another version of the font's renderer may move its greys.
    assert (np.abs(drawn.astype(int) - kept).max(axis=2) > 64).mean() < 0.01, "run `make docs`"
    assert (drawn[:, [0, -1]] == 255).all(), "ink at the edge: something is cut off"
    assert (drawn[[0, -1]] == 255).all()


def test_a_figure_of_shifts_needs_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    assert FIGURES["shifts.png"]() is None


def test_pooled_numbers_are_drawn_for_their_regions() -> None:
    x = np.zeros((4, 4))
    blank = pixels(lessons.pooling(x, [lessons.Tiling("two", [(0, 2), (2, 4)])]))
    x[3, 3] = 12  # full colour
    drawn = pixels(lessons.pooling(x, [lessons.Tiling("two", [(0, 2), (2, 4)])]))
    full = (drawn == cells.rgb(cells.POSITIVE[-1])).all(axis=2)
    assert not (blank == cells.rgb(cells.POSITIVE[-1])).all(axis=2).any()
    rows = np.flatnonzero(full.any(axis=1))
    assert np.diff(rows).max() > 10, "once in the map, once in what is pooled"


def test_colours_tell_signs_and_sizes() -> None:
    values = np.array([[1.0, 0.0, -1.0, 0.5, 7.0]])
    above, none, below, half, more = cells.coloured(values, 1.0)[0].tolist()
    assert none == [255] * 3
    assert above == more == list(cells.rgb(cells.POSITIVE[-1]))
    assert below == list(cells.rgb(cells.NEGATIVE[-1]))
    assert sum(above) < sum(half) < sum(none)


@pytest.mark.parametrize(
    ("scale", "side"), [(0.5, 5), (1.0, 10), (1.5, 15), (2.0, 21), (2.9, 21), (20.0, 201)]
)
def test_cells_are_whole_dots_where_they_are_seen(scale: float, side: int) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    drawn = cells.enlarged(colours, scale)
    assert drawn.shape == (side, side, 3)
    if scale >= 2:
        whole = int(scale)
        middles = drawn[whole // 2 : -1 : whole, whole // 2 : -1 : whole]
        assert (middles == colours).all()


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1)])
def test_the_window_of_the_greatest_answer_is_framed(stride: int, padding: int) -> None:
    picture = np.full((10, 10), 255, np.uint8)
    values = np.zeros((4, 4))
    slide = figures.MapSlide(stride, padding)
    none, some = (
        pixels(figures.maps(picture, [figures.MapRow("a", np.ones((3, 3)), found)], slide=slide))
        for found in (values, values + np.eye(4)[[2]] * np.eye(4)[:, [1]])  # row 1, column 2
    )
    assert none.shape == some.shape
    left = style.MARGIN + 10 * figures.box_side(drawing=False) // 10  # of the picture's column
    framed = (some[:, :left] == cells.rgb(style.ORANGE)).all(axis=2)
    assert not (none[:, :left] == cells.rgb(style.ORANGE)).all(axis=2).any()
    scale = int(cells.side(figures.box_side(drawing=False) / 10))
    columns = np.flatnonzero(framed.any(axis=0)) - style.MARGIN
    low, high = 2 * stride - padding, 2 * stride - padding + 3
    assert abs(columns.min() - low * scale) <= 4
    assert abs(columns.max() - high * scale) <= 4


def test_a_scale_shows_the_colours_of_a_map() -> None:
    picture, row = np.zeros((4, 4), np.uint8), figures.MapRow("a", np.ones((1, 1)), np.eye(4))
    drawn = pixels(figures.maps(picture, [row]))
    below = drawn[-3 * style.GAP - 60 :]  # under the map
    shades = {tuple(colour) for colour in below.reshape(-1, 3)}
    ramp = cells.coloured(np.linspace(0, 1, 20)[None], 1.0)[0]
    assert sum(tuple(colour) in shades for colour in ramp) >= 5


@pytest.mark.parametrize("places", [[0.5] * 5, [0.0, 0.01, 0.98, 1.0], [0.9, 0.1, 0.5], [0.3]])
def test_names_of_lines_are_moved_apart_and_stay_inside(places: list[float]) -> None:
    moved = spread(places, 0.1)
    assert sorted(range(len(places)), key=lambda i: (places[i], i)) == sorted(
        range(len(places)), key=lambda i: moved[i]
    )
    assert all(b - a >= 0.1 - 1e-9 for a, b in zip(sorted(moved), sorted(moved)[1:], strict=False))
    assert all(0 <= place <= 1 for place in moved)
    far = [0.1, 0.5, 0.9]
    assert spread(far, 0.1) == pytest.approx(far)
