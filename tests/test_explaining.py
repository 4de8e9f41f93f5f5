"""Embedding and explaining by command and from Python: files, names, neighbours, figures."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import CLASSES, drawing
from PIL import Image

import striate
from striate import api, cli, features, figures, files, models, seeing
from striate.errors import DataError, UsageError
from striate.figures.sheet import caption_lines
from striate.runs import bundle, folder
from striate.seeing.explaining import Where
from striate.sounds import Sound

TINY: dict[str, Any] = {"size": 20, "batch_size": 12, "arguments": {"width": 8, "stages": 2}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawings, one of them damaged, and a run that was trained on them."""
    root = tmp_path_factory.mktemp("explaining")
    for kind in CLASSES:
        (root / "data" / kind).mkdir(parents=True)
        for number in range(16):
            Image.fromarray(drawing(kind, number)).save(root / "data" / kind / f"{number:02}.png")
    (root / "data" / "ring" / "bad.png").write_bytes(b"no picture")
    (root / "new").mkdir()
    for kind in CLASSES:
        Image.fromarray(drawing(kind, 99)).save(root / "new" / f"{kind}.png")
    striate.train(root / "data", out=root / "run", epochs=3, **TINY)
    return root


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> api.Run:
    monkeypatch.chdir(home)
    shutil.copytree(home / "run", tmp_path / "run")
    return striate.load(tmp_path / "run")


def noises() -> list[tuple[Sound, int]]:
    """Sounds of two classes."""
    random, time = np.random.default_rng(0), np.arange(4000)
    return [
        (Sound(random.normal(0, 0.1, 4000) * np.sin(time * (0.1 + kind)), 8000), kind)
        for kind in (0, 1) * 6
    ]


def embedded(run: api.Run, name: str) -> np.ndarray:
    with torch.no_grad():
        values = run.bundle.preprocessing(Path(f"data/{name}"))[None]
        return features.embedding(run.model, values)[0][0].numpy()


