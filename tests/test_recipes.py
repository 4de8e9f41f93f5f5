"""Named recipes: found by name, beneath what is given; each lowers the loss and resumes exactly."""

import importlib
import json
import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import striate
from striate import cli, models
from striate.errors import Stopped, UsageError
from striate.models.whitened import whitening
from striate.training.loop import Step
from striate.training.recipe import Recipe, names
from striate.training.recipes import FOLDERS, NAMED, applied, full_name

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
counts: Any = importlib.import_module("recipes")

# What makes a training small enough for a test, and is no part of what a recipe is about.
SMALL: dict[str, dict[str, Any]] = {
    "whitened": {"first": 8, "second": 16, "third": 16},
    "compact": {"first": 4, "second": 8, "third": 8},
    "mnist-convnet": {},
}


class Bars(Sequence[Any]):
    """Pictures of bars, as a user's own data: across are 0, upright are 1."""

    classes = ("across", "upright")

    def __init__(self, count: int, channels: int, side: int) -> None:
        self.number, self.channels, self.side = count, channels, side

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.number:
            raise IndexError(number)
        random = np.random.default_rng(number)
        pixels = random.integers(0, 60, (self.side, self.side, self.channels)).astype(np.uint8)
        place = int(random.integers(self.side - 3))
        bar = (slice(place, place + 3), slice(None))
        pixels[bar if number % 2 == 0 else bar[::-1]] = 255
        return pixels[..., 0] if self.channels == 1 else pixels, number % 2


def weights(run: striate.Run) -> bytes:
    return (run.folder / "bundle" / "model.safetensors").read_bytes()


def test_a_recipe_is_found_by_its_data_or_by_its_whole_name() -> None:
    assert full_name("fast", "mnist") == full_name("mnist/fast", "kmnist") == "mnist/fast"
    with pytest.raises(UsageError, match="unknown recipe 'fats': choose one of"):
        full_name("fats", "mnist")


@pytest.mark.parametrize("name", NAMED)
def test_a_recipe_chooses_what_a_training_can(name: str) -> None:
    recipe = NAMED[name]
    assert name.startswith(f"{recipe.data}/")
    assert set(recipe.choices) <= set(names())
    Recipe(**recipe.choices)  # refuses what cannot mean anything


@pytest.mark.parametrize("name", [name for name in NAMED if NAMED[name].data != FOLDERS])
def test_a_recipe_knows_its_operations(name: str) -> None:
    assert NAMED[name].flop == pytest.approx(counts.operations(NAMED[name]), rel=0.005)


def test_what_is_given_wins_over_the_recipe_and_that_over_the_network() -> None:
    model, choices = applied(None, {"recipe": "fast", "epochs": 3}, "mnist")
    assert (model, choices["epochs"], choices["recipe"]) == ("compact", 3, "mnist/fast")
    assert choices["rate"] == NAMED["mnist/fast"].choices["rate"]
    given = {"recipe": "mnist/fast", "arguments": {"first": 4}}
    assert applied("compact", given, "digits")[1]["arguments"]["first"] == 4
    assert applied("mlp", {}, "digits") == ("mlp", {})
    assert applied(None, {"recipe": "fine-tune"}, "holiday")[1]["pretrained"]
    assert "pretrained" not in applied(None, {"recipe": "fine-tune", "weights": "w"}, "holiday")[1]


@pytest.mark.parametrize("name", [name for name in NAMED if NAMED[name].data != FOLDERS])
def test_a_recipe_lowers_the_loss_and_resumes_exactly(name: str, tmp_path: Path) -> None:
    grey = "mnist" in NAMED[name].data
    chosen = NAMED[name].choices
    smaller = (
        min(1.0, 64 / chosen.get("batch_size", 64)) if chosen.get("optimiser") == "sgd" else 1.0
    )
    small: dict[str, Any] = {
        "recipe": name,
        "arguments": SMALL[chosen["model"]],
        "epochs": 6,
        "batch_size": 16,
        "rate": chosen["rate"] * smaller,
    }
    data = Bars(96, 1 if grey else 3, 28 if grey else 32)
    whole = striate.train(data, out=tmp_path / "whole", **small)
    assert whole.recipe["recipe"] == name
    # Smoothed labels have a loss of their own, that no training lowers.
    assert whole.history[-1]["train_loss"] < 0.95 * whole.history[0]["train_loss"]

    def stop(_: Any, event: Any) -> None:
        if isinstance(event, Step) and event.number == 8:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped):
        striate.train(data, out=tmp_path / "parts", show=stop, **small)
    parts = striate.train(data, resume=tmp_path / "parts")
    assert weights(parts) == weights(whole)


def test_whitened_patches_are_uncorrelated_and_of_variance_one() -> None:
    torch.manual_seed(0)
    smooth = F.avg_pool2d(torch.randn(64, 3, 18, 18, dtype=torch.float64), 3, stride=1)
    answers = F.conv2d(smooth, whitening(smooth)).transpose(0, 1).flatten(1)
    second = answers @ answers.T / answers.shape[1]
    off = second - torch.diag(second.diag())
    assert off.abs().max() < 1e-10
    # Below 1 by the floor's share, that keeps what hardly varies from being blown up.
    assert (second.diag() <= 1).all()
    assert second.diag().max() > 0.98


def test_a_network_looks_at_training_pictures_before_its_first_step(tmp_path: Path) -> None:
    choices: dict[str, Any] = {
        "arguments": SMALL["whitened"],
        "epochs": 1,
        "rate": 1e-9,
        "batch_size": 32,
    }
    data = Bars(64, 3, 16)
    run = striate.train(data, model="whitened", out=tmp_path / "run", **choices)
    filters = run.model.get_parameter("whiten.weight")[:12]
    values = torch.stack([run.bundle.preprocessing(picture) for picture, _ in data])
    answers = F.conv2d(values, filters).transpose(0, 1).flatten(1)
    # Nearly: the filters are of the training split's pictures, these are all.
    assert 0.5 < float(answers.square().mean(1).max()) < 1.5
    assert isinstance(models.build("whitened", 10, size=32), models.Observer)


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(NAMED)
    assert cli.main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in NAMED)


def test_a_recipe_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "digits", "--recipe", "mnist/fast", "--size", "28", "--print-config"]
    assert cli.main(given) == 0
    printed = tomllib.loads(capsys.readouterr().out)
    assert printed["recipe"] == "mnist/fast"
    assert printed["model"] == "compact"
    assert printed["rate"] == NAMED["mnist/fast"].choices["rate"]
    assert cli.main(["train", "digits", "--recipe", "fastest"]) == 2
    assert "unknown recipe" in capsys.readouterr().err
