"""Means of weights, and gradients added up: against their definitions, and as runs keep them."""

import hashlib
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate import api
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.errors import Stopped, UsageError
from striate.models.tensorfiles import from_safetensors
from striate.runs import bundle, checkpoints
from striate.training import optim
from striate.training.averaging import average_of, decay_after
from striate.training.loop import Progress, Step, epoch, steps_an_epoch
from striate.training.losses import Weighted
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.step import DivergedError, Learner, checked_update, update

TINY: dict[str, Any] = {"arguments": {"width": 4}, "epochs": 2, "batch_size": 256, "ema": 0.9}
TIMES = {"seconds": 0, "waiting": 0}  # what differs from run to run


def net(*, norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    middle = nn.BatchNorm2d(4) if norm else nn.GroupNorm(2, 4)
    return nn.Sequential(nn.Conv2d(1, 4, 3), middle, nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def learner(model: nn.Module, **choices: Any) -> Learner:
    recipe = Recipe(**{"rate": 0.1, **choices})
    preprocessing = Preprocessing(size=(8, 8), channels=1, normalise="none")
    optimiser, cpu = optim.optimiser(model, recipe), torch.device("cpu")
    average = average_of(model, recipe.ema)
    return Learner(model, optimiser, preprocessing, Augmented(recipe), recipe, cpu, average=average)


def pictures(count: int) -> Pictures:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 8, 8)).astype(np.uint8)
    split = Split(pixels, np.arange(count) % 2, [str(i) for i in range(count)])
    held = torch.from_numpy(pixels)[:, None]
    return Pictures(split, Preprocessing((8, 8), channels=1), pixels=held)


@given(st.integers(1, 10_000), st.floats(0.01, 0.9999))
def test_a_mean_is_about_the_last_tenth_until_it_is_as_long_as_asked(
    steps: int, decay: float
) -> None:
    found = decay_after(steps, decay)
    assert found == pytest.approx(min(decay, 1 - 9 / (10 + steps)))
    assert 0 < found <= decay


@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize("decay", [0.5, 0.95])
def test_weights_and_running_statistics_are_averaged_by_the_formula(
    window: int, decay: float
) -> None:
    model = net()
    learning = learner(model, batch_size=4, ema=decay)
    states = [{k: v.clone().double() for k, v in model.state_dict().items()}]
    model.register_forward_pre_hook(
        lambda *_: states.append({k: v.clone().double() for k, v in model.state_dict().items()})
    )
    list(epoch(learning, pictures(30), Progress(), window=window))
    states.append({k: v.clone().double() for k, v in model.state_dict().items()})
    mean = states[1]
    for steps, state in enumerate(states[2:], 1):
        share = min(decay, (1 + steps) / (10 + steps))
        mean = {k: v * share + state[k] * (1 - share) for k, v in mean.items()}
    assert len(states) == 2 + 8
    assert learning.average is not None
    found = learning.judged.state_dict()
    assert found.keys() == mean.keys()
    for name, tensor in found.items():
        if name.endswith("num_batches_tracked"):
            assert tensor == 8
        else:
            torch.testing.assert_close(tensor.double(), mean[name], rtol=1e-5, atol=1e-6)
    assert not any(p.requires_grad for p in learning.judged.parameters())


def test_the_mean_goes_back_with_the_steps_that_are_undone() -> None:
    learning = learner(net(), batch_size=4, ema=0.9)
    progress = Progress()
    kept: dict[str, torch.Tensor] = {}
    values, calls = learning.preprocessing.values, iter(range(100))

    class Poisoned(Preprocessing):
        def values(self, batch: torch.Tensor) -> torch.Tensor:
            return values(batch) * (math.nan if next(calls) == 5 else 1)

    learning = learning._replace(preprocessing=Poisoned((8, 8), channels=1, normalise="none"))

    def count() -> None:
        for steps in epoch(learning, pictures(40), progress, window=4):
            for step in steps:
                progress.count(step)
            kept.update({k: v.clone() for k, v in learning.judged.state_dict().items()})

    with pytest.raises(DivergedError):
        count()
    assert progress.step == 4
    assert all(torch.equal(v, kept[k]) for k, v in learning.judged.state_dict().items())


