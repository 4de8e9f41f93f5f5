"""A picture gives the network the same numbers, bit for bit, on every path."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from torch import Tensor

from striate import api, cli, evaluation
from striate.data.preparation.preprocessing import Preprocessing

SIZES = [(40, 60), (64, 64), (33, 90), (120, 45)]


def picture(number: int) -> Image.Image:
    """Draw one: sizes, modes and EXIF turns vary."""
    random = np.random.default_rng(number)
    height, width = SIZES[number % len(SIZES)]
    smooth = Image.fromarray(random.integers(0, 255, (6, 9, 3)).astype(np.uint8))
    return smooth.resize((width, height), Image.Resampling.BICUBIC)


def save(folder: Path, number: int) -> None:
    """Save it in one of several formats and modes."""
    drawn = picture(number)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / str(number)
    exif = Image.Exif()
    exif[0x0112] = 1 + number // 10 % 8
    kinds: list[Callable[[], Any]] = [
        lambda: drawn.save(f"{place}.jpg", exif=exif, quality=90),
        lambda: drawn.save(f"{place}.png"),
        lambda: drawn.convert("L").save(f"{place}.png"),
        lambda: drawn.convert("CMYK").save(f"{place}.jpg"),
        lambda: with_alpha(drawn).save(f"{place}.webp", lossless=True),
        lambda: drawn.quantize(32).save(f"{place}.gif"),
        lambda: drawn.save(f"{place}.avif", exif=exif),
        lambda: pillow_heif.from_pillow(drawn).save(f"{place}.heic"),
        lambda: drawn.save(f"{place}.jp2"),
        lambda: with_alpha(drawn).save(f"{place}.tga"),
    ]
    kinds[number % len(kinds)]()


def with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(image.convert("L"))
    return image


class Listener:
    """Hashes what `Preprocessing.values` gives, picture by picture."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[str] = set()
        plain = Preprocessing.values

        def values(preprocessing: Preprocessing, batch: Tensor) -> Tensor:
            found = plain(preprocessing, batch)
            self.seen |= {digest(one) for one in found}
            return found

        monkeypatch.setattr(Preprocessing, "values", values)

    def heard(self) -> set[str]:
        found, self.seen = self.seen, set()
        return found


def digest(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


@pytest.fixture(params=["dataset", "picture", "zca"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of 48 pictures in splits, and a run on it."""
    for number in range(48):
        split = ("train", "val", "test")[number % 3]
        save(tmp_path / "pictures" / split / f"class{number // 3 % 2}", number)
    run = api.train(
        tmp_path / "pictures",
        out=tmp_path / "run",
        size=16,
        epochs=1,
        batch_size=5,
        model="mlp",
        arguments={"hidden": 4},
        normalise=request.param,
    )
    return tmp_path / "pictures", run.folder


def test_every_path_gives_the_same_values(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pictures, path = trained
    paths = sorted((pictures / "val").rglob("*.*"))
    run = api.load(path)
    ear = Listener(monkeypatch)

    # Training's own evaluation, of a run with the same pictures.
    whole = api.train(
        pictures,
        out=path.with_name("again"),
        size=16,
        epochs=1,
        model="mlp",
        arguments={"hidden": 4},
        normalise=run.recipe["normalise"],
        batch_size=5,
        validation_share=0.1,
    )
    heard_in_training = ear.heard()
    run.evaluate(split="validation")
    expected = ear.heard()
    assert len(expected) == len(paths) == 16
    assert expected <= heard_in_training
    assert whole.bundle.preprocessing == run.bundle.preprocessing

    assert cli.main(["evaluate", str(path), "--split", "validation", "--json"]) == 0
    assert ear.heard() == expected
    run.evaluate(pictures / "val")  # a flat folder of classes
    assert ear.heard() == expected
    assert cli.main(["predict", str(path), str(pictures / "val"), "--workers", "2"]) == 0
    assert ear.heard() == expected
    run.predict([str(one) for one in paths], workers=0)
    assert ear.heard() == expected
    for one in paths:  # one at a time
        run.predict(one)
    assert ear.heard() == expected
    capsys.readouterr()


def test_arrays_pictures_and_files_are_the_same_to_python(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    preprocessing = api.load(trained[1]).bundle.preprocessing
    random = np.random.default_rng(1)
    array = random.integers(0, 255, (50, 70, 3)).astype(np.uint8)
    image = Image.fromarray(array)
    image.save(tmp_path / "one.png")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    forms: list[Any] = [array, image, tmp_path / "one.png", buffer.getvalue(), tensor]
    assert len({digest(preprocessing(form)) for form in forms}) == 1


def test_an_mnist_like_array_is_the_same_as_its_png(tmp_path: Path) -> None:
    run = api.train("digits", out=tmp_path / "run", epochs=1, arguments={"width": 4})
    found = run.evaluate()
    for row in range(5):
        Image.fromarray(found.image(row)).save(tmp_path / f"{row}.png")
    files = [tmp_path / f"{row}.png" for row in range(5)]
    pixels = [run.bundle.preprocessing.pixels(file) for file in files]
    logits = evaluation.answer(
        run.model, run.bundle.preprocessing, torch.stack(pixels), device=torch.device("cpu")
    )
    torch.testing.assert_close(logits, found.logits[:5])
    of_arrays = next(found.pictures.batches(torch.arange(5), 5)).pixels
    assert torch.equal(torch.stack(pixels), of_arrays)


def test_the_json_of_predictions_is_documented(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, path = trained
    assert cli.main(["predict", str(path), str(pictures / "val"), "--json", "--top", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 16
    for row in rows:
        assert set(row) == {"file", "classes", "error"}
        assert row["error"] is None
        assert [set(found) for found in row["classes"]] == [{"name", "probability"}] * 2
        assert sum(found["probability"] for found in row["classes"]) == pytest.approx(1)
