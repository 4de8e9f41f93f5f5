"""The data doctor: planted copies are found, others are not; counts and means are right."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from striate import api, cli, groups
from striate import data as sources
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.inspection import fingerprints, inspect, leaks
from striate.inspection.duplicates import Thumbs, near, of_pixels, thumbnail, thumbs
from striate.inspection.leaks import matters
from striate.training import preview
from striate.training.start import Means

Pixels = NDArray[np.uint8]
GREY = Preprocessing(size=(32, 32), channels=1, normalise="none")


def compared(images: list[Image.Image]) -> Thumbs:
    grey = torch.from_numpy(np.stack([thumbnail(image) for image in images]))
    colours = torch.tensor([np.asarray(i.convert("RGB")).mean((0, 1)).tolist() for i in images])
    return thumbs(grey, colours)


def scene(number: int, side: int = 96) -> Image.Image:
    """Draw a picture that is unlike the others: blurred noise in colour."""
    random = np.random.default_rng([7, number])
    coarse = random.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


CHANGES: dict[str, Any] = {
    "re-encoded at 90": lambda image: encoded(image, 90),
    "re-encoded at 30": lambda image: encoded(image, 30),
    "halved": lambda image: image.resize((48, 48), Image.Resampling.LANCZOS),
    "doubled": lambda image: image.resize((192, 192), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((130, 96), Image.Resampling.BILINEAR),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored and re-encoded": lambda image: encoded(
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 60
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change: str) -> None:
    images = [scene(number) for number in range(200)]
    planted = [CHANGES[change](image) for image in images[:50]]
    pairs = near(compared([*images, *planted]))
    assert {(pair.first, pair.second) for pair in pairs} == {(n, 200 + n) for n in range(50)}
    assert {pair.mirrored for pair in pairs} == {"mirrored" in change}


def test_mirrored_copies_are_left_alone_where_that_is_asked_for() -> None:
    images = [scene(number) for number in range(30)]
    turned = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in images]
    assert len(near(compared(images), compared(turned))) == 30
    assert near(compared(images), compared(turned), mirrored=False) == []


def test_the_same_shape_in_another_colour_is_no_copy() -> None:
    base = np.asarray(scene(1)).astype(int)
    red = Image.fromarray((base // 2 + [100, 0, 0]).astype(np.uint8))
    blue = Image.fromarray((base // 2 + [0, 0, 100]).astype(np.uint8))
    assert near(compared([red, blue, *(scene(n) for n in range(2, 30))])) == []


def test_pictures_without_contrast_are_copies_of_nothing() -> None:
    flat = [Image.new("RGB", (40, 40), (level, level, level)) for level in (0, 0, 100, 255)]
    assert near(compared([*flat, *(scene(n) for n in range(20))])) == []


def test_handwritten_ones_are_all_alike_and_no_copies(shared_data: Path) -> None:
    """The case where a fixed limit fails: many pictures close to each other, none a copy."""
    if not (shared_data / sources.named.LISTED["mnist"].folder).is_dir():
        pytest.skip("STRIATE_DATA has no mnist")
    split = sources.find("mnist").splits["test"]
    ones = split.take(np.flatnonzero(split.labels == 1))
    known = of_pixels(torch.from_numpy(np.asarray(ones.pictures))[:, None])
    alike = (known.grey @ known.grey.T).fill_diagonal_(-1).amax(1)
    assert (alike > 0.98).float().mean() > 0.5, "they are much alike"
    assert len({p.first for p in near(known)}) <= 0.02 * len(ones)
    copies = compared(
        [encoded(Image.fromarray(one), 50).convert("L") for one in ones.pictures[:50]]
    )
    found = {(p.first, p.second) for p in near(copies, known, mirrored=False)}
    assert {(n, n) for n in range(50)} <= found


@pytest.mark.parametrize("channels", [1, 3])
def test_thumbnails_of_files_and_of_pixels_agree(channels: int) -> None:
    image = scene(3).convert("L" if channels == 1 else "RGB")
    pixels = torch.from_numpy(np.array(image).reshape(96, 96, channels)).permute(2, 0, 1)
    one = compared([image]).grey
    other = of_pixels(pixels[None]).grey
    assert float((one * other).sum()) > 0.9999


@pytest.mark.parametrize("count", [1, 2, 3, 11, 12])
def test_few_pictures_are_compared_as_well(count: int) -> None:
    images = [scene(number) for number in range(count)]
    assert near(compared(images)) == []
    pairs = near(compared([*images, encoded(images[0], 80)]))
    assert [(p.first, p.second) for p in pairs] == [(0, count)]


def test_many_copies_of_one_picture_are_all_found() -> None:
    copies = [encoded(scene(0), quality) for quality in range(75, 95)]
    pairs = near(compared([*copies, *(scene(n) for n in range(1, 40))]))
    assert {place for p in pairs for place in (p.first, p.second)} == set(range(20))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_a_report_has_the_mean_of_all_pixels(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    pictures = [
        random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        random.integers(0, 256, (width, height), dtype=np.uint8),
        random.integers(0, 256, (3, 3, 3), dtype=np.uint8),
    ]
    report = inspect(sources.find([(picture, place) for place, picture in enumerate(pictures)]))
    whole = np.concatenate(
        [
            np.broadcast_to(
                p.reshape(-1, 3 if p.ndim == 3 else 1),
                (p[..., 0].size if p.ndim == 3 else p.size, 3),
            )
            for p in pictures
        ]
    )
    assert report.mean == pytest.approx((whole / 255).mean(0).tolist(), abs=1e-9)
    assert report.std == pytest.approx((whole / 255).std(0).tolist(), abs=1e-7)


def put(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A folder with copies across its splits, damage, and what else a doctor should see."""
    root = tmp_path / "leaking"
    for place, kind in enumerate(("ant", "bee")):
        for number in range(12):
            put(scene(100 * place + number, 40), root / "train" / kind / f"{number}.png")
        for number in range(4):
            put(scene(1000 + 100 * place + number, 40), root / "test" / kind / f"{number}.png")
    put(scene(0, 40), root / "test" / "ant" / "exact.png")
    put(encoded(scene(101, 40), 60), root / "test" / "bee" / "near.jpg")
    put(scene(5, 40), root / "train" / "bee" / "ant-5.png")
    put(Image.new("L", (40, 40), 9), root / "train" / "bee" / "black.png")
    put(scene(7, 40), root / "train" / "wasp" / "only.png")
    (root / "train" / "ant" / "broken.jpg").write_bytes(b"no picture")
    return root


