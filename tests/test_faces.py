import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import AdaBoostClassifier

from striate import figures
from striate.classic import faces, train_cascade
from striate.classic.faces import boosting, detection, haar, mining, scanning, sources
from striate.classic.faces.cascade import Cascade, depth, windows_of
from striate.classic.faces.integral import LEAST_DEVIATION, integral, rectangle, squares
from striate.classic.faces.merging import merge, overlaps
from striate.classic.faces.scanning import Grid, Hits
from striate.errors import DataError, Stopped, UsageError
from striate.figures.rates import curve

Pixels = NDArray[np.uint8]
SIDE = 12


def face(random: np.random.Generator, side: int = SIDE) -> Pixels:
    """Draw a face: bright skin, two dark eyes, a dark mouth; each with its own light and noise."""
    y, x = np.mgrid[:side, :side] / side + random.uniform(-0.06, 0.06, (2, 1, 1))
    dark = (abs(y - 0.33) < 0.1) & ((abs(x - 0.28) < 0.12) | (abs(x - 0.72) < 0.12))
    dark |= (abs(y - 0.8) < 0.07) & (abs(x - 0.5) < 0.22)
    skin, ink = random.uniform(130, 220), random.uniform(20, 80)
    pixels = np.where(dark, ink, skin) + random.normal(0, 8, (side, side))
    return pixels.clip(0, 255).round().astype(np.uint8)


