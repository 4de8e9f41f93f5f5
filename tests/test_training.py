"""The training keeps its promises: the same bits however it is cut up, and no look at the test."""

import hashlib
import itertools
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

import striate
from striate import api, devices, models
from striate import data as sources
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Data, Origin, Split
from striate.errors import DataError, Stopped, UsageError
from striate.runs import bundle, checkpoints, folder
from striate.stopping import Halt, Reading
from striate.training import conductor, optim, sharing, start
from striate.training.loop import SHORT, Progress, Step, epoch, steps_an_epoch
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.session import Begun, Epoch, Event, Saved, Session
from striate.training.start import Means
from striate.training.step import DivergedError, Learner, checked_update, update

TINY: dict[str, Any] = {"arguments": {"width": 4}, "epochs": 2, "batch_size": 256}
TIMES = {"seconds": 0, "waiting": 0}  # what differs from run to run


def weights(run: Path) -> str:
    """SHA-256 of the bundle's weights."""
    return hashlib.sha256((run / "bundle" / "model.safetensors").read_bytes()).hexdigest()


class StopAfter:
    """Raises a signal after some steps, as a person or a scheduler would."""

    def __init__(self, steps: int, number: int = signal.SIGTERM) -> None:
        self.left, self.number = steps, number

    def __call__(self, _: Session, event: Event) -> None:
        self.left -= not isinstance(event, (Begun, Epoch, Saved))
        if self.left == 0:
            self.left = -1
            signal.raise_signal(self.number)


def test_a_signal_is_answered_at_once_and_the_first_step_is_waited_for(tmp_path: Path) -> None:
    heard: list[object] = []
    halt = Halt(answer=heard.append, watch=heard.append)

    def show(_: Session, event: Event) -> None:
        heard.append(type(event))
        if isinstance(event, Step) and event.number == 2:
            signal.raise_signal(signal.SIGINT)
            assert heard[-1] is False, "said before the step ends"

    with pytest.raises(Stopped, match="stopped after step 2"):
        api.train("digits", out=tmp_path / "run", show=show, halt=halt, **TINY)
    readings = [one for one in heard if isinstance(one, Reading)]
    assert {one.total for one in readings} == {1797}
    assert (readings[0].done, readings[-1].done) == (0, 1797)
    assert heard[len(readings) :] == [Begun, Step, Step, False]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    return api.train("digits", out=tmp_path_factory.mktemp("runs") / "whole", **TINY).folder


@pytest.mark.parametrize("stop_after", [1, 5, 6, 9])  # 6 steps are an epoch
def test_a_stopped_run_continues_to_the_same_bits(
    whole: Path, tmp_path: Path, stop_after: int
) -> None:
    with pytest.raises(Stopped, match=r"--resume") as stop:
        api.train("digits", out=tmp_path / "run", show=StopAfter(stop_after), **TINY)
    assert stop.value.signal == signal.SIGTERM
    run = api.train(resume=tmp_path / "run")
    assert weights(run.folder) == weights(whole)
    for cut, straight in zip(run.history, api.load(whole).history, strict=True):
        assert {**cut, **TIMES} == {**straight, **TIMES}
    assert run.accuracy == api.load(whole).accuracy
    assert trail(run.folder) == trail(whole), "the curves by step are of the whole run"
    assert [point["step"] for point in trail(whole)] == list(range(1, 13))


def trail(run: Path) -> Any:
    newest = max((run / "checkpoints").glob("step-*"), key=lambda path: path.name)
    return json.loads((newest / "checkpoint.json").read_text())["state"]["trail"]


