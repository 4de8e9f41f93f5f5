"""What is predicted, however it is given: one rule for the pixels, one row for each picture."""

import io
import itertools
import json
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, drawing
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate import api, cli, images
from striate.data.preparation.preprocessing import as_array
from striate.data.sources.given import examples
from striate.errors import DataError, UsageError

TINY: dict[str, Any] = {
    "model": "mlp",
    "arguments": {"hidden": 4},
    "size": 8,
    "epochs": 1,
    "batch_size": 4,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of one size in two classes, and a run on them."""
    root = tmp_path_factory.mktemp("home")
    for number, kind in enumerate(CLASSES[:2] * 8):
        path = root / "photos" / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawing(kind, number)).save(path)
    api.train(root / "photos", out=root / "run", **TINY)
    return root


@pytest.fixture
def run(home: Path) -> api.Run:
    return api.load(home / "run")


@pytest.fixture
def paths(home: Path) -> list[Path]:
    return sorted((home / "photos").rglob("*.png"))


def png(array: np.ndarray) -> bytes:
    """Write an array as a PNG file by hand, in the depth that it has: 1, 8 or 16 bits."""
    bits = {"b": 1, "u": 8 * array.itemsize}[array.dtype.kind]
    channels = array.shape[2] if array.ndim == 3 else 1
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = np.packbits(array, axis=1) if bits == 1 else array.astype(array.dtype.newbyteorder(">"))
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", array.shape[1], len(array), bits, kind, 0, 0, 0)
    found = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(content)), (b"IEND", b"")):
        found += struct.pack(">I", len(body)) + name + body
        found += struct.pack(">I", zlib.crc32(name + body))
    return found


def scores(rows: list[Any]) -> list[Any]:
    assert all(row.error is None for row in rows)
    return [row.classes for row in rows]


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([0, 1, 2, 3, 4]),
    kind=st.sampled_from(["bool", "uint8", "uint16"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_an_array_is_read_as_the_file_of_its_pixels(
    height: int, width: int, channels: int, kind: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    if kind == "bool":
        shape = shape[:2]
        array: np.ndarray = random.random(shape) < 0.5
    else:
        array = random.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)
    expected = images.decode(png(array[:, :, 0] if channels == 1 and kind != "bool" else array))
    forms: list[Any] = [array, np.asfortranarray(array), array.astype(array.dtype.newbyteorder())]
    axes = (2, 0, 1) if array.ndim == 3 else (0, 1)
    forms.append(torch.from_numpy(array.transpose(axes).copy()))
    if kind == "uint8":  # floats of the same levels
        forms += [(array / 255).astype(numbers) for numbers in ("float64", "float32")]
        forms.append(forms[3].double() / 255)
    for form in forms:
        found = as_array(form)
        assert found.dtype == np.uint8
        if expected.ndim > found.ndim:  # Pillow gives 16-bit grey with alpha as three equal colours
            found = np.repeat(found[:, :, None], 3, axis=2)
        np.testing.assert_array_equal(found, expected)


def test_one_picture_in_any_form_is_one_row(run: api.Run, paths: list[Path]) -> None:
    path = paths[0]
    array = np.asarray(Image.open(path))
    (expected,) = scores(run.predict(path))
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    forms: list[Any] = [str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), array, tensor]
    forms += [array / 255, tensor.float() / 255, Image.fromarray(array)]
    forms.append(np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]))
    for form in forms:
        assert scores(run.predict(form)) == [expected], type(form)
    assert scores(run.predict(f"file://{path}")) == [expected]
    with Image.open(path) as lazy, path.open("rb") as handle:
        assert scores(run.predict(lazy)) == scores(run.predict(handle)) == [expected]
    assert [row.file for row in run.predict([array, str(path)])] == ["picture 0", str(path)]


def test_many_pictures_in_any_form_are_as_many_rows(
    run: api.Run, paths: list[Path], tmp_path: Path
) -> None:
    arrays = [np.asarray(Image.open(path)) for path in paths]
    expected = scores(run.predict(paths))
    batch = np.stack(arrays)
    table = tmp_path / "list.csv"
    table.write_text("path\n" + "".join(f"{path}\n" for path in paths))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for number, path in enumerate(paths):
            archive.write(path, f"a/{number:02}.png")
        archive.writestr("a/readme.txt", "no picture")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for number, path in enumerate(paths):
            tar.add(path, f"a/{number:02}.png")
    tensors = torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())
    forms: dict[str, Any] = {
        "list": arrays,
        "tuple": tuple(arrays),
        "batch": batch,
        "floats": batch / 255,
        "tensors": tensors,
        "generator": (array for array in arrays),
        "generator of batches": (batch[start : start + 5] for start in range(0, len(batch), 5)),
        "iterator of paths": map(str, paths),
        "array of paths": np.array([str(path) for path in paths]),
        "array of objects": np.array(paths, dtype=object),
        "table": table,
        "zip": tmp_path / "all.zip",
        "tar": str(tmp_path / "all.tar"),
        "folders": sorted((paths[0].parent.parent).iterdir()),
        "pattern": f"{paths[0].parent.parent}/*/*.png",
    }
    for name, form in forms.items():
        assert scores(run.predict(form)) == expected, name
    said: list[str] = []
    assert (
        run.predict(tmp_path / "all.zip", tell=said.append)[3].file
        == f"{tmp_path}/all.zip/a/03.png"
    )
    assert said == [f"{tmp_path}/all.zip: left out: 1 .txt (1 file, no picture by its ending)"]
    assert [row.file for row in run.predict(batch)] == [f"picture {n}" for n in range(len(batch))]


def test_an_iterator_may_be_endless(run: api.Run) -> None:
    asked = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal asked
        for asked in itertools.count(1):
            yield np.full((8, 8, 3), asked % 256, np.uint8)

    rows = list(itertools.islice(run.stream(frames()), 70))
    assert [row.file for row in rows] == [f"picture {n}" for n in range(70)]
    assert asked <= 128
    assert run.predict(iter([])) == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 20, 30), r"an array \(3, 20, 30\) is no picture: give \(H, W\) or \(H, W, C\)"),
        ((5, 3, 20, 30), r"an array \(3, 20, 30\) is no picture"),
        ((2, 2, 20, 30, 3), "is no picture"),
        ((7,), r"an array \(7,\) is no picture"),
    ],
)
def test_axes_in_another_order_are_refused(
    shape: tuple[int, ...], message: str, run: api.Run
) -> None:
    with pytest.raises(UsageError, match=message):
        run.predict(np.zeros(shape, np.uint8))


def test_what_cannot_be_meant_is_refused(run: api.Run) -> None:
    for wrong, message in (
        ({"a": 1}, "a dict is no list of pictures: give its values"),
        (7, "a int is no picture"),
        ([("a.png", 1)], "a tuple is no picture"),
        (np.full((8, 8), 200.0), r"lie in \[0, 1\], these in \[200, 200\]"),
    ):
        with pytest.raises(UsageError, match=message):
            run.predict(wrong)


def test_what_is_not_there_is_called_what_it_is(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wanted = {
        "https://example.org/cat.jpg": "a URL: nothing is downloaded, save the file and give",
        f"{tmp_path}/*.jpg": "no file matches this pattern",
        f"{tmp_path}/missing.jpg": "cannot be read: No such file or directory",
    }
    assert cli.main(["predict", str(home / "run"), *wanted, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == list(wanted)
    for row, reason in zip(rows, wanted.values(), strict=True):
        assert row["classes"] == []
        assert row["error"].startswith(reason)


def test_archives_and_tables_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    (tmp_path / "text.tar").write_text("none")
    (tmp_path / "whole.tar.gz").write_text("none")
    (tmp_path / "labels.csv").write_text("label\nx\n")
    for name, message in {
        "none.zip": r"has no pictures in it; left out: 1 \.txt",
        "text.tar": "is no archive, or a damaged one",
        "whole.tar.gz": "compressed as a whole",
        "labels.csv": "no column for the picture's path",
    }.items():
        with pytest.raises(DataError, match=message):
            examples(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../out.png", b"")
        archive.writestr("a.png", b"")
    with zipfile.ZipFile(tmp_path / "worse.zip", "w") as archive:
        archive.writestr("../out.png", b"")
    (only,) = list(examples(tmp_path / "worse.zip"))
    good, refused = list(examples(tmp_path / "bad.zip"))
    assert str(only.value).endswith("worse.zip/../out.png")
    assert good.name.endswith("bad.zip/a.png")
    with pytest.raises(images.PictureError, match="its name leads out of the archive"):
        refused.value.read()


class Piped(io.TextIOWrapper):
    """Standard input that is no terminal, or one."""

    def __init__(self, content: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_hyphen_is_standard_input(
    home: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = str(home / "run")
    assert cli.main(["predict", run, str(paths[0]), "--json"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(sys, "stdin", Piped(paths[0].read_bytes()))
    assert cli.main(["predict", run, str(paths[0]), "-", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    for answer in expected["classes"]:  # a batch of two may round otherwise
        answer["probability"] = pytest.approx(answer["probability"], rel=1e-5)
    assert (first, second) == (expected, {**expected, "file": "-"})
    monkeypatch.setattr(sys, "stdin", Piped(b""))
    assert cli.main(["predict", run, "-", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["error"] == "empty file"
    assert cli.main(["predict", run, "-", "--jsno"]) == 2
    assert "Unknown option: --jsno. Did you mean --json?" in capsys.readouterr().err
    assert cli.main(["predict", run, "-", "-"]) == 2
    assert "name it once" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Piped(b"", terminal=True))
    assert cli.main(["predict", run, "-"]) == 2
    assert "none is piped in" in capsys.readouterr().err


def test_a_run_outlives_a_change_of_folder(
    home: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    run = api.load("run")
    monkeypatch.chdir(tmp_path)
    assert run.folder == home / "run"
    assert len(run.predict(paths[0])) == 1
    assert run.recipe["model"] == "mlp"


def test_what_is_no_run_is_called_what_it_is(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, picture = home / "run", str(next((home / "photos" / "ring").iterdir()))
    inside = [*run.glob("*.*"), *(run / "bundle").iterdir()]
    inside = [path for path in inside if path.is_file()]
    assert {"recipe.toml", "model.json", "model.safetensors"} <= {path.name for path in inside}
    for path in inside:
        assert cli.main(["predict", str(path), picture]) == 1
        wanted = path.parent
        expected = f"striate: {path} is a file of a run, whose folder is wanted: give {wanted}\n"
        assert capsys.readouterr().err == expected
    (tmp_path / "run.tar").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    for name, message in {
        "run.tar": "is an archive: a run is a folder, unpack it and give that",
        "notes.txt": "is a file: a run is a folder, with recipe.toml in it",
        "nothing": "does not exist",
        ".": "is no run: it has no recipe.toml",
    }.items():
        assert cli.main(["predict", str(tmp_path / name), picture]) == 1
        assert message in capsys.readouterr().err


def test_a_bundle_predicts_and_says_where_its_training_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(home / "run" / "bundle")
    assert cli.main(["predict", bundle, str(home / "photos" / "ring")]) == 0
    assert cli.main(["evaluate", bundle, str(home / "photos")]) == 0
    capsys.readouterr()
    for arguments in (["evaluate", bundle], ["train", "--resume", bundle]):
        assert cli.main(arguments) == 1
        said = capsys.readouterr().err
        assert f"and not its training: give the run's folder, {home / 'run'}\n" in said


def test_the_limit_of_pixels_is_chosen_where_pictures_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in CLASSES[:2]:
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(6):
            image = Image.fromarray(drawing(kind, number, 40))
            image.save(tmp_path / "data" / kind / f"{number}.{'jpg' if number else 'png'}")
    data, limit = str(tmp_path / "data"), ["--max-megapixels", "0.001"]  # 1000, of 1600 pixels
    run, flags = str(tmp_path / "run"), "--model mlp --arguments.hidden 4 --size 8 --epochs 1"
    assert cli.main(["train", data, "-o", run, *flags.split(), "--batch-size", "4", *limit]) == 0
    assert "2 unreadable pictures left out" in capsys.readouterr().err
    assert cli.main(["data", data, "--json", *limit]) == 0
    report = json.loads(capsys.readouterr().out)
    reason = "40 x 40 pixels, more than 1000 are refused (--max-megapixels sets the limit)"
    assert [entry["reason"] for entry in report["unreadable"]] == [reason] * 2
    assert report["sizes"]["height"] == {"smallest": 40, "median": 40, "largest": 40}
    for more, expected in (([], 2), (["--max-megapixels", "1"], 0)):
        assert cli.main(["predict", run, data, "--json", *more]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["error"] for row in rows if row["error"]] == [reason] * expected
        assert cli.main(["evaluate", run, data, "--json", *more]) == 0
        assert len(json.loads(capsys.readouterr().out)["unreadable"]) == expected
    for command in (["predict", run, data], ["evaluate", run, data], ["data", data]):
        assert cli.main([*command, "--max-megapixels", "0"]) == 2
        assert "--max-megapixels is above 0" in capsys.readouterr().err


def test_heic_is_read_where_its_decoder_is_there_and_counted_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    for kind in CLASSES[:2]:
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(5):
            image = Image.fromarray(drawing(kind, number))
            image.save(tmp_path / "data" / kind / f"{number}.png")
            if number < 2:
                pillow_heif.from_pillow(image).save(tmp_path / "data" / kind / f"{number}.HEIC")
    data = str(tmp_path / "data")
    assert cli.main(["data", data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == {"train": 14}
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    assert cli.main(["data", data, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["splits"] == {"train": 10}
    assert {entry["file"].rpartition(".")[2] for entry in report["unreadable"]} == {"HEIC"}
    assert all("pip install pillow-heif" in entry["reason"] for entry in report["unreadable"])
    flags = "--model mlp --arguments.hidden 4 --size 8 --epochs 1 --batch-size 4"
    assert cli.main(["train", data, "-o", str(tmp_path / "run"), *flags.split()]) == 0
    said = capsys.readouterr().err
    assert "4 unreadable pictures left out" in said
    assert "pip install pillow-heif" in said
