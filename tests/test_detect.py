"""`striate detect` and `striate train-cascade`: tables, JSON, PNG, and what they refuse."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_faces import SIDE, face, write_data

import striate
from striate import cli, files
from striate.classic import faces
from striate.classic.faces import network, scanning
from striate.classic.faces.scanning import Grid
from striate.stopping import Halt

Capture = pytest.CaptureFixture[str]
PLACED = ((10, 8, 14), (60, 20, 30), (100, 55, 50))  # left, top, side
TRAINING = ["--window", str(SIDE), "--stages", "3", "--features", "300", "--non-faces", "120"]
TRAINING += ["--detection", "0.95", "--false-alarms", "0.2"]


def photo() -> Image.Image:
    """Draw three faces of several sizes on grey."""
    random = np.random.default_rng(5)
    pixels = np.full((120, 160), 128, np.uint8)
    for left, top, side in PLACED:
        pixels[top : top + side, left : left + side] = face(random, side)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold data, a cascade and a small run trained on them, and a photo."""
    folder = tmp_path_factory.mktemp("detect")
    write_data(folder / "data")
    given = [str(folder / "data" / name) for name in ("face", "other", "scenes")]
    out = ["-o", str(folder / "cascade.json")]
    assert cli.main(["train-cascade", *given, *TRAINING, *out]) == 0
    small = folder / "small"
    small.mkdir()
    for name in ("face", "other"):
        (folder / "data" / name).rename(small / name)
    choices = ["--arguments.width", "8", "--epochs", "8", "--batch-size", "32"]
    run = ["train", str(small), *choices, "--out", str(folder / "run")]
    assert cli.main(run) == 0
    for name in ("face", "other"):
        (small / name).rename(folder / "data" / name)
    photo().save(folder / "photo.png")
    return folder


def found(arguments: list[str], capsys: Capture) -> list[dict[str, object]]:
    capsys.readouterr()
    assert cli.main(["detect", *arguments, "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def boxes(row: dict[str, object]) -> list[list[float]]:
    listed = row["found"]
    assert isinstance(listed, list)
    return [[one[key] for key in ("left", "top", "width", "height")] for one in listed]


def test_a_cascade_finds_faces_of_several_sizes(room: Path, capsys: Capture) -> None:
    out = room / "new" / "boxes.png"
    given = [str(room / "photo.png"), "--with", str(room / "cascade.json"), "-o", str(out)]
    (row,) = found(given, capsys)
    assert row["error"] is None
    for (x, y, side), box in zip(PLACED, sorted(boxes(row)), strict=True):
        assert box == pytest.approx([x, y, side, side], abs=side / 5)
    with Image.open(out) as drawn:
        assert (drawn.format, drawn.width) == ("PNG", 1600)
    assert cli.main(["detect", *given]) == 0
    shown = capsys.readouterr()
    heading, *lines = shown.out.splitlines()
    assert heading.split() == ["picture", "left", "top", "width", "height", "windows", "score"]
    assert len(lines) == len(PLACED)
    assert f"wrote {out}" in shown.err


def test_a_network_finds_faces_by_the_name_of_its_class(room: Path, capsys: Capture) -> None:
    given = [str(room / "photo.png"), "--with", str(room / "run"), "--step", "2"]
    (row,) = found([*given, "--probability", "0.6"], capsys)
    for x, y, side in PLACED:
        middle = x + side / 2, y + side / 2
        assert any(
            left < middle[0] < left + width and top < middle[1] < top + height
            for left, top, width, height in boxes(row)
        )
    (other,) = found([*given, "--class", "other"], capsys)
    assert boxes(other) != boxes(row)
    assert cli.main(["detect", *given, "--class", "fac"]) == 2
    assert "did you mean face" in capsys.readouterr().err


def test_a_network_judges_each_window_as_if_it_were_alone(room: Path) -> None:
    run = striate.load(room / "run")
    found = network.network(run.bundle, name="face", probability=0.2, device=torch.device("cpu"))
    picture, step = np.asarray(photo())[:40, :50], 3
    grid = Grid(scale=1.5, step=step).check(SIDE)
    expected = []
    for level in scanning.levels(picture, found.window, grid):
        for top in range(0, level.pixels.shape[0] - SIDE + 1, step):
            for left in range(0, level.pixels.shape[1] - SIDE + 1, step):
                window = level.pixels[top : top + SIDE, left : left + SIDE]
                (said,) = run.predict(np.ascontiguousarray(window))
                chance = dict(said.classes)["face"]
                if chance >= 0.2:
                    down, across = level.factors
                    box = [left * across, top * down, SIDE * across, SIDE * down]
                    expected.append([*box, chance])
    ours = [
        [*box, score]
        for part in network.scan(found, picture, grid)
        for box, score in zip(*part, strict=True)
    ]
    assert expected
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_python_gives_the_boxes_of_the_command(room: Path, capsys: Capture) -> None:
    cascade = room / "cascade.json"
    (row,) = found([str(room / "photo.png"), "--with", str(cascade)], capsys)
    for picture in (room / "photo.png", str(room / "photo.png"), photo(), np.array(photo())):
        for detector in (cascade, str(cascade), faces.load(cascade)):
            ours = striate.detect(picture, detector=detector)
            assert [list(one[:4]) for one in ours] == boxes(row)
    run = striate.load(room / "run")
    assert striate.detect(photo(), detector=run, step=3) == striate.detect(
        photo(), room / "run", step=3
    )
    with pytest.raises(striate.UsageError, match="unknown choice colour"):
        striate.detect(photo(), colour=1)
    with pytest.raises(striate.UsageError, match="a int is no detector"):
        striate.detect(photo(), detector=3)


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "LA", "I;16", "P"])
def test_pictures_of_every_kind_have_the_same_faces(
    room: Path, tmp_path: Path, kind: str, capsys: Capture
) -> None:
    path = tmp_path / "same.png"
    if kind == "I;16":
        Image.fromarray(np.asarray(photo()).astype(np.uint16) * 257).save(path)
    else:
        photo().convert(kind).save(path)
    detector = ["--with", str(room / "cascade.json")]
    (row,) = found([str(path), *detector], capsys)
    (grey,) = found([str(room / "photo.png"), *detector], capsys)
    assert boxes(row) == boxes(grey)