def test_a_run_stopped_at_every_step_continues_to_the_same_bits(
    whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        api.train("digits", out=run, show=StopAfter(1), **TINY)
    for _ in range(100):
        try:
            api.train(resume=run, show=StopAfter(1))
        except Stopped:
            continue
        break
    assert weights(run) == weights(whole)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_do_not_change_the_weights(whole: Path, tmp_path: Path, workers: int) -> None:
    means = Means(workers=workers, memory=0)
    run = api.train("digits", out=tmp_path / "run", means=means, **TINY)
    assert weights(run.folder) == weights(whole)


@pytest.mark.parametrize(
    "choices",
    [
        {"optimiser": "adamw", "arguments": {"width": 4, "dropout": 0.3}},
        {"optimiser": "muon", "arguments": {"width": 4, "stages": 2}, "accumulate": 2},
        {"flip": True, "brightness": 0.2, "rotate": 10.0, "schedule": "cosine", "clip": 0.5},
        {"normalise": "zca", "momentum": 0.0, "schedule": "step", "step_epochs": 1},
        {"normalise": "picture", "model": "mlp", "arguments": {"hidden": 8}},
        {"mixup": 0.4, "cutmix": 1.0, "policy": "trivial-wide", "sampling": "balanced"},
        {"resized_crop": 0.3, "erase": 0.5, "focal": 2.0, "class_weights": "root"},
        {"progressive": 0.5, "progressive_until": 0.75, "precision": "fast"},
    ],
    ids=lambda choices: "-".join(choices),
)
def test_every_kind_of_training_continues_to_the_same_bits(
    tmp_path: Path, choices: dict[str, Any]
) -> None:
    chosen = {**TINY, **choices}
    straight = api.train("digits", out=tmp_path / "straight", **chosen)
    with pytest.raises(Stopped):
        api.train("digits", out=tmp_path / "cut", show=StopAfter(4), **chosen)
    api.train(resume=tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(straight.folder)


def test_a_learner_without_a_folder_takes_the_same_steps(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = sources.find("digits")
    plan = models.find("convnet", TINY["arguments"])
    prepared = start.prepare(data, TINY, plan, means=Means(), halt=Halt())
    assert list(tmp_path.iterdir()) == []
    progress, losses = Progress(), []
    for _ in range(TINY["epochs"]):
        for steps in epoch(prepared.learner, prepared.pictures["train"], progress):
            for step in steps:
                progress.count(step)
        losses.append(progress.loss_sum / progress.pictures)
        progress.close_epoch({})
    assert losses == [row["train_loss"] for row in api.load(whole).history]


def test_the_predictions_of_a_run_are_read_back(whole: Path) -> None:
    table = folder.read_predictions(whole)
    run = api.load(whole)
    found = run.evaluate()
    assert table["file"].to_pylist() == list(found.names)
    columns = (table[name].to_pylist() for name in ("class", "predicted"))
    right = [label == answer for label, answer in zip(*columns, strict=True)]
    assert sum(right) / len(right) == run.accuracy
    shares = np.array(table["probabilities"].to_pylist())
    np.testing.assert_allclose(shares, found.logits.double().softmax(1).numpy(), atol=1e-12)


def test_closing_a_training_frees_its_folder(tmp_path: Path) -> None:
    data, plan = sources.find("digits"), models.find("convnet", TINY["arguments"])
    happening = conductor.train(data, TINY, plan, run=tmp_path / "run", means=Means(), halt=Halt())
    assert isinstance(next(happening), start.Ready)
    assert any(isinstance(event, Step) for event in itertools.islice(happening, 3))
    with pytest.raises(UsageError, match="is in use"):
        api.train(resume=tmp_path / "run")
    happening.close()
    assert api.train(resume=tmp_path / "run").result["epochs"] == TINY["epochs"]


def test_other_seeds_give_other_weights(whole: Path, tmp_path: Path) -> None:
    run = api.train("digits", out=tmp_path / "run", seed=1, **TINY)
    assert weights(run.folder) != weights(whole)


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    api.train("digits", out=tmp_path / "run", **{**TINY, "epochs": 1})
    assert torch.equal(torch.rand(3), expected)


def drawn(test_labels: np.ndarray[Any, Any]) -> Data:
    """60 pictures of two classes to train on, and 20 to test on with these labels."""
    random = np.random.default_rng(0)
    labels = np.arange(80) % 2
    pictures = random.integers(0, 100, (80, 8, 8)).astype(np.uint8)
    pictures[labels == 1, :4] += 100
    names = [f"{number}" for number in range(80)]
    return Data(
        "drawn",
        Origin("object", "drawn"),
        ("flat", "striped"),
        {
            "train": Split(pictures[:60], labels[:60].astype(np.int64), names[:60]),
            "test": Split(pictures[60:], test_labels.astype(np.int64), names[60:]),
        },
        "drawn",
    )


def test_no_choice_sees_the_test_split(tmp_path: Path) -> None:
    labels = np.arange(80)[60:] % 2
    runs = [
        api.train(drawn(test), out=tmp_path / name, **{**TINY, "epochs": 5, "patience": 2})
        for name, test in (("right", labels), ("swapped", 1 - labels))
    ]
    first, second = (sorted((run.folder / "bundle").iterdir()) for run in runs)
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    # The test would pass of itself if the labels were never used at all.
    assert runs[0].accuracy == pytest.approx(1 - runs[1].accuracy)


def test_epochs_may_grow_where_the_schedule_does_not_depend_on_them(tmp_path: Path) -> None:
    steady = {**TINY, "schedule": "constant", "rate": 0.05}
    api.train("digits", out=tmp_path / "grown", **{**steady, "epochs": 1})
    grown = api.train(resume=tmp_path / "grown", epochs=3)
    straight = api.train("digits", out=tmp_path / "straight", **{**steady, "epochs": 3})
    last = [next(checkpoints.newest_first(run.folder)).blobs for run in (grown, straight)]
    assert last[0] == last[1]
    assert grown.result["epochs"] == 3
    assert grown.recipe["epochs"] == 3


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_epochs_may_not_grow_where_the_schedule_depends_on_them(
    tmp_path: Path, schedule: str
) -> None:
    api.train("digits", out=tmp_path / "run", **{**TINY, "epochs": 1, "schedule": schedule})
    with pytest.raises(UsageError, match=f"this one has {schedule}"):
        api.train(resume=tmp_path / "run", epochs=3)


def test_epochs_may_not_grow_where_the_sizes_of_pictures_depend_on_them(tmp_path: Path) -> None:
    chosen = {**TINY, "epochs": 1, "schedule": "constant", "progressive": 0.75}
    api.train("digits", out=tmp_path / "run", **chosen)
    with pytest.raises(UsageError, match=r"spread over 1 epoch \(--progressive 0.75\)"):
        api.train(resume=tmp_path / "run", epochs=3)


def test_a_resumed_run_takes_no_other_choice(whole: Path) -> None:
    with pytest.raises(UsageError, match="leave out --rate"):
        api.train(resume=whole, rate=0.5)


def test_changed_pictures_cannot_be_resumed(tmp_path: Path) -> None:
    labels = np.arange(80)[60:] % 2
    with pytest.raises(Stopped):
        api.train(drawn(labels), out=tmp_path / "run", show=StopAfter(1), **TINY)
    changed = drawn(labels)
    pictures: Any = changed.splits["train"].pictures
    pictures[3, 0, 0] += 1
    with pytest.raises(DataError, match=r"train pictures of drawn have changed"):
        api.train(changed, resume=tmp_path / "run")


PLAIN = Preprocessing(size=(8, 8), channels=1, normalise="none")


def learner(net: nn.Module, **choices: Any) -> Learner:
    recipe = Recipe(**{"rate": 0.1, **choices})
    cpu = torch.device("cpu")
    return Learner(net, optim.optimiser(net, recipe), PLAIN, Augmented(recipe), recipe, cpu)


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["picture", "weight", "gradient"])
def test_what_is_not_finite_is_caught_before_the_step(poison: float, where: str) -> None:
    net = small_net()
    values = torch.rand(6, 1, 8, 8)
    if where == "picture":
        values[2, 0, 3, 3] = poison
    elif where == "weight":
        net.get_parameter("4.weight").data[0, 0] = poison
    else:
        net.get_parameter("0.weight").register_hook(lambda gradient: gradient + poison)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(DivergedError):
        checked_update(learner(net), values, torch.tensor([0, 1, 0, 1, 0, 1]), rate=0.1)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor.nan_to_num(7, 8, 9), before[name].nan_to_num(7, 8, 9)), (
            f"{name} was changed"
        )


def test_a_run_that_diverges_keeps_its_last_finite_state_and_says_what_to_try(
    tmp_path: Path,
) -> None:
    with pytest.raises(DivergedError, match=r"try again with --rate 2\.5e\+02, or --clip 1"):
        api.train(
            "digits",
            out=tmp_path / "run",
            model="mlp",
            rate=1000.0,
            schedule="constant",
            warmup=0.0,
            optimiser="sgd",
            epochs=3,
            arguments={"hidden": 16},
        )
    checkpoint, damage = checkpoints.latest(tmp_path / "run")
    assert not damage
    kept = bundle.restore(checkpoint.document, checkpoint.blobs, where=checkpoint.path)
    assert all(torch.isfinite(tensor).all() for tensor in kept.model.state_dict().values())


@pytest.mark.parametrize("take", [update, checked_update])
def test_an_update_is_sgd_with_nesterov_momentum_by_its_formula(take: Callable[..., Any]) -> None:
    net, oracle = small_net().double(), small_net().double()
    learning = learner(net, momentum=0.9, weight_decay=0.01, label_smoothing=0.1)
    values = torch.rand(5, 6, 1, 8, 8, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    velocity = {name: torch.zeros_like(p) for name, p in oracle.named_parameters()}
    for step in range(5):
        take(learning, values[step], labels, rate=0.1)
        oracle.train()
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)(oracle(values[step]).float(), labels)
        oracle.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in oracle.named_parameters():
                assert p.grad is not None
                gradient = p.grad + 0.01 * p * (p.ndim > 1)
                velocity[name] = 0.9 * velocity[name] + gradient
                p.sub_(0.1 * (gradient + 0.9 * velocity[name]))
    for (name, found), expected in zip(net.named_parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)


@pytest.mark.parametrize("take", [update, checked_update])
def test_clipping_scales_the_gradient_to_the_largest_norm(take: Callable[..., Any]) -> None:
    net = small_net()
    before = [p.detach().clone() for p in net.parameters()]
    learning = learner(net, momentum=0.0, weight_decay=0.0, clip=1e-3)
    take(learning, torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1]), rate=1.0)
    moved = torch.cat([(p - b).flatten() for p, b in zip(net.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(("count", "batch"), [(10, 3), (10, 5), (9, 4), (1, 4), (3, 1), (5, 100)])
def test_an_epoch_shows_each_picture_once(count: int, batch: int) -> None:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    split = Split(pixels, np.zeros(count, np.int64), [str(i) for i in range(count)])
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    learning = learner(net, batch_size=batch)
    pictures = Pictures(split, PLAIN, pixels=torch.from_numpy(pixels)[:, None])
    progress = Progress()
    for (step,) in epoch(learning, pictures, progress):
        progress.count(step)
    lonely = count % batch == 1 and count > batch > 1
    assert progress.pictures == count - lonely
    assert progress.step == steps_an_epoch(count, learning.recipe)


@pytest.mark.parametrize(("per_epoch", "span"), [(7, 1), (7, 3), (60, 3)])
def test_points_of_curves_by_step_are_means_of_their_steps(per_epoch: int, span: int) -> None:
    progress, random = Progress(), np.random.default_rng(0)
    steps = [
        Step(i + 1, i // per_epoch, float(random.random()), int(random.integers(9)), 9, 0.1 * i)
        for i in range(2 * per_epoch)
    ]
    for step in steps:
        progress.count(step, span=span)
        if step.number % per_epoch == 0:
            progress.close_epoch({"epoch": progress.epochs + 1})
    blocks = [steps[i : i + span] for i in range(0, len(steps), span)]
    for point, block in zip(progress.by_step(), blocks, strict=True):
        assert point["train_loss"] == pytest.approx(np.mean([step.loss for step in block]))
        hits, shown = (sum(getattr(s, name) for s in block) for name in ("correct", "pictures"))
        assert point["train_accuracy"] == hits / shown
        assert (point["step"], point["rate"]) == (block[-1].number, block[-1].rate)
    while progress.epochs <= SHORT:
        progress.close_epoch({"epoch": progress.epochs + 1})
    assert not progress.by_step(), "of a long run no curve is drawn by step"


def striped(count: int) -> Split:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 8, 8)).astype(np.uint8)
    return Split(pixels, np.arange(count) % 2, [str(i) for i in range(count)])


def taught(window: int, count: int = 26, **choices: Any) -> tuple[Learner, list[Step]]:
    """Train a small network for an epoch in windows of so many steps."""
    split = striped(count)
    net = nn.Sequential(small_net(), nn.Dropout(0.2))
    learning = learner(net, **{"batch_size": 4, "flip": True, "rotate": 9.0, **choices})
    held = torch.from_numpy(split.pictures)[:, None]
    pictures = Pictures(split, PLAIN, pixels=held)
    with mock.patch.object(sharing, "SECONDS", math.inf):  # no window cut short
        windows = list(epoch(learning, pictures, Progress(), window=window))
    full, rest = divmod(steps_an_epoch(count, learning.recipe), window)
    assert [len(steps) for steps in windows] == [window] * full + [rest] * (rest > 0)
    return learning, [step for steps in windows for step in steps]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("window", [2, 3, 50])
def test_steps_whose_numbers_are_read_later_are_the_same_steps(
    window: int, clip: float | None, optimiser: str
) -> None:
    apart, one_by_one = taught(1, clip=clip, optimiser=optimiser)
    together, read_later = taught(window, clip=clip, optimiser=optimiser)
    assert read_later == one_by_one
    for one, other in zip(
        apart.model.state_dict().values(), together.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.skipif(
    not devices.multiplies_bfloat16(torch.device("cpu")), reason="this processor has no bfloat16"
)
def test_steps_in_bfloat16_are_those_in_float32_but_for_its_rounding() -> None:
    """Weights stay in float32; a number of bfloat16 is wrong by a 256th of itself at most."""
    whole, apart = taught(1)
    halved, near = taught(1, precision="bfloat16")
    assert all(p.dtype == torch.float32 for p in halved.model.parameters())
    assert not torch.equal(next(halved.model.parameters()), next(whole.model.parameters()))
    for one, other in zip(apart, near, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=0.03)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("bad", [1, 4, 5, 6, 9])  # the picture of which step is not finite
def test_a_window_with_a_step_that_is_not_finite_is_undone(bad: int, optimiser: str) -> None:
    split = striped(40)
    learning = learner(small_net(), batch_size=4, optimiser=optimiser)
    calls = itertools.count(1)
    values = learning.preprocessing.values

    class Poisoned(Preprocessing):
        def values(self, batch: torch.Tensor) -> torch.Tensor:
            return values(batch) * (float("nan") if next(calls) == bad else 1)

    learning = learning._replace(preprocessing=Poisoned((8, 8), channels=1, normalise="none"))
    held = torch.from_numpy(split.pictures)[:, None]
    pictures = Pictures(split, Preprocessing((8, 8), channels=1), pixels=held)
    progress, states = Progress(), [snapshot(learning)]

    def count() -> None:
        for steps in epoch(learning, pictures, progress, window=4):
            for step in steps:
                progress.count(step)
            states.append(snapshot(learning))

    with pytest.raises(DivergedError, match="the loss is nan") as caught:
        count()
    assert progress.step == 4 * ((bad - 1) // 4)
    assert caught.value.ahead == bad - 1 - progress.step
    after = snapshot(learning)
    assert after.keys() == states[-1].keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in states[-1].items())


def snapshot(learning: Learner) -> dict[str, torch.Tensor]:
    state = {**learning.model.state_dict(), **optim.save_state(learning.optimiser, learning.model)}
    return {name: tensor.clone() for name, tensor in state.items()}


def test_a_run_in_windows_is_stopped_and_continued_to_the_same_bits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.training.loop.window_on", lambda _: 4)
    with pytest.raises(Stopped, match="stopped after step 6, saved"):  # of 6 steps an epoch
        api.train("digits", out=tmp_path / "run", show=StopAfter(5), **TINY)
    monkeypatch.undo()
    run = api.train(resume=tmp_path / "run")
    assert weights(run.folder) == weights(whole)
    for cut, straight in zip(run.history, api.load(whole).history, strict=True):
        assert {**cut, **TIMES} == {**straight, **TIMES}


def test_shares_of_the_rate_are_those_of_the_groups() -> None:
    net, oracle = small_net(), small_net()
    learning = learner(net, momentum=0.0, weight_decay=0.0)
    for group, share in zip(learning.optimiser.param_groups, (0.5, 0.0), strict=True):
        group["share"] = share
    values, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1])
    update(learning, values, labels, rate=0.2)
    nn.CrossEntropyLoss(label_smoothing=0.05)(oracle.train()(values), labels).backward()
    for found, before in zip(net.parameters(), oracle.parameters(), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(found, before - 0.1 * before.grad * (before.ndim > 1))


def test_the_best_epoch_is_in_the_bundle(tmp_path: Path) -> None:
    run = api.train("digits", out=tmp_path / "run", **{**TINY, "epochs": 4, "rate": 0.3})
    best = max(run.history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert run.bundle.metrics["epoch"] == best["epoch"] == run.result["best_epoch"]
    found = run.evaluate(split="validation").metrics
    assert found.accuracy == best["validation_accuracy"]
    assert found.loss == pytest.approx(best["validation_loss"], rel=1e-6)


def test_without_validation_the_last_epoch_is_in_the_bundle(tmp_path: Path) -> None:
    run = api.train("digits", out=tmp_path / "run", validation_share=0.0, **TINY)
    assert run.bundle.metrics["epoch"] == 2
    assert "validation_accuracy" not in run.history[0]


def test_patience_ends_a_run_early(tmp_path: Path) -> None:
    run = api.train(
        "digits", out=tmp_path / "run", **{**TINY, "epochs": 50, "rate": 0.0, "patience": 3}
    )
    scores = [(row["validation_accuracy"], -row["validation_loss"]) for row in run.history]
    assert len(scores) == scores.index(max(scores)) + 1 + 3
    assert run.result["ended"] == "patience"


def test_memory_that_runs_out_names_the_batch_size_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()

    def starved(*_: Any, **__: Any) -> Any:
        if next(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0, 1

    monkeypatch.setattr("striate.training.loop.checked_update", starved)
    with pytest.raises(DataError, match=r"out of memory at step 4: try --batch-size 128"):
        api.train("digits", out=tmp_path / "run", **TINY)


def test_a_real_allocation_that_fails_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="out of memory"):
        api.train(Greedy, model=Hungry, out=tmp_path / "run", epochs=1, batch_size=4)


class Greedy:
    """Eight pictures of two classes."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return np.full((8, 8), 100 * (place % 2), np.uint8), place % 2


class Hungry(nn.Module):
    """Asks for a petabyte as soon as there is more than one picture."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            torch.empty(2**50, dtype=torch.uint8).fill_(1)
        found: torch.Tensor = self.head(x.flatten(1))
        return found


def test_the_public_names_are_there() -> None:
    assert {"train", "load", "Run"} <= set(striate.__all__)
    assert all(getattr(striate, name) is not None for name in striate.__all__)