def test_a_report_says_what_is_odd(leaking: Path) -> None:
    report = api.inspect(leaking)
    document = report.to_json()
    assert document["splits"] == {"train": 27, "test": 10}
    assert document["classes"]["bee"] == {"test": 5, "train": 14}
    assert [entry["file"] for entry in document["unreadable"]] == ["train/ant/broken.jpg"]
    found = document["duplicates"]
    assert sorted(map(sorted, found["exact"])) == [
        ["test/ant/exact.png", "train/ant/0.png"],
        ["train/ant/5.png", "train/bee/ant-5.png"],
        ["train/ant/7.png", "train/wasp/only.png"],
    ]
    pairs = {frozenset((pair["first"], pair["second"])) for pair in found["near"]}
    assert pairs == {frozenset({"test/bee/near.jpg", "train/bee/1.png"})}
    assert found["across"] == {"test": 2}
    assert len(found["conflicting"]) == 2
    text = "\n".join(report.warnings)
    for words in (
        "leak: 2 of 10 test pictures (20.00 %) with a copy (1 of them a near-copy) in train",
        "1 picture cannot be read",
        "3 exact copies, 1 pair of near-copies",
        "2 groups of copies with different labels",
        "1 class with one picture in train: wasp",
        "1 class without pictures in test: wasp",
        "train is unbalanced: 14 of bee, 1 of wasp",
        "1 picture of one colour only, train/bee/black.png",
        "1 file name with another class in it: train/bee/ant-5.png is in bee",
    ):
        assert words in text


def test_clean_data_have_nothing_odd(tmp_path: Path) -> None:
    for place, kind in enumerate(("ant", "bee")):
        for number in range(5):
            put(scene(10 * place + number, 40), tmp_path / "clean" / kind / f"{number}.png")
    assert api.inspect(tmp_path / "clean").warnings == []


def test_a_score_on_a_leaking_split_says_so(leaking: Path, tmp_path: Path) -> None:
    told: list[str] = []
    run = api.train(
        leaking,
        out=tmp_path / "run",
        epochs=1,
        size=32,
        arguments={"width": 4},
        validation_share=0.0,
        tell=told.append,
    )
    assert any(line.startswith("leak: 2 of 10 test pictures (20.00 %)") for line in told)
    assert run.result["leak"]["copies"] == 2
    assert run.evaluate().to_json()["leak"]["pictures"] == 10
    assert groups.summaries(tmp_path)[0]["leak"] == run.leak("test")
    assert run.evaluate(leaking).to_json()["leak"] is None, "other data: not known"


def test_copies_are_found_where_pixels_are_not_held(leaking: Path, tmp_path: Path) -> None:
    told: list[str] = []
    choices: dict[str, Any] = {"epochs": 1, "size": 32, "model": "mlp", "validation_share": 0.0}
    run = api.train(
        leaking, out=tmp_path / "run", means=Means(memory=0), tell=told.append, **choices
    )
    assert any("decoded anew in each epoch" in line for line in told)
    assert run.result["leak"]["copies"] == 2, "copies are looked for as the pixels pass by"
    assert "test 10 pictures; 1 to 14 to train on of each class" in told[1]