def test_one_bad_picture_is_a_row_and_the_others_go_on(
    room: Path, tmp_path: Path, capsys: Capture
) -> None:
    photo().save(tmp_path / "good.png")
    Image.new("L", (11, 30)).save(tmp_path / "narrow.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    rows = found([str(tmp_path), "--with", str(room / "cascade.json")], capsys)
    assert [Path(str(row["file"])).name for row in rows] == ["good.png", "narrow.png", "none.png"]
    assert [len(boxes(row)) for row in rows] == [3, 0, 0]
    assert "11 x 30 pixels are smaller than the detector's window of 12 x 12" in str(
        rows[1]["error"]
    )
    assert "not a picture" in str(rows[2]["error"])
    (tmp_path / "good.png").unlink()
    assert cli.main(["detect", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plain_picture_has_no_faces_by_the_shipped_cascade(
    tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (64, 48), "white").save(tmp_path / "white.png")
    assert cli.main(["detect", str(tmp_path / "white.png")]) == 0
    assert "nothing found in" in capsys.readouterr().out


@pytest.fixture
def _odd_files(room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo().save("photo.png")
    Image.new("L", (10, 10)).save("small.png")
    Path("cut.json").write_bytes((room / "cascade.json").read_bytes()[:500])
    Path("empty").mkdir()


@pytest.mark.usefixtures("_odd_files")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.png"], 1, "none.png"),
        (["empty"], 1, "empty has no pictures in it"),
        (["photo.png", "--with", "none.json"], 1, "a detector is viola-jones"),
        (["photo.png", "--with", "cut.json"], 1, "cut.json is damaged"),
        (["photo.png", "--with", "empty"], 1, "empty is no run"),
        (["photo.png", "-o", "boxes.jpg"], 2, "-o is a .png file, not boxes.jpg"),
        (["photo.png", "--scale", "1"], 2, "--scale is more than 1, not 1"),
        (["photo.png", "--step", "0"], 2, "--step is 1 or more"),
        (["photo.png", "--smallest", "5"], 2, "--smallest is 19 or more"),
        (["photo.png", "--smallest", "0"], 2, "--smallest is 19 or more"),
        (["photo.png", "--largest", "18"], 2, "--largest is 19 or more"),
        (["photo.png", "--agree", "0"], 2, "--agree is 1 or more"),
        (["small.png"], 1, "small.png: 10 x 10 pixels are smaller than the detector's window"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    code: int,
    said: str,
    capsys: Capture,
) -> None:
    assert cli.main(["detect", *arguments]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


def test_a_training_prints_its_stages_and_draws_its_features(
    room: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = [str(room / "data" / name) for name in ("face", "other", "scenes")]
    out, figure = tmp_path / "one.json", tmp_path / "features.png"
    more = ["-o", str(out), "--figure", str(figure)]
    once = ["1" if word == "3" else word for word in TRAINING]
    assert cli.main(["train-cascade", *given, *once, *more]) == 0
    shown = capsys.readouterr()
    heading, first, last = shown.out.splitlines()
    assert heading.split() == ["stage", "features", "faces", "non-faces", "windows", "seconds"]
    assert first.split()[0] == "1"
    assert last == f"1 stage, {first.split()[1]} features  {out}".replace(
        " 1 features", " 1 feature"
    )
    assert shown.err.startswith("stage 1: ")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["train-cascade", *given, *more]) == 2
    assert "is there already: go on with --resume" in capsys.readouterr().err
    assert cli.main(["train-cascade", "--resume", str(out), "--stages", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in document["stages"]] == [1, 2]


def test_a_signal_leaves_the_stages_that_are_done(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    path = tmp_path / "cascade.json"
    told = files.write

    def write(where: Path, content: bytes) -> None:
        told(where, content)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(files, "write", write)
    given = [str(room / "data" / name) for name in ("face", "other", "scenes")]
    assert cli.main(["train-cascade", *given, *TRAINING, "-o", str(path)]) == 130
    shown = capsys.readouterr()
    assert f"stopped with 1 stage done, saved in {path}" in shown.err
    assert f"striate train-cascade --resume {path}" in shown.err
    monkeypatch.undo()
    assert len(faces.load(path).stages) == 1
    assert cli.main(["train-cascade", "--resume", str(path)]) == 0
    went_on, whole = faces.load(path), faces.load(room / "cascade.json")
    assert [stage.features for stage in went_on.stages] == [s.features for s in whole.stages]
    assert Halt().signal is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "FACES is missing"),
        (["none"], 1, "there is no none"),
        (["face"], 2, "pictures without faces"),
        (["face", "none"], 1, "none is no folder of pictures"),
        (["face", "face", "-o", "a.txt"], 2, "-o is a .json file"),
        (["face", "face", "--figure", "a.jpg"], 2, "--figure is a .png file"),
        (["--resume", "none.json"], 1, "there is no none.json"),
        (["--resume", "none.json", "-o", "a.json"], 2, "leave out -o"),
        (["face", "face", "--stages", "0"], 2, "--stages is 1 or more"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(
    arguments: list[str],
    code: int,
    said: str,
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(room / "data")
    assert cli.main(["train-cascade", *arguments]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
