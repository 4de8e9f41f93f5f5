"""What Python users hold: train, load, Run."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate import api
from striate.errors import DataError, UsageError
from striate.runs import folder
from striate.training.start import Means

TINY: dict[str, Any] = {"arguments": {"width": 4}, "epochs": 1, "batch_size": 256}


class Net(nn.Module):
    """A user's own network."""

    def __init__(self, classes: int, width: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.conv(x).mean((2, 3)))
        return found


class Fixed(nn.Module):
    """A network that needs nothing to be built."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(x.flatten(1))
        return found


class Stripes:
    """A user's own Dataset: PIL pictures of flat and striped squares."""

    classes = ("flat", "striped")

    def __init__(self, count: int = 40) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[Image.Image, int]:
        pixels = np.full((12, 12), 40 + place % 7, np.uint8)
        pixels[:: 1 + place % 2] += 90
        return Image.fromarray(pixels), place % 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    return api.train("digits", out=tmp_path_factory.mktemp("runs") / "digits", **TINY)


def test_a_run_leaves_what_it_promises(run: api.Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {
        "recipe.toml",
        "environment.json",
        "data.json",
        "splits.parquet",
        "metrics.jsonl",
        "checkpoints",
        "bundle",
        "predictions.parquet",
        "result.json",
        "overview.png",
    }
    assert not [name for name in names if name.startswith(".striate-tmp")]
    with Image.open(run.folder / "overview.png") as picture:
        assert picture.width >= 1200


def test_the_result_is_what_evaluation_finds(run: api.Run) -> None:
    found = run.evaluate()
    assert run.split == found.split == "test"
    assert run.accuracy == found.accuracy
    assert run.result["n"] == found.metrics.n == 359  # a fifth of 1,797
    answers, _ = found.answers()
    assert found.accuracy == (answers == found.labels).double().mean().item()


def test_predictions_are_saved_a_row_a_picture(run: api.Run) -> None:
    table = pq.read_table(run.folder / "predictions.parquet").to_pydict()
    right = [a == b for a, b in zip(table["class"], table["predicted"], strict=True)]
    assert np.mean(right) == pytest.approx(run.accuracy)
    for shares, best in zip(table["probabilities"], table["probability"], strict=True):
        assert sum(shares) == pytest.approx(1)
        assert max(shares) == best


def test_splits_are_saved_and_disjoint(run: api.Run) -> None:
    splits = folder.read_splits(run.folder)
    counts = {name: len(names) for name, names in splits.items()}
    assert counts["test"] == 359  # a fifth
    assert counts["validation"] in (143, 144)  # a tenth of the rest, class by class
    assert len({name for names in splits.values() for name in names}) == 1797


def test_a_moved_run_still_works(run: api.Run, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "elsewhere"
    shutil.copytree(run.folder, moved)
    assert api.load(moved).evaluate().accuracy == run.accuracy


def test_a_bundle_alone_predicts(run: api.Run) -> None:
    picture = np.zeros((8, 8), np.uint8)
    alone = api.load(run.folder / "bundle").predict(picture)
    assert alone == run.predict(picture)


def test_mistakes_are_wrong_and_the_surest_come_first(run: api.Run) -> None:
    found = run.evaluate()
    answers, shares = found.answers()
    rows = found.mistakes(10)
    assert rows
    assert all(answers[row] != found.labels[row] for row in rows)
    assert [float(shares[row]) for row in rows] == sorted(
        (float(shares[row]) for row in rows), reverse=True
    )


@pytest.mark.parametrize("model", [Net, functools.partial(Net, width=5)], ids=["class", "partial"])
def test_an_own_network_is_saved_and_reloads(tmp_path: Path, model: Any) -> None:
    run = api.train("digits", model=model, out=tmp_path / "run", epochs=1)
    again = api.load(run.folder)
    assert again.model is not run.model
    assert again.evaluate().accuracy == run.accuracy
    width = 5 if isinstance(model, functools.partial) else 3
    assert again.model.get_parameter("conv.weight").shape == (width, 1, 3, 3)


def test_an_own_instance_starts_from_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Fixed()
    run = api.train("digits", model=net, out=tmp_path / "run", epochs=1, rate=0.0)
    assert torch.equal(run.model.get_parameter("head.weight"), net.head.weight)


def test_an_instance_that_cannot_be_rebuilt_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"functools\.partial"):
        api.train("digits", model=nn.Linear(64, 10), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_from_a_file_is_saved_and_reloads(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "def build(classes, size, hidden=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(size[0] * size[1], hidden), nn.ReLU(),\n"
        "                         nn.Linear(hidden, classes))\n"
    )
    run = api.train(
        "digits", model=f"{file}:build", out=tmp_path / "run", epochs=1, arguments={"hidden": 6}
    )
    file.unlink()  # the run does not need it
    again = api.load(run.folder)
    assert again.evaluate().accuracy == run.accuracy
    assert again.model.get_parameter("1.weight").shape == (6, 64)


def test_an_own_dataset_trains_evaluates_and_resumes_with_the_data_given(tmp_path: Path) -> None:
    run = api.train(
        {"train": Stripes(40), "test": Stripes(10)}, out=tmp_path / "run", **{**TINY, "epochs": 8}
    )
    assert run.classes == ("flat", "striped")
    assert run.result["n"] == 10
    assert run.evaluate({"test": Stripes(10)}).accuracy == run.accuracy
    with pytest.raises(UsageError, match="pass the data again"):
        run.evaluate()


def test_an_own_dataset_class_reloads_by_itself(tmp_path: Path) -> None:
    run = api.train(functools.partial(Stripes, count=60), out=tmp_path / "run", **TINY)
    assert api.load(run.folder).evaluate().accuracy == run.accuracy


def test_classes_of_other_data_are_matched_by_name(run: api.Run, tmp_path: Path) -> None:
    found = run.evaluate()
    for row in range(60):
        name = found.classes[found.labels[row]]
        place = tmp_path / "more" / name
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.image(row)).save(place / f"{row}.png")
    (tmp_path / "more" / "0").rename(tmp_path / "zero")  # fewer classes: other places in the list
    other = run.evaluate(tmp_path / "more")
    rows = [row for row in range(60) if found.classes[found.labels[row]] != "0"]
    answers, _ = found.answers()
    expected = float((answers[rows] == found.labels[rows]).double().mean())
    assert other.accuracy == pytest.approx(expected)
    (tmp_path / "zero").rename(tmp_path / "more" / "nought")
    with pytest.raises(DataError, match="'nought'"):
        run.evaluate(tmp_path / "more")


def test_a_broken_picture_is_a_row_and_the_rest_are_answered(run: api.Run, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad, good = run.predict(tmp_path)
    assert bad.error
    assert bad.classes == []
    assert good.error is None
    assert len(good.classes) == 5


def test_broken_pictures_are_left_out_listed_and_fatal_when_strict(tmp_path: Path) -> None:
    for number in range(24):
        place = tmp_path / "data" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.full((9, 9), 100 * (number % 2) + number, np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    broken = tmp_path / "data" / "class0" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    said: list[str] = []
    run = api.train(tmp_path / "data", out=tmp_path / "run", tell=said.append, **TINY)
    record = json.loads((run.folder / "data.json").read_text())
    assert [entry["file"] for entry in record["unreadable"]] == ["class0/broken.png"]
    assert sum(record["splits"].values()) == 24
    assert any("1 unreadable" in line and "broken.png" in line for line in said)
    with pytest.raises(DataError, match=r"broken\.png"):
        api.train(tmp_path / "data", out=tmp_path / "strict", means=Means(strict=True), **TINY)
    assert not (tmp_path / "strict").exists()


def test_weights_of_another_run_start_a_new_one(run: api.Run, tmp_path: Path) -> None:
    said: list[str] = []
    again = api.train(
        "digits",
        out=tmp_path / "again",
        weights=str(run.folder),
        rate=0.0,
        tell=said.append,
        **TINY,
    )
    assert torch.equal(
        again.model.get_parameter("head.weight"), run.model.get_parameter("head.weight")
    )
    assert any("weights from" in line for line in said)


def test_weights_of_other_classes_keep_all_but_the_head(run: api.Run, tmp_path: Path) -> None:
    said: list[str] = []
    api.train(
        Stripes, out=tmp_path / "two", weights=str(run.folder), size=8, tell=said.append, **TINY
    )
    assert any("head starts fresh" in line for line in said)


def test_the_plan_is_what_the_run_records(run: api.Run) -> None:
    plan = api.plan("digits", **TINY)
    recorded = (run.folder / "recipe.toml").read_text()
    # The precision is settled when the device is known.
    assert plan.replace('precision = "auto"', 'precision = "float32"') == recorded


def test_an_unknown_choice_names_the_near_ones() -> None:
    with pytest.raises(UsageError, match="did you mean epochs"):
        striate.train("digits", epocs=3)


def test_a_run_is_shown_with_its_accuracy(run: api.Run) -> None:
    assert repr(run) == f"Run({str(run.folder)!r}, test accuracy {100 * run.accuracy:.2f} %)"