def texture(random: np.random.Generator, side: int) -> Pixels:
    """Draw noise of a random grain: no face in it."""
    grain = int(random.integers(1, 8))
    small = random.integers(0, 256, (side // grain + 1, side // grain + 1)).astype(np.uint8)
    whole = small.repeat(grain, axis=0).repeat(grain, axis=1)
    return np.ascontiguousarray(whole[:side, :side])


def write_data(folder: Path, count: int = 120) -> None:
    """Write a folder of faces, one of non-faces of their size, and one of larger scenes."""
    random = np.random.default_rng(0)
    for name, many, side in (("face", count, SIDE), ("other", count, SIDE), ("scenes", 6, 60)):
        (folder / name).mkdir(parents=True)
        for number in range(many):
            drawn = face(random) if name == "face" else texture(random, side)
            Image.fromarray(drawn).save(folder / name / f"{number:03d}.png")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


CHOICES = {"features": 300, "non_faces": 120, "stages": 3, "detection": 0.95, "false_alarms": 0.2}


def train(data: Path, **more: object) -> Cascade:
    others = [data / "other", data / "scenes"]
    return train_cascade(data / "face", others, side=SIDE, **{**CHOICES, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cascade(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    path = tmp_path_factory.mktemp("cascade") / "cascade.json"
    train(data, out=path)
    return faces.load(path)


# Integral images


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_rectangles_are_summed_as_by_brute_force(seed: int, h: int, w: int, n: int) -> None:
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (n, h, w)).astype(np.uint8)
    top, left = int(random.integers(0, h)), int(random.integers(0, w))
    down, across = int(random.integers(0, h - top + 1)), int(random.integers(0, w - left + 1))
    part = pictures[:, top : top + down, left : left + across].astype(np.int64)
    for sums, values in ((integral(pictures), part), (squares(pictures), part**2)):
        found = rectangle(sums, top, left, down, across)
        assert (found == values.sum((1, 2))).all()


def test_deviations_are_those_of_numpy_and_never_below_the_least() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (20, 7, 9)).astype(np.uint8)
    pictures[0] = 255
    found = windows_of(pictures).deviations
    np.testing.assert_allclose(found[1:], pictures[1:].std((1, 2)), rtol=1e-6)
    assert found[0] == LEAST_DEVIATION


# Haar-like features


def brute_force(feature: haar.Feature, picture: Pixels) -> int:
    """Sum a feature cell by cell, pixel by pixel."""
    pattern = haar.KINDS[feature.kind]
    down, across = feature.height // len(pattern), feature.width // len(pattern[0])
    return sum(
        weight * int(picture[feature.top + i * down + y, feature.left + j * across + x])
        for i, line in enumerate(pattern)
        for j, weight in enumerate(line)
        for y in range(down)
        for x in range(across)
    )


@pytest.mark.parametrize(
    ("side", "counts"),
    [
        (19, [17_100, 17_100, 10_830, 10_830, 8_100]),
        (24, [43_200, 43_200, 27_600, 27_600, 20_736]),
    ],
)
def test_each_kind_has_the_published_count(side: int, counts: list[int]) -> None:
    assert [haar.count(kind, side, side) for kind in haar.KINDS] == counts
    listed = [feature.kind for feature in haar.features(side, side)]
    assert [listed.count(kind) for kind in haar.KINDS] == counts
    assert len(set(haar.features(side, side))) == sum(counts)


@given(st.integers(1, 13), st.integers(1, 13))
def test_the_closed_form_counts_what_is_listed(width: int, height: int) -> None:
    listed = haar.features(width, height)
    assert all(haar.fits(feature, width, height) for feature in listed)
    for kind in haar.KINDS:
        across, down = haar.cells(kind)
        tried = (
            sum(
                haar.fits(haar.Feature(kind, x, y, w, h), width, height)
                for w in range(1, width + 1)
                for h in range(1, height + 1)
                for x in range(width)
                for y in range(height)
                if w % across == 0 and h % down == 0
            )
            if width * height <= 49
            else haar.count(kind, width, height)
        )
        assert haar.count(kind, width, height) == tried
        assert sum(feature.kind == kind for feature in listed) == tried


def test_every_feature_is_summed_as_by_brute_force() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (3, 7, 8)).astype(np.uint8)
    every = haar.features(8, 7)
    found = haar.values(integral(pictures), haar.corners(every))
    expected = [[brute_force(feature, picture) for picture in pictures] for feature in every]
    assert found.tolist() == expected


def test_brightness_alone_is_no_feature() -> None:
    flat = np.full((1, 9, 9), 200, np.uint8)
    assert not haar.values(integral(flat), haar.corners(haar.features(9, 9))).any()


# Boosting


class ErrorStump(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The stump of least weighted error, by trying every threshold of every feature."""

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> "ErrorStump":
        self.classes_ = np.unique(y)
        best = np.inf
        for feature in range(x.shape[1]):
            values = np.unique(x[:, feature])
            for threshold in (values[1:] + values[:-1]) / 2:
                above = x[:, feature] >= threshold
                error = sample_weight[above != y].sum()
                for kind, value in ((True, error), (False, sample_weight.sum() - error)):
                    if value < best - 1e-12:
                        best = value
                        self.found_ = (feature, float(threshold), kind)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        feature, threshold, kind = self.found_
        return np.asarray((x[:, feature] >= threshold) == kind)


@pytest.mark.parametrize("tied", [False, True])
def test_boosting_takes_the_same_rounds_as_scikit_learn(tied: bool) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 25))
    labels = x[:, 3] + 0.7 * x[:, 8] ** 2 + random.normal(0, 0.6, 60) > 0.5
    values: NDArray[np.float32] = np.round(x.T * (2 if tied else 1e4)).astype(np.float32)
    scaled = values.T
    weights = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    reference = AdaBoostClassifier(ErrorStump(), n_estimators=12).fit(scaled, labels, weights)
    ours = [
        one
        for one, _ in zip(
            boosting.boost(boosting.table(values.copy()), labels), range(12), strict=False
        )
    ]
    assert len(ours) == len(reference.estimators_) == 12
    for one, judge, size in zip(
        ours, reference.estimators_, reference.estimator_weights_, strict=True
    ):
        assert (one.stump.feature, one.stump.threshold, one.stump.vote > 0) == judge.found_
        assert abs(2 * one.stump.vote) == pytest.approx(size)
    assert ((ours[-1].score >= 0) == reference.predict(scaled)).all()


def test_boosting_ends_where_nothing_tells_the_labels_apart() -> None:
    same = np.ones((4, 10), np.float32)
    assert not list(boosting.boost(boosting.table(same), np.arange(10) < 5))


# Sliding windows


@pytest.mark.parametrize("step", [1, 3])
def test_scanning_judges_each_window_as_if_it_were_alone(
    cascade: Cascade, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "BAND", 500)  # several bands a level
    random = np.random.default_rng(3)
    picture = texture(random, 50)[:, :41]
    picture[6 : 6 + SIDE, 21 : 21 + SIDE] = face(random)
    grid = Grid(scale=1.3, step=step).check(SIDE)
    expected = []
    looked = 0
    for level in scanning.levels(picture, cascade.window, grid):
        views = np.lib.stride_tricks.sliding_window_view(level.pixels, cascade.window)
        views = views[::step, ::step]
        looked += views.shape[0] * views.shape[1]
        flat = np.ascontiguousarray(views.reshape(-1, *cascade.window))
        found = depth(cascade.stages, windows_of(flat))
        for place in np.flatnonzero(found.passed == len(cascade.stages)):
            row, column = divmod(int(place), views.shape[1])
            down, across = level.factors
            box = [column * step * across, row * step * down, SIDE * across, SIDE * down]
            expected.append([*box, found.scores[place]])
    parts = list(scanning.scan(cascade, picture, grid))
    ours = [[*box, score] for part in parts for box, score in zip(*part, strict=True)]
    assert expected
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert scanning.count(picture.shape, cascade.window, grid) == looked


def test_windows_are_of_the_sizes_asked_for() -> None:
    picture = np.zeros((100, 130), np.uint8)
    grid = Grid(smallest=24, largest=60, scale=1.5).check(12)
    sides = [12 * level.factors[0] for level in scanning.levels(picture, (12, 12), grid)]
    assert sides == pytest.approx([24, 36, 54], rel=0.02)


# Merging


def hits_of(boxes: list[list[float]]) -> Hits:
    return Hits(np.array(boxes, float), np.arange(len(boxes), dtype=float))


def test_overlapping_windows_become_their_mean() -> None:
    found = merge(hits_of([[10, 10, 20, 20], [12, 10, 20, 20], [100, 50, 30, 30]]), agree=1)
    assert [one[:4] for one in found] == [(100, 50, 30, 30), (11, 10, 20, 20)]
    assert [one.windows for one in found] == [1, 2]
    assert [one.score for one in found] == [2, 1]
    assert [one.windows for one in merge(hits_of([[10, 10, 20, 20]] * 2), agree=3)] == []
    assert merge(scanning.NONE) == []


@given(st.lists(st.tuples(*[st.integers(1, 60)] * 3), min_size=1, max_size=30))
def test_merged_boxes_do_not_overlap_and_no_window_counts_twice(
    windows: list[tuple[int, int, int]],
) -> None:
    found = merge(hits_of([[x, y, side, side] for x, y, side in windows]), agree=1)
    assert found
    assert sum(one.windows for one in found) <= len(windows)
    for place, one in enumerate(found):
        others = np.array([other[:4] for other in found[place + 1 :]]).reshape(-1, 4)
        assert (overlaps(np.array(one[:4]), others) <= 0.5).all()


# Training


def test_each_stage_keeps_what_was_asked_for(cascade: Cascade) -> None:
    assert 1 <= len(cascade.stages) <= CHOICES["stages"]
    for stage in cascade.stages:
        assert stage.record["detection"] >= CHOICES["detection"] - 1 / 20
        assert stage.record["false_alarms"] <= CHOICES["false_alarms"]
        assert sum(map(abs, stage.votes)) == pytest.approx(1)
    random = np.random.default_rng(9)
    fresh = windows_of(np.stack([face(random) for _ in range(200)]))
    assert (depth(cascade.stages, fresh).passed == len(cascade.stages)).mean() > 0.7


def test_the_non_faces_of_a_stage_pass_all_before_it(data: Path, cascade: Cascade) -> None:
    first = Cascade(cascade.window, cascade.stages[:1])
    examples = sources.find(data / "face", [data / "scenes"], SIDE)
    assert len(examples.scenes) == 6
    assert not len(examples.others)
    *_, last = mining.collect(first, examples, 40, seed=0)
    assert 0 < last.total <= 40
    assert last.total == len(last.windows)
    assert (depth(first.stages, windows_of(last.windows)).passed == 1).all()


def test_a_resumed_training_is_the_same_as_one_without_a_stop(
    data: Path, cascade: Cascade, tmp_path: Path
) -> None:
    path = tmp_path / "stopped.json"
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += path.exists()
        if polls == 2:
            raise Stopped("stopped", 2)

    with pytest.raises(Stopped, match=r"1 stage done, saved in .*--resume") as stop:
        train(data, out=path, poll=poll)
    assert stop.value.signal == 2
    assert len(faces.load(path).stages) == 1
    went_on = train_cascade(resume=path)
    for one, other in zip(went_on.stages, cascade.stages, strict=True):
        assert one.features == other.features
        assert (one.thresholds, one.votes, one.threshold) == (
            other.thresholds,
            other.votes,
            other.threshold,
        )
    with pytest.raises(UsageError, match="ask for more with --stages"):
        train_cascade(resume=path)


def test_resume_refuses_other_choices_and_other_pictures(
    data: Path, cascade: Cascade, tmp_path: Path
) -> None:
    path = tmp_path / "cascade.json"
    faces.save(path, cascade)
    with pytest.raises(UsageError, match="leave out --seed"):
        train_cascade(resume=path, seed=1)
    with pytest.raises(DataError, match="are not those that"):
        train_cascade(data / "face", [data / "scenes"], resume=path, stages=9)
    bare = tmp_path / "bare.json"
    faces.save(bare, Cascade(cascade.window, cascade.stages))
    with pytest.raises(DataError, match="does not say how it was trained"):
        train_cascade(resume=bare)


def test_a_stop_before_the_first_stage_saves_nothing(data: Path, tmp_path: Path) -> None:
    def poll() -> None:
        raise Stopped("stopped", 15)

    with pytest.raises(Stopped, match="nothing is saved"):
        train(data, out=tmp_path / "none.json", poll=poll)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"stages": 0}, "--stages is 1 or more, not 0"),
        ({"detection": 1.0}, "--detection is between 0 and 1, not 1"),
        ({"false_alarms": 0.0}, "--false-alarms is between 0 and 1"),
        ({"colour": 1}, "unknown choice colour"),
        ({"side": 4}, "--window is 8 or more"),
        ({"out": "cascade.txt"}, "-o is a .json file"),
    ],
)
def test_nonsense_is_refused(data: Path, choices: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train_cascade(data / "face", [data / "other"], **choices)  # type: ignore[arg-type]


def test_pictures_that_cannot_be_used_are_counted(data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    Image.new("L", (50, 40)).save(tmp_path / "large.png")
    found = sources.find(data / "face", [tmp_path], SIDE)
    assert (len(found.others), len(found.scenes)) == (0, 1)
    bad, small = found.notes
    assert bad.startswith(f"{tmp_path}: 1 unreadable picture left out, as ")
    assert "bad.png" in bad
    assert "1 picture smaller" in small
    assert "smaller than a window" in small
    with pytest.raises(UsageError, match="folders of pictures without faces"):
        sources.find(data / "face")


def test_faces_of_other_shapes_keep_their_proportions() -> None:
    wide = np.zeros((20, 40), np.uint8)
    wide[:, 10:30] = 255
    assert (sources.fitted(wide, (10, 10)) == 255).all()


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_an_npz_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = np.zeros((3, 19, 19), np.uint8)
    path = npz(tmp_path / "good.npz", train_faces=good, train_nonfaces=good)
    assert sources.find(path).window == (19, 19)
    with pytest.raises(UsageError, match="windows of 19 pixels, not 24"):
        sources.find(path, side=24)
    for name, arrays, said in (
        ("lacks", {"train_faces": good}, "lacks train_faces or train_nonfaces"),
        ("float", {"train_faces": good * 1.0, "train_nonfaces": good}, "not grey pictures"),
        ("sizes", {"train_faces": good, "train_nonfaces": good[:, 1:]}, "different sizes"),
        ("pickle", {"train_faces": np.array([{}]), "train_nonfaces": good}, "cannot be read"),
    ):
        with pytest.raises(DataError, match=said):
            sources.find(npz(tmp_path / f"{name}.npz", **arrays))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        sources.find(path)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="set STRIATE_DATA"):
        sources.find("cbcl")
    (tmp_path / "faces").mkdir()
    npz(tmp_path / "faces" / "cbcl.npz", train_faces=good, train_nonfaces=good)
    assert len(sources.find("cbcl").faces) == 3


# The file


def test_a_cascade_is_read_as_it_was_written(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "again.json"
    faces.save(path, cascade)
    assert faces.load(path) == cascade


def test_one_changed_byte_is_seen(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    faces.save(path, cascade)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 40):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"damaged\.json"):
            faces.load(path)
    path.write_bytes(content[:-50])
    with pytest.raises(DataError, match="is damaged"):
        faces.load(path)


def wrong() -> Iterator[tuple[str, object]]:
    """Yield a key by its path in the document, and a value that it may not have."""
    stump = "stages.0.stumps.0."
    yield from (("window", [12]), ("window", [12, 12.5]), ("window", [12, 10**6]), ("stages", []))
    yield from (("stages.0.stumps", []), ("stages.0.threshold", "low"), ("stages", {}))
    yield from ((stump + "kind", "five"), (stump + "left", 12), (stump + "width", 0))
    yield from ((stump + "vote", None), (stump + "threshold", True), ("format", "another"))
    yield from (("stages.0", 7), (stump + "top", -1))


@pytest.mark.parametrize(("key", "value"), list(wrong()))
def test_a_cascade_that_cannot_be_is_refused(
    cascade: Cascade, tmp_path: Path, key: str, value: object
) -> None:
    """Sealed as a true one is: so it is the content that is looked at."""
    from striate import files

    path = tmp_path / "wrong.json"
    faces.save(path, cascade)
    document = json.loads(path.read_bytes())
    *above, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    at = document
    for part in above:
        at = at[part]
    at[last] = value
    body = {name: one for name, one in document.items() if name not in ("files", "sha256")}
    path.write_bytes(files.json_bytes(files.sealed(body, {})))
    with pytest.raises(DataError, match=r"wrong\.json") as refused:
        faces.load(path)
    assert "\n" not in str(refused.value)


def test_the_shipped_cascade_is_whole_and_small() -> None:
    from striate.classic.faces import cascadefile

    found = faces.shipped()
    assert found.window == (19, 19)
    path = Path(cascadefile.__file__).with_name(cascadefile.SHIPPED)
    assert path.stat().st_size < 300_000
    assert b"/" + b"work" not in path.read_bytes()


# Detection


def test_faces_of_several_sizes_are_found_where_they_are(cascade: Cascade) -> None:
    random = np.random.default_rng(5)
    picture = np.full((120, 160), 128, np.uint8)
    placed = []
    for left, top, side in ((10, 8, 14), (60, 20, 30), (100, 55, 50)):
        picture[top : top + side, left : left + side] = face(random, side)
        placed.append([left, top, side, side])
    found = detection.detect(picture, cascade, agree=1)
    for box in placed:
        assert overlaps(np.array(box, float), np.array([one[:4] for one in found])).max() > 0.5


def test_the_first_features_are_drawn_on_the_mean_face(cascade: Cascade) -> None:
    drawn = Image.open(io.BytesIO(faces.draw_features(cascade)))
    assert drawn.format == "PNG"
    assert drawn.width > drawn.height
    with pytest.raises(DataError, match="no mean face"):
        faces.draw_features(Cascade(cascade.window, cascade.stages))


def test_boxes_are_drawn_where_they_are() -> None:
    picture = np.full((100, 200), 90, np.uint8)
    one = figures.boxes([picture], [[figures.Box(40, 20, 50, 50)]], ["one"])
    pixels = np.asarray(Image.open(io.BytesIO(one)).convert("RGB"))
    orange = (pixels == (0xD5, 0x5E, 0)).all(axis=2)
    rows, columns = np.flatnonzero(orange.any(axis=1)), np.flatnonzero(orange.any(axis=0))
    scale = (1600 - 80) / 200
    assert columns[[0, -1]] == pytest.approx([40 + 40 * scale, 40 + 90 * scale], abs=2)
    assert rows[[0, -1]] == pytest.approx([40 + 20 * scale, 40 + 70 * scale], abs=2)
    many = figures.boxes([picture] * 3, [[]] * 3, ["one", "two", "three"])
    assert Image.open(io.BytesIO(many)).height > pixels.shape[0] * 0.8


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 20))
def test_a_curve_counts_what_is_at_or_above_each_score(scores: list[int], faces_: int) -> None:
    positive = np.array(scores[:faces_], float)
    negative = np.array(scores[::-1], float)
    alarms, found = curve(positive, negative)
    assert (alarms[0], found[0]) == (0, 0)
    both = np.concatenate([positive, negative])
    thresholds = sorted(set(both.tolist()), reverse=True)
    if (both == thresholds[-1]).mean() > 0.5:  # turned down, not ranked
        thresholds.pop()
    assert alarms[1:].tolist() == pytest.approx([(negative >= t).mean() for t in thresholds])
    assert found[1:].tolist() == pytest.approx([(positive >= t).mean() for t in thresholds])


def test_rates_are_drawn() -> None:
    random = np.random.default_rng(0)
    lines = {name: (random.normal(1, 1, 50), random.normal(0, 1, 900)) for name in ("one", "two")}
    drawn = Image.open(io.BytesIO(figures.rates(lines, "a title")))
    assert drawn.width == 1600
