"""Rates that are found, and batch sizes that fit: what is read, what is refused, what is kept."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import striate
from striate import cli, devices, models
from striate.description.fitting import largest_batch
from striate.errors import UsageError
from striate.training.raterange import (
    A_DECADE,
    HIGHEST,
    LOWEST,
    STEPS,
    Tried,
    found,
    has_failed,
    smoothed,
)

TINY: dict[str, Any] = {"arguments": {"width": 4}}
RATES = [LOWEST * 10 ** (step / A_DECADE) for step in range(STEPS)]


def steps(loss: Callable[[float], float]) -> list[Tried]:
    taken: list[Tried] = []
    for rate in RATES:
        if has_failed([step.loss for step in taken]):
            break
        taken.append(Tried(rate, loss(rate)))
    return taken


def valley(bottom: float) -> Callable[[float], float]:
    """Fall from 2.3 to 0.3 at a rate, and rise beyond it."""
    return lambda rate: 0.3 + 2 * min(1, abs(math.log10(rate / bottom))) + (rate > 10 * bottom) * 50


@pytest.mark.parametrize("bottom", [1e-3, 0.03, 0.4])
def test_the_rate_is_a_quarter_of_the_one_with_the_least_loss(bottom: float) -> None:
    answer = found(steps(valley(bottom)))
    assert answer.rate is not None
    # The running mean is least a few steps later, of 15 a decade.
    assert bottom / 4 * 0.85 < answer.rate < bottom / 4 * 10 ** (5 / A_DECADE)
    assert answer.line().startswith(f"rate {answer.rate:g}: a quarter of ")
    assert len(answer.tried) < STEPS, "it ends where the loss has failed"
    assert answer.drawing("a title")[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda _: 2.3, "the loss fell by 0 % at most, from 2.3"),
        (lambda rate: 2.3 + rate, "the loss fell by 0 % at most"),
        (lambda rate: 2.3 - 0.1 * (rate > 1e-3), "the loss fell by 4 % at most"),
        (lambda rate: 2.3 / (1 + rate), "still fell, or did not rise again, at the highest rate"),
        (lambda rate: math.nan if rate > 1e-5 else 2.3, "the loss fell by 0 % at most"),
    ],
)
def test_what_says_nothing_is_unclear(loss: Callable[[float], float], words: str) -> None:
    answer = found(steps(loss))
    assert answer.rate is None
    assert answer.line().startswith("rate unclear: ")
    assert words in answer.reason
    assert answer.drawing("a title")[:4] == b"\x89PNG"


def test_rates_rise_evenly_from_the_lowest_to_the_highest() -> None:
    assert RATES[-1] == pytest.approx(HIGHEST)
    means = smoothed([3.0, 1.0, 2.0])
    weights = [0.8**2, 0.8, 1.0]
    expected = sum(w * x for w, x in zip(weights, [3, 1, 2], strict=True)) / sum(weights)
    assert means[-1] == pytest.approx(expected)


def test_a_rate_is_found_for_digits_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    seen: list[Tried] = []
    answer, again = (
        striate.find_rate("digits", show=seen.append, tell=told.append, **TINY) for _ in range(2)
    )
    assert answer == again
    assert answer.rate is not None
    assert 0.02 < answer.rate < 2
    assert tuple(seen) == answer.tried + again.tried
    assert answer.tried[0].loss == pytest.approx(math.log(10), abs=0.3)
    assert not told
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_a_rate_and_draws_a_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "digits", "--rate", "find", "--arguments.width", "4"]
    assert cli.main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"rate", "reason", "picture", "tried"} == document.keys()
    assert [path.name for path in tmp_path.iterdir()] == [document["picture"]]
    assert document["picture"] == "digits-rates.png"
    assert document["tried"][0].keys() == {"rate", "loss"}
    for wrong in (["-o", "runs/one"], ["--resume", "runs/one"]):
        assert cli.main([*words, *wrong]) == 2
        assert "draws to a .png file, not to runs/one" in capsys.readouterr().err
    assert cli.main(["train", "--rate", "find"]) == 2


def net() -> nn.Module:
    return models.build("convnet", 10, channels=1, size=(8, 8), width=4)


@pytest.fixture(scope="module")
def needs() -> dict[int, int]:
    """What describe says that a step takes, by the size of its batch."""
    found = {size: striate.describe(net(), size=(1, 8, 8), batch=size) for size in (2, 4, 8, 16)}
    return {size: one.memory["float32"].training or 0 for size, one in found.items()}


@pytest.mark.parametrize(("most", "size"), [(0, 2), (2, 2), (15, 8), (16, 16)])
def test_the_largest_batch_is_a_power_of_two_that_describe_finds_room_for(
    needs: dict[int, int], most: int, size: int
) -> None:
    found = largest_batch(net(), (1, 8, 8), "sgd", most=most, room=needs[size])
    assert found == (size, needs[size])
    if size > 2:
        found = largest_batch(net(), (1, 8, 8), "sgd", most=most, room=needs[size] - 1)
        assert found == (size // 2, needs[size // 2])


def test_no_batch_may_fit() -> None:
    with pytest.raises(UsageError, match=r"a step of 2 is predicted to take .* kB, and 5.00 kB"):
        largest_batch(net(), (1, 8, 8), "sgd", most=64, room=5000)


@pytest.mark.parametrize(("free", "batch", "accumulate"), [(10**12, 128, 1), (1_000_000, 64, 2)])
def test_a_batch_size_is_resolved_into_the_recipe_and_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    batch: int,
    accumulate: int,
) -> None:
    monkeypatch.setattr(devices, "available_bytes", lambda _: free)
    told: list[str] = []
    run = striate.train(
        "digits", out=tmp_path / "run", batch_size="auto", epochs=1, tell=told.append, **TINY
    )
    assert (run.recipe["batch_size"], run.recipe["accumulate"]) == (batch, accumulate)
    assert told[0].startswith(f"--batch-size auto: {batch} at once, 128 pictures a step: ")


def test_memory_that_is_available_is_some() -> None:
    assert 10**7 < devices.available_bytes(devices.pick("cpu")) < 10**14
