"""Trainings on data that no memory holds: the same weights, bounded memory, what is said of it."""

import hashlib
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import api
from striate import data as sources
from striate.data.sources.sharding import write_shards
from striate.errors import DataError, Stopped, UsageError
from striate.training.loop import Step
from striate.training.session import Event, Session
from striate.training.start import Means

CHOICES: dict[str, Any] = {
    "model": "convnet",
    "arguments": {"width": 2},
    "epochs": 2,
    "batch_size": 8,
    "size": 12,
    "validation_share": 0.2,
    "test_share": 0.0,
}
PICTURES = 60


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tar shards of random pictures in two classes."""
    random, home = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        folder = home / "given" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        low = 100 * (number % 2)
        pixels = random.integers(low, low + 150, (14, 13, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    list(write_shards(sources.find(home / "given"), home / "shards", per_shard=25))
    return home / "shards"


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with its pixels in memory."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return api.train(shards, out=out, means=Means(memory="1G"), **CHOICES).folder


def weights(run: Path) -> str:
    return hashlib.sha256((run / "bundle" / "model.safetensors").read_bytes()).hexdigest()


class StopAt:
    """Stops a training after a step, as a signal does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, _: Session, event: Event) -> None:
        if isinstance(event, Step) and event.number == self.step:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [(0, 0, 2), (0, 0, 8), ("1G", 0, 3), (0, "1G", 4)],
    ids=["within an epoch", "in the last epoch", "held and then not", "not held and then held"],
)
def test_streamed_data_go_on_in_the_middle_of_an_epoch_to_the_same_bits(
    shards: Path, whole: Path, tmp_path: Path, before: Any, after: Any, step: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stopped, match=f"stopped after step {step}, saved"):
        api.train(shards, out=run, means=Means(memory=before), show=StopAt(step), **CHOICES)
    api.train(resume=run, means=Means(memory=after, workers=1))
    assert weights(run) == weights(whole)
    same = ("step", "train_loss", "validation_loss")
    found, expected = (api.load(one).history for one in (run, whole))
    assert [[row[k] for k in same] for row in found] == [[row[k] for k in same] for row in expected]


class Slow:
    """A Dataset whose items take longer than a step on them."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> tuple[np.ndarray[Any, Any], int]:
        digest = hashlib.sha256(bytes(3_000_000)).digest()
        pixels = np.frombuffer(digest * 8, np.uint8).reshape(16, 16) // (place % 2 + 1)
        return pixels, place % 2


def test_the_share_of_waiting_is_recorded_and_something_suggested_once(tmp_path: Path) -> None:
    lines: list[str] = []
    choices = {**CHOICES, "model": "mlp", "arguments": {"hidden": 2}, "validation_share": 0.0}
    slow = api.train(
        {"train": Slow()},
        out=tmp_path / "slow",
        means=Means(memory=0, workers=0),
        tell=lines.append,
        **choices,
    )
    assert all(0.2 < row["waiting"] <= 1 for row in slow.history)
    said = [line for line in lines if "waiting for data" in line]
    assert len(said) == 1
    assert "--workers" in said[0]
    held = api.train({"train": Slow()}, out=tmp_path / "held", tell=lines.append, **choices)
    assert all(0 <= row["waiting"] < slow.history[0]["waiting"] for row in held.history)
    assert len([line for line in lines if "waiting for data" in line]) == 1
    assert weights(held.folder) == weights(slow.folder)


@pytest.mark.parametrize("text", ["", "2X", "-1", "1,5G", "G"])
def test_a_memory_that_is_no_size_is_refused(shards: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is not an amount of memory like 900M or 4G"):
        api.train(shards, out=tmp_path / "run", means=Means(memory=text), **CHOICES)
    assert not (tmp_path / "run").exists()


def test_a_picture_that_a_resume_can_no_longer_read_is_an_error_that_names_it(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    for number in range(20):
        home = tmp_path / "data" / f"{number % 2}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(home / f"{number}.png")
    run, means = tmp_path / "run", Means(memory=0)
    with pytest.raises(Stopped):
        api.train(tmp_path / "data", out=run, means=means, show=StopAt(1), **CHOICES)
    for path in (tmp_path / "data").glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"[01]/\d+\.png: "):
        api.train(resume=run, means=means)
