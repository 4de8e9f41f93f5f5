"""`striate filters` and `striate pooling`: tables, JSON, PNG, and what they refuse."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import cli, figures
from striate.classic import invariance
from striate.classic.detectors import DETECTORS
from striate.classic.filterfiles import SUFFIXES

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "photo.png"
    Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return path


def test_the_toy_needs_no_argument(capsys: Capture) -> None:
    assert cli.main(["filters"]) == 0
    heading, vertical, horizontal = capsys.readouterr().out.splitlines()
    assert heading.split() == ["filter", "map", "least", "mean", "greatest", "matches"]
    assert vertical.split() == ["vertical", "14x10", "0.0000", "0.1262", "1.0000", "5"]
    assert horizontal.split()[-1] == "11"


def test_help_and_page_name_every_filter() -> None:
    docs = Path(__file__).parents[1] / "docs"
    pages = (docs / "cli.md").read_text(), (docs / "layers.md").read_text()
    for name, detector in DETECTORS.items():
        form = ":".join([name, *map(str.upper, detector.numbers)])
        assert form in pages[0]
        assert f"`{form}`" in pages[1]
    assert all(suffix in page for suffix in SUFFIXES for page in pages)


def test_json_tells_weights_and_places(capsys: Capture) -> None:
    arguments = ["filters", "toy", "--filter", "vertical", "--filter", "line:45,blob", "--json"]
    assert cli.main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["filter"] for row in rows] == ["vertical", "line:45", "blob"]
    assert rows[0]["matches"] == [[1, 0], [2, 0], [3, 3], [4, 3], [7, 9]]
    assert rows[0]["map"] == [10, 14]
    assert np.array(rows[1]["weights"]).shape == (3, 3)


def test_a_photograph_has_no_matches(photo: Path, capsys: Capture) -> None:
    assert cli.main(["filters", str(photo), "--f", "linear", "--stride", "2", "--json"]) == 0
    (row, _) = json.loads(capsys.readouterr().out)
    assert "matches" not in row
    assert row["map"] == [14, 19]
    assert row["least"] < 0 < row["greatest"]


def test_bias_and_padding_and_f_reach_the_map(photo: Path, capsys: Capture) -> None:
    found = []
    for more in ([], ["--bias", "-0.1"], ["--bias", "-0.1", "--padding", "1"]):
        assert cli.main(["filters", str(photo), "--f", "linear", *more, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)[0])
    assert found[1]["greatest"] == pytest.approx(found[0]["greatest"] - 0.1, abs=1e-6)
    assert found[2]["map"] == [30, 40]


@pytest.mark.parametrize("picture", ["toy", "photo.png"])
def test_the_figure_is_written(
    photo: Path, picture: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(photo.parent)
    names = "vertical,gabor:30:3,sobel"
    arguments = ["filters", picture, "--filter", names, "--padding", "2", "-o", "new/maps.png"]
    assert cli.main(arguments) == 0
    assert "wrote new/maps.png" in capsys.readouterr().err
    drawn = Image.open("new/maps.png")
    assert drawn.format == "PNG"
    pixels = np.asarray(drawn.convert("RGB"))
    assert (pixels[:, [0, -1]] == 255).all(), "ink at the edge: something is cut off"
    assert (pixels[[0, -1]] == 255).all()


def test_larger_pictures_are_shrunk_and_drawings_are_not(tmp_path: Path, capsys: Capture) -> None:
    Image.effect_noise((900, 600), 80).save(tmp_path / "large.png")
    strokes = np.full((20, 900), 255, np.uint8)
    strokes[5, 10:300] = 0
    Image.fromarray(strokes).save(tmp_path / "drawing.png")
    sizes = []
    for name, more in (("large", []), ("large", ["--size", "300"]), ("drawing", [])):
        assert cli.main(["filters", str(tmp_path / f"{name}.png"), *more, "--json"]) == 0
        sizes.append(json.loads(capsys.readouterr().out)[0]["map"])
    side = figures.box_side(drawing=False)
    assert sizes == [[round(side * 2 / 3) - 2, side - 2], [198, 298], [18, 898]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.png"], 1, "there is no file none.png"),
        (["."], 1, "not a regular file"),
        (["toy", "--filter", "vertcal"], 2, "did you mean vertical"),
        (["toy", "--filter", ","], 2, "--filter names no filter"),
        (["toy", "--size", "0"], 2, "--size is 1 or more, not 0"),
        (["toy", "--stride", "0"], 2, "--stride is 1 or more"),
        (["toy", "--f", "selu"], 2, "choose one of relu, linear, tanh, sigmoid"),
        (["toy", "-o", "maps.svg"], 2, "-o is a .png file, not maps.svg"),
        (["toy", "--filter", "gabor"], 2, "gabor of 15x15 does not fit in 16x12"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["filters", *arguments]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_pooling_measures_digits(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "pooling.png"
    assert cli.main(["pooling", "--count", "40", "--most", "2", "-o", str(out)]) == 0
    shown = capsys.readouterr()
    heading, *rows = shown.out.splitlines()
    shifts = [f"{what} {shift}" for what in ("change", "kept") for shift in range(3)]
    assert heading.split() == " ".join(["layer", *shifts]).split()
    assert len(rows) == len(invariance.POOLINGS)
    assert f"wrote {out}" in shown.err
    with Image.open(out) as drawn:
        assert drawn.width == 1600


def test_pooling_prints_json(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "all"
    for name in ("one", "other"):
        (folder / name).mkdir(parents=True)
        Image.effect_noise((40, 30), 80).save(folder / name / "noise.png")
    assert cli.main(["pooling", str(folder), "--most", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pictures"] == 2
    assert {row["shift"] for row in document["rows"]} == {0, 1}
    assert cli.main(["pooling", "--count", "1"]) == 2
    assert cli.main(["pooling", "--most", "-1"]) == 2
    assert cli.main(["pooling", "-o", "a.jpg"]) == 2
    assert "-o is a .png file, not a.jpg" in capsys.readouterr().err


def test_a_map_larger_than_its_picture_is_drawn_whole() -> None:
    picture = np.zeros((4, 4), np.uint8)
    values = np.zeros((12, 12))
    values[-1, -1] = values[0, 0] = 1.0  # corners
    row = figures.MapRow("one", np.ones((1, 1)), values)
    content = figures.maps(picture, [row], slide=figures.MapSlide(1, 4))
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    full = (pixels == (0, 50, 79)).all(axis=2)  # the dark end of the palette
    columns = np.flatnonzero(full.any(axis=0))
    assert len(columns) > 0
    map_columns = columns[columns > pixels.shape[1] // 2]
    assert np.diff(map_columns).max() > 300, "both corners are there, far apart"
