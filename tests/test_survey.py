from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate import images
from striate.data.preparation.survey import LOOKED_AT, Survey, survey
from striate.data.sources.layouts import folder

SIDES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=9)


@given(SIDES)
def test_the_usual_size_is_the_median(sides: list[tuple[int, int]]) -> None:
    heights, widths = zip(*sides, strict=True)
    expected = Survey(int(np.median(heights)), int(np.median(widths)), True)
    assert survey([Image.new("L", (w, h)) for h, w in sides]) == expected
    assert survey([np.zeros((h, w), np.uint8) for h, w in sides]) == expected
    assert survey([np.zeros((h, w, 1), np.uint8) for h, w in sides]) == expected
    assert survey([torch.zeros(1, h, w) for h, w in sides]) == expected


@pytest.mark.parametrize(
    "colourful",
    [
        Image.new("RGB", (5, 7)),
        Image.new("P", (5, 7)),
        np.zeros((7, 5, 3), np.uint8),
        torch.zeros(3, 7, 5),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_colour_picture_makes_all_of_them_colour(colourful: object, place: int) -> None:
    pictures: list[object] = [Image.new(mode, (5, 7)) for mode in ("1", "LA", "I;16")]
    assert survey(pictures) == Survey(7, 5, True)
    pictures[place] = colourful
    assert survey(pictures) == Survey(7, 5, False)


@pytest.mark.parametrize(
    ("shape", "grey"), [((4, 6, 5), True), ((4, 6, 5, 1), True), ((4, 6, 5, 3), False)]
)
def test_an_array_of_pictures_says_it_by_its_shape(shape: tuple[int, ...], grey: bool) -> None:
    assert survey(np.zeros(shape, np.uint8)) == Survey(6, 5, grey)


def test_one_colour_picture_among_thousands_is_found() -> None:
    grey, colour = np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)
    pictures = [grey] * (3 * LOOKED_AT)
    assert survey(pictures).grey
    looked_at = np.linspace(0, len(pictures) - 1, LOOKED_AT).astype(int)
    missed = next(place for place in range(len(pictures)) if place not in looked_at)
    assert not survey([*pictures[:missed], colour, *pictures[missed + 1 :]]).grey


def test_files_are_surveyed_by_their_headers(photos: Path) -> None:
    split = folder(photos).splits["train"]
    assert survey(split.pictures) == Survey(20, 20, False)
    for path in split.pictures:
        Image.open(path).convert("L").save(path)
    assert survey(split.pictures) == Survey(20, 20, True)


def test_a_turned_photograph_is_surveyed_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert survey([tmp_path / "turned.jpg"]) == Survey(30, 20, False)
    decoded = Image.fromarray(images.decode(tmp_path / "turned.jpg"))
    assert (decoded.height, decoded.width) == (30, 20)


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    bad = [tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "gone.png", None, 3, b"x"]
    assert survey([*bad, Image.new("L", (3, 4))]) == Survey(4, 3, True)
    assert survey(bad) == Survey(64, 64, False)
    assert survey([]) == Survey(64, 64, False)