def test_below_sixteen_pixels_only_exact_copies_leak() -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (8, 8), dtype=np.uint8) for _ in range(20)]
    almost = images[1].copy()
    almost[0, 0] ^= 1
    plain = Preprocessing(size=(8, 8), channels=1, normalise="none")
    parts = {
        "train": [(image, n % 2) for n, image in enumerate(images)],
        "test": [(images[0], 0), (almost, 1)],
    }
    split = sources.find(parts).splits
    found = leaks({k: fingerprints(read(v, plain)[0]) for k, v in split.items()})
    assert [(leak.split, leak.copies, leak.pictures) for leak in found] == [("test", 1, 2)]


DIGITS = sources.find("digits").splits["train"]


def enlarged(picture: Pixels, side: int, how: str) -> Pixels:
    if how == "BLOCKS":
        return np.kron(picture, np.ones((side // 8, side // 8), np.uint8))
    image = Image.fromarray(picture).resize((side, side), Image.Resampling[how])
    return np.asarray(image)


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_enlarging_changes_no_verdict(side: int) -> None:
    """Digits of 8x8 pixels are compared by equality, whatever size the network gets them in."""
    pictures = np.concatenate([np.asarray(DIGITS.pictures)[:800], DIGITS.pictures[3:5]])
    rows = np.arange(400, 802)
    parts = {
        "train": [(picture, 0) for picture in pictures[:400]] + [(pictures[0], 1)],
        "test": [(pictures[row], 1) for row in rows],
    }
    network = Preprocessing(size=(side, side), channels=1, normalise="none")
    split = sources.find(parts).splits
    (leak,) = leaks({k: fingerprints(read(v, network)[0]) for k, v in split.items()})
    assert (leak.copies, leak.near) == (2, 0)


@pytest.mark.parametrize("how", ["BLOCKS", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_digits_that_were_saved_enlarged_have_no_near_copies(how: str) -> None:
    pictures = [enlarged(picture, 32, how) for picture in np.asarray(DIGITS.pictures)]
    data = sources.find([(picture, row % 10) for row, picture in enumerate(pictures)])
    assert inspect(data).duplicates.near == []
    known = fingerprints(read(data.splits["train"], GREY)[0])
    assert known.thumbs is not None
    assert near(known.thumbs, mirrored=False) == []


@pytest.mark.parametrize(
    ("exact", "near_ones", "said"), [(0, 1, False), (0, 2, True), (1, 0, True)]
)
def test_few_near_copies_are_not_worth_a_word(exact: int, near_ones: int, said: bool) -> None:
    assert matters(exact + near_ones, near_ones, 1500) == said


def test_a_leak_is_said_once_and_near_copies_are_called_that(
    leaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (leaking / "test" / "ant" / "exact.png").unlink()
    choices = ["--model", "mlp", "--size", "32", "--epochs", "1", "--validation-share", "0"]
    assert cli.main(["train", str(leaking), *choices, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert said.err.count("leak: 1 of 9 test pictures (11.11 %) with a near-copy in train") == 1
    assert "leak:" not in said.out
    assert "9 pictures, 1 with a near-copy in train)" in said.out
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.count("leak: 1 of 9 test pictures") == 1


def test_a_preview_shows_every_class_plain_and_augmented(photos: Path) -> None:
    picture = Image.open(io.BytesIO(api.preview(photos, size=16)))
    assert picture.format == "PNG"
    assert picture.width > picture.height / 3


@pytest.mark.parametrize(
    ("classes", "shown"),
    [(1, 16), (3, 15), (10, 10), (16, 16), (40, 16)],
)
def test_a_preview_shows_as_many_pictures_of_each_class(classes: int, shown: int) -> None:
    labels = np.repeat(np.arange(classes), 20)
    split = Split(np.zeros((len(labels), 8, 8), np.uint8), labels, [str(i) for i in labels])
    counts = np.unique(preview._some(split).labels, return_counts=True)[1]
    assert counts.sum() == shown
    assert len(set(counts.tolist())) == 1


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_false_alarms_are_rare_on_real_pictures(shared_data: Path, name: str) -> None:
    if not (shared_data / sources.named.LISTED[name].folder).is_dir():
        pytest.skip(f"STRIATE_DATA has no {name}")
    split = sources.find(name).splits["test"].take(np.arange(5000))
    pixels = torch.from_numpy(np.asarray(split.pictures))
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    known = of_pixels(pixels)
    alarmed = {place for p in near(known) for place in (p.first, p.second)}
    assert len(alarmed) <= 0.005 * len(split)
    random = np.random.default_rng(0)
    chosen = random.choice(len(split), 50, replace=False)
    planted = [encoded(Image.fromarray(np.asarray(split.pictures[row])), 60) for row in chosen]
    channels = pixels.shape[1]
    copies = compared([image.convert("L" if channels == 1 else "RGB") for image in planted])
    found = {(p.first, p.second) for p in near(copies, known)}
    assert {(n, int(row)) for n, row in enumerate(chosen)} <= found
