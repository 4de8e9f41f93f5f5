"""The atlas of a folder: its arrays against brute force, and data without classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pages import parts
from PIL import Image

import striate
from striate import api, cli, features, seeing
from striate.data import find_any
from striate.figures.atlas import apart
from striate.report import atlas as making
from striate.seeing import class_groups


def drawn(folder: Path, count: int, shade: int) -> None:
    """Draw noisy squares of one brightness."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(shade)
    for number in range(count):
        pixels = np.clip(noise.normal(shade, 30, (12, 12, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "photos"
    for name, shade in (("bright", 190), ("dark", 60), ("mid", 120)):
        drawn(place / name, 14, shade)
    return place


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    choices: dict[str, Any] = {"epochs": 2, "batch_size": 8, "arguments": {"width": 4}}
    return api.train(photos, out=photos.parent / "run", **choices).folder


def test_an_atlas_says_what_its_vectors_say(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map.html"
    assert cli.main(["atlas", str(photos), "--model", str(run), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    embedded = striate.embed(photos, model=run, place=True)
    assert embedded.xy is not None
    shown, arrays = parts(out)
    assert shown["files"] == list(embedded.files)
    np.testing.assert_array_equal(arrays["label"], embedded.labels)
    assert said["n"] == len(embedded) == 42
    assert said["bytes"] == out.stat().st_size
    assert said["recall"] == shown["map"]["recall"] == seeing.recall(embedded.vectors, embedded.xy)
    assert said["trustworthiness"] == seeing.trustworthiness(embedded.vectors, embedded.xy)
    far = np.linalg.norm(embedded.vectors[:, None] - embedded.vectors[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    near = np.argsort(far, axis=1, kind="stable")
    same = embedded.labels[near[:, :10]] == embedded.labels[:, None]
    assert said["purities"]["the network's activations"] == pytest.approx(same.mean())
    assert said["purities"]["chance"] == pytest.approx(13 / 41)
    np.testing.assert_allclose(
        arrays["distances"], np.take_along_axis(far, near[:, :3], 1), rtol=1e-4
    )
    assert dict(shown["map"]["purities"]) == said["purities"]


def test_pictures_without_classes_have_a_map_and_vectors(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    drawn(flat, 12, 100)
    (flat / "note.txt").write_text("x")
    (flat / "13.png").write_bytes(b"no picture")
    found = striate.atlas(flat, model=run, out=tmp_path / "flat.html")
    shown, arrays = parts(found.path)
    assert shown["classes"] == []
    assert shown["map"]["purities"] == []
    assert set(arrays["label"].tolist()) == {-1}
    assert any("1 picture could not be read" in line for line in shown["warnings"])
    out = tmp_path / "flat.parquet"
    assert cli.main(["embed", str(flat), "--model", str(run), "-o", str(out)]) == 0
    assert "13.png" in capsys.readouterr().err
    assert pq.read_table(out)["class"].to_pylist() == [None] * 12
    assert cli.main(["atlas", str(flat), "--model", str(run), "--strict", "-o", "n.html"]) == 1
    assert not Path("n.html").exists()
    assert cli.main(["atlas", str(flat), "--model", str(run), "-o", "map.png"]) == 2
    assert "--out is an .html file" in capsys.readouterr().err


def test_of_too_many_a_part_is_drawn_by_lot(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MOST", 30)
    figures = tmp_path / "figures"
    found = striate.atlas(photos, model=run, out=tmp_path / "some.html", figures=figures)
    assert sorted(path.name for path in figures.iterdir()) == ["atlas.png", "atlas.svg"]
    assert found.notes == ["30 of the 42 pictures are shown, drawn by lot."]
    every = striate.embed(photos, model=run)
    rows = [list(every.files).index(file) for file in found.embedded.files]
    assert rows == sorted(set(rows))
    assert len(rows) == 30
    np.testing.assert_allclose(found.embedded.vectors, every.vectors[rows], rtol=1e-5, atol=1e-6)
    assert len(found.pictures) == 30


def test_a_training_writes_its_report_where_it_is_asked_to(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "1", "--arguments.width", "4", "--out", str(tmp_path / "r"), "--report"]
    assert cli.main(["train", str(photos), *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    path = tmp_path / "r" / "report.html"
    assert Path(said["report"]) == path
    shown, arrays = parts(path)
    assert shown["headline"]["value"] == said["accuracy"]
    # What excites a map most: the largest of its answers to each picture, by running the network.
    loaded = api.load(tmp_path / "r")
    layer, rows = shown["excited"]["layers"][1], arrays["excited_1"]
    preparation = loaded.bundle.preprocessing
    split = loaded.evaluate().pictures.split
    pixels = torch.stack([preparation.pixels(one) for one in split.pictures])
    with torch.no_grad():
        maps = features.activations(loaded.model, preparation.values(pixels), [layer["name"]])
    most = maps[layer["name"]].amax((2, 3))[:, layer["channels"]].T.numpy()
    np.testing.assert_allclose(
        np.take_along_axis(most, rows, 1), -np.sort(-most, 1)[:, : rows.shape[1]], rtol=1e-5
    )
    assert cli.main(["train", str(photos), "--rate", "find", "--report"]) == 2
    assert "--report is of one training" in capsys.readouterr().err


def test_folders_with_classes_keep_them(photos: Path) -> None:
    assert find_any(photos).classes == ("bright", "dark", "mid")
    assert find_any("digits").classes == tuple("0123456789")
    assert find_any(photos / "dark").classes == ()


def test_alike_classes_share_a_group() -> None:
    random = np.random.default_rng(0)
    middles = random.normal(size=(4, 5)) * 20
    group = random.integers(0, 4, 30)
    labels = np.repeat(np.arange(30), 6)
    vectors = middles[group[labels]] + random.normal(size=(180, 5))
    found = class_groups(vectors, labels, 31, most=4)
    assert found.shape == (31,)
    assert len({(a, b) for a, b in zip(group, found[:30], strict=True)}) == len(set(group))
    assert found[30] == 3  # no picture
    np.testing.assert_array_equal(class_groups(vectors, labels % 10, 10), np.arange(10))


def test_pictures_that_are_drawn_lie_apart_and_cover_the_others() -> None:
    places = np.random.default_rng(1).uniform(0, 100, (300, 2))
    shown = apart(places, 9.0)
    gaps = np.abs(places[:, None] - places[None]).max(-1)
    chosen = np.flatnonzero(shown)
    assert (gaps[np.ix_(chosen, chosen)][~np.eye(len(chosen), dtype=bool)] >= 9).all()
    for row in np.flatnonzero(~shown):
        earlier = chosen[chosen < row]
        assert (gaps[row, earlier] < 9).any()