class StopAfter:
    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, _: Any, event: Any) -> None:
        self.left -= isinstance(event, Step)
        if self.left == 0:
            self.left = -1
            signal.raise_signal(signal.SIGTERM)


def weights(run: Path) -> str:
    return hashlib.sha256((run / "bundle" / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.train("digits", out=tmp_path_factory.mktemp("runs") / "whole", **TINY).folder


@pytest.mark.parametrize("stop_after", [1, 7])
def test_a_run_with_a_mean_resumes_to_the_same_bits(
    whole: Path, tmp_path: Path, stop_after: int
) -> None:
    with pytest.raises(Stopped):
        api.train("digits", out=tmp_path / "run", show=StopAfter(stop_after), **TINY)
    run = api.train(resume=tmp_path / "run")
    assert weights(run.folder) == weights(whole)
    rows = zip(run.history, api.load(whole).history, strict=True)
    assert all({**cut, **TIMES} == {**straight, **TIMES} for cut, straight in rows)


def test_the_mean_is_evaluated_and_saved_and_the_best_epochs_is_kept(whole: Path) -> None:
    run = api.load(whole)
    best = checkpoints.best(whole)
    assert best is not None
    assert best.document["metrics"]["epoch"] == run.result["best_epoch"]
    mean, raw = (
        from_safetensors(best.blobs[name], whole) for name in (bundle.WEIGHTS, checkpoints.RAW)
    )
    saved = run.model.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in mean.items())
    assert not torch.equal(mean["head.weight"], raw["head.weight"])
    assert not (whole / "bundle" / checkpoints.RAW).exists()
    found = run.evaluate(split="validation").metrics
    row = run.history[run.result["best_epoch"] - 1]
    assert (found.accuracy, found.loss) == (row["validation_accuracy"], row["validation_loss"])


@pytest.mark.parametrize("take", [update, checked_update])
@pytest.mark.parametrize(("count", "size"), [(12, 4), (13, 4), (7, 3), (5, 8)])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_that_are_added_up_are_those_of_one_large_batch(
    take: Any, count: int, size: int, weighted: bool
) -> None:
    whole, parts = net(norm=False).double(), net(norm=False).double()
    one = learner(whole, batch_size=count, clip=0.7)
    many = learner(parts, batch_size=size, accumulate=4, clip=0.7)
    loss = Weighted(torch.tensor([0.5, 2.0], dtype=torch.float64), 1.5)
    if weighted:
        one, many = (part._replace(loss=loss) for part in (one, many))
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        values = torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64)
        labels = torch.arange(count) % 2
        if weighted:
            labels = nn.functional.one_hot(labels, 2).double()
        expected, found = (take(part, values, labels, rate=0.1) for part in (one, many))
        assert float(found[0]) == pytest.approx(float(expected[0]), abs=1e-10)
        assert int(found[1]) == int(expected[1])
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_steps_of_an_epoch_are_of_all_the_batches_that_are_added_up() -> None:
    shown: list[int] = []
    model = net()
    model.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    learning = learner(model, batch_size=4, accumulate=3)
    steps = [step for taken in epoch(learning, pictures(29), Progress()) for step in taken]
    assert [step.pictures for step in steps] == [12, 12, 5]
    assert shown == [4, 4, 4, 4, 4, 4, 3, 2]
    assert steps_an_epoch(25, learning.recipe) == 2, "a step of one picture has no variance"


@pytest.mark.parametrize(
    ("choices", "words"),
    [({"ema": 1.0}, "--ema lies in 0 to"), ({"accumulate": 0}, "--accumulate lies in 1 to")],
)
def test_what_can_mean_nothing_is_refused(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe(**choices)
