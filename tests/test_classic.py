"""Hand-made filters and their maps, against closed forms and counting cell by cell."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from striate import classic
from striate.classic import Filter, Sliding, filterfiles, invariance
from striate.classic.detectors import DETECTORS
from striate.classic.maps import ACTIVATIONS, is_drawing
from striate.classic.toy import STROKES
from striate.errors import DataError, UsageError

ANGLES = st.floats(-360, 360)
MADE = ["vertical", "horizontal", "line:30", "line:77:9", "sobel:20", "gabor:10:5", "blob:1.5"]


@pytest.mark.parametrize("text", MADE)
def test_a_filter_is_blind_to_even_ground(text: str) -> None:
    weights = classic.find(text).weights
    assert weights.sum() == pytest.approx(0, abs=1e-12)
    assert weights[weights > 0].sum() == pytest.approx(1)
    assert weights.shape[0] == weights.shape[1]
    assert weights.shape[0] % 2 == 1


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_is_made_from_its_name_alone(name: str) -> None:
    assert classic.find(name).name == name
    assert classic.find(name).weights.size >= 9


@given(angle=ANGLES, size=st.integers(1, 6).map(lambda half: 2 * half + 1))
def test_lines_turn(angle: float, size: int) -> None:
    weights = classic.line(angle, size)
    np.testing.assert_allclose(classic.line(angle + 180, size), weights, atol=1e-9)
    np.testing.assert_allclose(classic.line(angle + 90, size), np.rot90(weights), atol=1e-9)
    np.testing.assert_allclose(classic.line(-angle, size), np.flipud(weights), atol=1e-9)
    assert weights.max() == weights[size // 2, size // 2]


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_a_line_answers_most_to_its_own_angle(angle: int) -> None:
    answers = {
        other: (classic.line(angle, 9) * (classic.line(other, 9) > 0)).sum()
        for other in range(0, 180, 15)
    }
    assert max(answers, key=lambda other: answers[other]) == angle


def test_a_rising_line_rises() -> None:
    assert (classic.line(45) > 0.1).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


@given(angle=ANGLES)
def test_sobel_is_the_slope_along_its_normal(angle: float) -> None:
    y, x = np.mgrid[-1:2, -1:2]
    radians = math.radians(angle)
    # A plane answers with its slope across the edge, whatever its slope along it.
    across, along = (
        x * math.sin(radians) + y * math.cos(radians),
        x * math.cos(radians) - y * math.sin(radians),
    )
    weights = classic.sobel(angle)
    assert (weights * across).sum() > 1
    assert (weights * along).sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(classic.sobel(angle + 180), -weights, atol=1e-9)


@given(angle=ANGLES, wavelength=st.floats(3, 12))
def test_gabor_answers_most_to_its_own_grating(angle: float, wavelength: float) -> None:
    weights = classic.gabor(angle, wavelength)
    half = len(weights) // 2
    y, x = np.mgrid[half : -half - 1 : -1, -half : half + 1]

    def answer(turned: float, length: float) -> float:
        radians = math.radians(angle + turned)
        wave = np.cos(2 * np.pi * (x * math.sin(radians) - y * math.cos(radians)) / length)
        return float((weights * wave).sum())

    own = answer(0, wavelength)
    for turned, length in ((45, wavelength), (90, wavelength), (0, 2 * wavelength)):
        assert answer(turned, length) < 0.75 * own
    assert own > 0.8


@given(sigma=st.floats(1, 4))
def test_a_blob_answers_most_to_the_disc_of_its_size(sigma: float) -> None:
    weights = classic.blob(sigma)
    half = len(weights) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    radii = np.linspace(0.5, 2.5, 41) * math.sqrt(2) * sigma
    answers = [(weights * (np.hypot(x, y) <= radius)).sum() for radius in radii]
    best = radii[int(np.argmax(answers))]
    assert abs(best - math.sqrt(2) * sigma) <= 0.75  # cells: discs of cells are not round
    np.testing.assert_allclose(weights, np.rot90(weights), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lin:30", "did you mean line"),
        ("line:steep", "angle is a number, not 'steep'"),
        ("line:nan", "angle is a number"),
        ("line:30:4", "size is odd, 3 to 99, not 4"),
        ("line:30:101", "size is odd"),
        ("line:30:3:2", "its form is line:ANGLE:SIZE"),
        ("vertical:3", "its form is vertical"),
        ("gabor:0:1", "a wavelength is 2 to 25 cells"),
        ("blob:0", "sigma is 0.5 to 12 cells"),
    ],
)
def test_a_filter_that_cannot_be_made_says_why(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        classic.find(text)


def test_several_filters_are_named_in_one_text() -> None:
    found = classic.named(["vertical, line:30:5", "blob"])
    assert [one.name for one in found] == ["vertical", "line:30:5", "blob"]


MATRIX = [[0.0, -1.5, 2.0], [1.0, 0.25, 1e-3]]
FILES = {
    "a.txt": "0 -1.5 2\n1 .25 1e-3\n",
    "b.csv": "0,-1.5,2\n1,0.25,0.001",
    "c.csv": "\n0; -1.5; 2\r\n1; 0.25; 0.001\n\n",
    "d.json": json.dumps(MATRIX),
}


@pytest.mark.parametrize("name", FILES)
def test_filters_are_read_from_text(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    found = classic.find(str(tmp_path / name))
    assert found.name == name
    assert found.weights.tolist() == MATRIX


def test_filters_of_several_slices_are_read(tmp_path: Path) -> None:
    slices = np.arange(12.0).reshape(3, 2, 2)
    np.save(tmp_path / "a.npy", slices.astype(np.float32))
    (tmp_path / "b.json").write_text(json.dumps(slices.tolist()))
    blocks = ["\n".join(" ".join(map(str, row)) for row in one) for one in slices.tolist()]
    (tmp_path / "c, d.txt").write_text("\n\n".join(blocks))
    found = classic.named([str(tmp_path / name) for name in ("a.npy", "b.json", "c, d.txt")])
    assert [one.weights.tolist() for one in found] == [slices.tolist()] * 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "no matrix of numbers"),
        ("a.txt", b"1 2\n3\n", "rows are of unequal length"),
        ("a.txt", b"1 two\n", "could not convert string to float: 'two'"),
        ("a.csv", b"\xff\xfe1", "holds no filter"),
        ("a.json", b"[[1, 2], [3, true]]", "True is not a number"),
        ("a.json", b'{"a": 1}', "is not a number"),
        ("a.json", b"[1, 2", "holds no filter"),
        ("a.json", b"3", "no matrix of numbers"),
        ("a.json", b"[" * 100_000, "holds no filter"),
        ("a.json", b"[[1, NaN]]", "not finite"),
        ("a.txt", b"1 inf\n2 3\n", "not finite"),
        ("a.npy", b"1 2", "holds no filter"),
        ("a.npy", b"", "holds no filter"),
    ],
)
def test_a_file_without_a_filter_says_why(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        filterfiles.read(tmp_path / name)


def test_no_pickle_and_no_text_is_read_from_npy(tmp_path: Path) -> None:
    for values, said in (
        (np.array([{}], object), "Object arrays cannot be loaded"),  # refused before it is read
        (np.array(["x"]), "an array of <U1, not of numbers"),
    ):
        np.save(tmp_path / "odd.npy", values, allow_pickle=True)
        with pytest.raises(DataError, match=said):
            filterfiles.read(tmp_path / "odd.npy")


def test_a_missing_or_oversized_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: No such file"):
        classic.find(str(tmp_path / "none.csv"))
    np.save(tmp_path / "large.npy", np.ones((3, 100)))
    with pytest.raises(UsageError, match="at most 99 cells a side"):
        classic.find(str(tmp_path / "large.npy"))
    np.save(tmp_path / "deep.npy", np.ones((2, 2, 2, 2)))
    with pytest.raises(UsageError, match="a filter is a matrix"):
        classic.find(str(tmp_path / "deep.npy"))


def cells(seed: int, height: int, width: int, *, share: float = 0.4) -> NDArray[np.uint8]:
    """A drawing: black ink, the rarer of the two, on white."""
    ink = np.random.default_rng(seed).random((height, width)) < share
    ink.flat[0], ink.flat[1:3] = True, False
    return np.where(ink, 0, 255).astype(np.uint8)


WEIGHTS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=9, max_size=9)
SLIDINGS = st.builds(
    Sliding,
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    bias=st.floats(-2, 2),
    f=st.sampled_from(list(ACTIVATIONS)),
)


@given(
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    weights=WEIGHTS,
    how=SLIDINGS,
)
def test_maps_matches_and_marks_are_those_of_counting(
    seed: int, size: tuple[int, int], weights: list[float], how: Sliding
) -> None:
    pixels = cells(seed, *size, share=0.3)
    ink = pixels == 0
    if 2 * ink.sum() > ink.size:
        ink = ~ink
    w = np.array(weights).reshape(3, 3)
    (found,) = classic.look(pixels, [Filter("own", w)], how)
    p, s = how.padding, how.stride
    wide = np.pad(ink, p)
    places = [
        (i, j)
        for i in range((wide.shape[0] - 3) // s + 1)
        for j in range((wide.shape[1] - 3) // s + 1)
    ]
    answers, whole = [], []
    marks = np.zeros_like(wide, dtype=np.uint8)
    middles = []
    for i, j in places:
        window = wide[i * s : i * s + 3, j * s : j * s + 3]
        answers.append(float((w * window).sum()) + how.bias)
        if window[w > 0].all() and not window[w < 0].any():
            whole.append((i, j))
            marks[i * s : i * s + 3, j * s : j * s + 3][w > 0] = 1
            middles.append((i * s + 1, j * s + 1))
    for middle in middles:
        marks[middle] = 2
    expected = ACTIVATIONS[how.f](torch.tensor(answers))
    torch.testing.assert_close(found.values.flatten(), expected)
    assert found.places == whole
    assert found.found is not None
    inner = marks[p : p + size[0], p : p + size[1]]
    assert found.found.tolist() == inner.tolist()


@given(seed=st.integers(0, 99), weights=WEIGHTS)
def test_a_match_is_where_no_drawing_could_answer_more(seed: int, weights: list[float]) -> None:
    w = np.array(weights).reshape(3, 3)
    how = Sliding(f="linear")
    (found,) = classic.look(cells(seed, 7, 8), [Filter("own", w)], how)
    assert found.matches is not None
    assert torch.equal(found.matches, found.values == w[w > 0].sum())


def test_the_strokes_of_the_toy_are_found() -> None:
    upright, lying = classic.look(classic.toy(), classic.named(["vertical,horizontal"]))
    rows = STROKES.split()

    def runs(lines: list[str]) -> set[tuple[int, int]]:
        """Where three cells of ink in a row have paper on both sides."""
        return {
            (i - 1, j)
            for i in range(1, len(lines) - 1)
            for j in range(len(lines[0]) - 2)
            if lines[i][j : j + 3] == "###"
            and lines[i - 1][j : j + 3] == lines[i + 1][j : j + 3] == "..."
        }

    assert set(lying.places) == runs(rows)
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    assert {(j, i) for i, j in upright.places} == runs(columns)
    assert (len(upright.places), len(lying.places)) == (5, 11)


def test_a_flat_filter_is_spread_over_the_channels_and_a_deep_one_is_not() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    deep = random.normal(size=(3, 3, 2))
    flat = random.normal(size=(2, 3))
    how = Sliding(f="linear")
    one, other = classic.look(pixels, [Filter("flat", flat), Filter("deep", deep)], how)
    share = pixels / 255
    expected_flat = [
        [(flat * share[i : i + 2, j : j + 3].mean(2)).sum() for j in range(5)] for i in range(5)
    ]
    expected_deep = [
        [(deep * share[i : i + 3, j : j + 2].transpose(2, 0, 1)).sum() for j in range(6)]
        for i in range(4)
    ]
    np.testing.assert_allclose(one.values.numpy(), expected_flat, atol=1e-5)
    np.testing.assert_allclose(other.values.numpy(), expected_deep, atol=1e-5)
    assert one.matches is None
    assert one.places == []


def test_ink_is_the_rarer_value_and_the_darker_of_equals() -> None:
    dark_strokes = np.array([[0, 9, 9], [9, 9, 9]], dtype=np.uint8)
    assert classic.volume(dark_strokes).tolist() == [[[1, 0, 0], [0, 0, 0]]]
    assert classic.volume(9 - dark_strokes).tolist() == [[[1, 0, 0], [0, 0, 0]]]
    equal = np.array([[0, 200], [200, 0]], dtype=np.uint8)
    assert classic.volume(equal).tolist() == [[[1, 0], [0, 1]]]
    coloured = np.repeat(dark_strokes[:, :, None], 3, axis=2)
    assert classic.volume(coloured).shape == (1, 2, 3)
    coloured[0, 0, 1] = 9
    assert not is_drawing(coloured)
    assert classic.volume(coloured).shape == (3, 2, 3)
    even = classic.volume(np.full((1, 2), 51, np.uint8))
    assert even.flatten().tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Sliding(stride=0), "--stride is 1 or more"),
        (Sliding(padding=-1), "--padding 0 or more"),
        (Sliding(bias=math.inf), "--bias is a number"),
        (Sliding(f="rely"), "did you mean relu"),
    ],
)
def test_sliding_that_makes_no_sense_is_refused(how: Sliding, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        classic.look(classic.toy(), classic.named(["vertical"]), how)


def test_a_filter_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="blob:2 of 17x17 does not fit in 16x12"):
        classic.look(classic.toy(), classic.named(["blob:2"]))
    classic.look(classic.toy(), classic.named(["blob:2"]), Sliding(padding=3))
    deep = Filter("deep", np.ones((3, 2, 2)))
    with pytest.raises(UsageError, match="deep has 3 slices, but the picture has 1"):
        classic.look(classic.toy(), [deep])


@pytest.fixture(scope="module")
def digits() -> Any:
    return invariance.pictures_of("digits", 100)


def test_pooled_maps_change_less(digits: Any) -> None:
    rows = {(row.layer, row.shift): row for row in invariance.invariance(digits, most=2)}
    assert len(rows) == 3 * len(invariance.POOLINGS)
    for layer in invariance.POOLINGS:
        assert rows[layer, 0][2:] == (0, 1)
        assert rows[layer, 1].change > 0
        assert 1 > rows[layer, 1].kept > rows[layer, 2].kept
    for pooled in ("max (2, 2)", "max (3, 2)", "fractional max (√2)", "average (2, 2)"):
        assert rows[pooled, 1].change < 0.9 * rows["stride 2", 1].change
        assert rows[pooled, 1].kept > 1.2 * rows["stride 2", 1].kept
    assert rows["max (3, 2)", 1].change < rows["max (2, 2)", 1].change
    assert rows["max (3, 2)", 1].kept > rows["max (2, 2)", 1].kept


def test_each_pooling_is_what_its_name_says(digits: Any) -> None:
    maps = invariance.feature_maps(digits)
    lines = torch.stack([torch.from_numpy(classic.line(angle)) for angle in (0, 45, 90, 135)])
    strided = torch.conv2d(digits, lines[:, None].float(), stride=2).relu()
    pooled = {name: pool(maps) for name, pool in invariance.POOLINGS.items()}
    torch.testing.assert_close(pooled["no pooling"], maps)
    torch.testing.assert_close(pooled["stride 2"], strided)
    for name, pool in (
        ("average (2, 2)", torch.nn.AvgPool2d(2)),
        ("max (2, 2)", torch.nn.MaxPool2d(2)),
        ("max (3, 2)", torch.nn.MaxPool2d(3, 2)),
    ):
        torch.testing.assert_close(pooled[name], pool(maps))
    assert pooled["fractional max (√2)"].shape[2:] == (4, 4)  # 6 / 1.41
    assert pooled["fractional max (√2)"].amax() == maps.amax()


def test_the_measures_are_those_of_their_definition(digits: Any) -> None:
    few = digits[:5]
    rows = invariance.invariance(few, most=1)
    wide = np.pad(few[:, 0].numpy(), ((0, 0), (0, 0), (2, 2)), mode="edge")
    still, moved = wide[:, :, 1:], wide[:, :, :-1]
    maps = [
        invariance.feature_maps(torch.from_numpy(views.copy())[:, None]).numpy()
        for views in (still, moved)
    ]
    before, after = (
        np.maximum.reduce(
            [m[:, :, i : i + 6 : 2, j : j + 10 : 2][:, :, :3, :4] for i in (0, 1) for j in (0, 1)]
        )
        for m in maps
    )
    apart = np.roll(before, 1, 0)
    change = math.sqrt(((after - before) ** 2).sum() / ((apart - before) ** 2).sum())
    greatest = before.max((1, 2, 3), keepdims=True)
    answering = np.maximum(before, after) > 0.1 * greatest
    kept = (np.abs(after - before) <= 0.1 * greatest)[answering].mean()
    (row,) = [row for row in rows if row.layer == "max (2, 2)" and row.shift == 1]
    assert row.change == pytest.approx(change, rel=1e-5)
    assert row.kept == pytest.approx(kept)


def test_chunks_do_not_change_the_measure(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = invariance.invariance(digits[:9], most=1)
    monkeypatch.setattr(invariance, "CHUNK", 4)
    for one, other in zip(invariance.invariance(digits[:9], most=1), whole, strict=True):
        assert one[:2] == other[:2]
        assert one[2:] == pytest.approx(other[2:])


def test_shifts_keep_the_picture_in_view() -> None:
    picture = torch.rand(2, 1, 4, 5)
    views = list(invariance.shifts(picture, 3))
    for shift, view in enumerate(views):
        assert view.shape == (2, 1, 4, 11)
        assert torch.equal(view[..., 3 + shift : 8 + shift], picture)
    assert torch.equal(views[0][..., 8:], picture[..., -1:].expand(-1, -1, -1, 3))


def test_what_cannot_be_compared_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--count is 2 or more, not 1"):
        invariance.pictures_of("digits", 1)
    with pytest.raises(UsageError, match="--most is 0 or more"):
        invariance.invariance(torch.rand(2, 1, 8, 8), most=-1)
    with pytest.raises(DataError, match="nothing can be compared"):
        invariance.invariance(torch.zeros(3, 1, 8, 8))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "picture.png")
    (tmp_path / "other" / "picture.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="one picture is too few"):
        invariance.pictures_of(str(tmp_path), 5)