def test_vectors_are_written_with_their_names(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    out = tmp_path / "made" / "features.parquet"
    assert cli.main(["embed", "data", "--model", "run", "--map", "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "left out: ring/bad.png: " in said
    assert f"wrote {out}: 48 vectors, 16 numbers each" in said
    table = pq.read_table(out)
    assert table.column_names == ["file", "split", "class", "vector", "x", "y"]
    assert set(table["split"].to_pylist()) == {"train"}
    run = striate.load("run")
    for row in table.slice(5, 3).to_pylist():
        assert row["file"].startswith(row["class"])
        np.testing.assert_allclose(row["vector"], embedded(run, row["file"]), rtol=1e-4, atol=1e-6)
    again = striate.embed("data", model="run")
    assert again.xy is None
    assert np.array_equal(again.vectors, np.array(table["vector"].to_pylist(), np.float32))


def test_a_librarys_network_gets_its_weights_from_a_file(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    net = models.build("timm/test_resnet", 7, size=64)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    out = str(tmp_path / "f.parquet")
    line = ["embed", str(home / "new"), "--model", "timm/test_resnet", "-o", out]
    (home / "new" / "all").mkdir(exist_ok=True)
    shutil.copy(home / "new" / "ring.png", home / "new" / "all")
    assert cli.main([*line, "--weights", str(tmp_path / "net.pth")]) == 0
    assert f"weights from {tmp_path / 'net.pth'}" in capsys.readouterr().err
    found = seeing.network("timm/test_resnet", weights=str(tmp_path / "net.pth"))
    wanted = models.published("timm/test_resnet")
    assert wanted is not None
    assert found.preprocessing.shape == (3, *wanted.size)
    shutil.rmtree(home / "new" / "all")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "convnet"], "a run's folder, torchvision/NAME or timm/NAME, not convnet"),
        (["--model", "run", "--weights", "x.pth"], "brings its own weights: leave out --weights"),
        (["--model", "timm/resnet_18"], "did you mean"),
        (["--model", "run", "-o", "features.csv"], "is a .parquet file, not features.csv"),
    ],
)
def test_what_cannot_embed_says_what_can(
    home: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    out = [] if "-o" in words else ["-o", "made.parquet"]
    assert cli.main(["embed", "data", *words, *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_pictures_are_not_embedded_by_a_network_of_sounds(run: api.Run) -> None:
    with pytest.raises(DataError, match="takes pictures, and the data are sounds"):
        striate.embed({"train": noises()}, model=run.folder)


def test_a_picture_is_explained(run: api.Run, home: Path) -> None:
    rows = run.explain([f"new/{kind}.png" for kind in CLASSES] + ["data/ring/bad.png"])
    assert [Path(row.file).stem for row in rows] == [*CLASSES, "bad"]
    assert rows[-1].error
    expected = run.predict(rows[0].file)[0].classes
    assert [name for name, _ in rows[0].classes] == [one.name for one in expected]
    table = folder.read_features(run.folder)
    assert table is not None
    assert len(table) == 48
    training = {
        row["file"]: np.array(row["vector"], np.float32)
        for row in table.to_pylist()
        if row["split"] == "train"
    }
    with torch.no_grad():
        values = run.bundle.preprocessing(Path(rows[1].file))[None]
        own = features.embedding(run.model, values)[0][0].numpy()
    gaps = sorted((float(np.linalg.norm(vector - own)), name) for name, vector in training.items())
    assert [near.file for near in rows[1].neighbours] == [name for _, name in gaps[:3]]
    for near, (gap, name) in zip(rows[1].neighbours, gaps, strict=False):
        assert near.distance == pytest.approx(gap, rel=1e-3)
        assert near.label == name.split("/")[0]
        assert near.picture is not None
        with Image.open(home / "data" / name) as image:
            assert np.array_equal(near.picture, np.asarray(image))
    where = rows[1].where
    assert where is not None
    layer = seeing.last(run.model, (3, 20, 20))
    target = torch.tensor([run.classes.index(rows[1].classes[0][0])])
    raw = seeing.grad_cam(run.model, values, target, layer.name)[0].numpy()
    np.testing.assert_allclose(where.values, raw, rtol=1e-3, atol=1e-6)
    assert (where.layer, where.field) == (layer.name, layer.field)


def test_features_are_made_once_and_anew_for_another_network(
    run: api.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = "new/ring.png"
    first = run.explain(picture)[0]
    kept = (run.folder / folder.FEATURES).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(seeing.embedding, "embed", None)  # a second time nothing is embedded
        again = striate.load(run.folder).explain(picture)[0]
    assert [near.file for near in again.neighbours] == [near.file for near in first.neighbours]
    document, blobs = files.read_sealed(run.folder / "bundle", "model.json")
    other = models.build(run.bundle.architecture, len(run.classes), channels=3, size=(20, 20))
    blobs["model.safetensors"] = bundle.tensor_bytes(other.state_dict())
    files.write_sealed(run.folder / "bundle", "model.json", document, blobs)
    assert folder.read_features(run.folder) is None
    striate.load(run.folder).explain(picture)
    assert (run.folder / folder.FEATURES).read_bytes() != kept
    (run.folder / folder.FEATURES).write_bytes(kept[:-40])
    notes: list[str] = []
    (row,) = striate.load(run.folder).explain(picture, tell=notes.append)
    assert row.neighbours == []
    assert "features.parquet cannot be read" in notes[0]


def test_explain_prints_rows_and_draws_a_sheet(
    run: api.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["explain", str(run.folder), "new", "data/ring/bad.png", "-o", str(tmp_path / "s.png")]
    assert cli.main([*line, "--json"]) == 0
    out, said = capsys.readouterr()
    assert f"wrote {tmp_path / 's.png'}: 3 pictures" in said
    rows = json.loads(out)
    assert [bool(row["error"]) for row in rows] == [False] * 3 + [True]
    assert len(rows[0]["neighbours"]) == 3
    assert np.array(rows[0]["map"]).ndim == 2
    with Image.open(io.BytesIO((tmp_path / "s.png").read_bytes())) as image:
        assert image.width == 1600
    assert cli.main(line[:-2]) == 0
    out = capsys.readouterr().out
    assert "like " in out
    assert "rank correlation with shuffled weights" in out
    assert cli.main(["explain", str(run.folder), "data/ring/bad.png"]) == 1
    assert "none of the pictures could be read" in capsys.readouterr().err
    assert cli.main(["explain", str(run.folder), "new", "-o", "s.jpg"]) == 2


def captions_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[list[str]], list[Any]]]:
    """Keep each sheet's title, lines and pictures as it is drawn."""
    kept = list[tuple[str, list[list[str]], list[Any]]]()
    draw = figures.sheet

    def sheet(images: Any, captions: Any, **choices: Any) -> bytes:
        lines = [caption_lines(caption, 10_000) for caption in captions]
        kept.append((choices["title"], lines, list(images)))
        return draw(images, captions, **choices)

    monkeypatch.setattr(figures, "sheet", sheet)
    return kept


def test_a_sheet_says_of_how_many_pictures_it_is(
    run: api.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = captions_of(monkeypatch)
    for number in range(25):
        shutil.copy("new/ring.png", tmp_path / f"{number}.png")
    pictures = sorted(map(str, tmp_path.glob("*.png")))
    sheet = tmp_path / "made" / "sheet.png"
    for count, said in (
        (24, "24 pictures"),
        (25, "the first 24 of 25 pictures (a sheet holds 24)"),
    ):
        line = ["explain", str(run.folder), *pictures[:count], "-o", str(sheet)]
        assert cli.main(line) == 0
        assert f"wrote {sheet}: {said}\n" in capsys.readouterr().err
        assert kept[-1][0] == f"run: {said}, where it looked, what it saw alike"


def test_shuffled_maps_have_a_scale_each_and_the_others_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = captions_of(monkeypatch)
    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1

    def explained(own: float, other: float) -> seeing.Explanation:
        where = Where("conv", (3, 3), own * corner, other * corner, 0.5)
        return seeing.Explanation("a.png", np.zeros((8, 8), np.uint8), [("cat", 1.0)], where)

    seeing.explanation_sheet([explained(1, 1), explained(0.1, 0.01), explained(-1, -1)], title="t")
    ((_, lines, images),) = kept
    orange = [int(images[6 * row + place].picture[0, 0, 0]) for row in range(3) for place in (1, 2)]
    assert orange[0] == orange[1] == orange[3] > 6 * orange[2] > 0
    assert orange[4:] == [0, 0]
    scales = [lines[6 * row + 2][-1] for row in range(3)]
    assert scales == ["a scale of its own", "a scale of its own", "nowhere above 0"]


def test_what_there_cannot_be_is_said(run: api.Run, home: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    (row,) = striate.load(run.folder / "bundle").explain("new/ring.png", tell=notes.append)
    assert not row.neighbours
    assert notes == ["no similar picture is shown: a bundle knows no training"]
    assert row.where is not None
    record = json.loads((run.folder / "data.json").read_text())
    record["origin"]["text"] = str(tmp_path / "gone")
    (run.folder / "data.json").write_text(json.dumps(record))
    notes.clear()
    (row,) = run.explain("new/ring.png", tell=notes.append)
    assert row.neighbours == []
    assert "no similar picture is shown: the data of this run are gone" in notes[0]
    flat = striate.train(
        home / "data", model="mlp", out=tmp_path / "flat", epochs=1, size=8, arguments={"hidden": 8}
    )
    notes.clear()
    (row,) = flat.explain("new/ring.png", tell=notes.append)
    assert row.where is None
    assert "has no maps of the picture" in notes[0]
    assert seeing.explanation_sheet([row])[:4] == b"\x89PNG"


def test_sounds_are_explained_as_spectrograms(tmp_path: Path) -> None:
    run = striate.train({"train": noises()}, out=tmp_path / "run", epochs=1)
    notes: list[str] = []
    (row,) = run.explain([noises()[0][0]], tell=notes.append)
    assert row.where is not None
    assert row.picture is not None
    assert row.picture.ndim == 3
    assert "no similar sound is shown" in notes[0]  # a Dataset object cannot be opened again
    with pytest.raises(UsageError):
        run.explain(3)
