"""Stages of a training that begins from weights: what learns, what stays, and resuming in each."""

from pathlib import Path
from typing import Any

import pytest
import torch

from striate import api, models
from striate.errors import Stopped, UsageError
from striate.models import heads
from striate.models.tensorfiles import from_safetensors
from striate.runs import checkpoints, folder
from striate.stopping import Halt
from striate.training import optim, stages
from striate.training.loop import Step
from striate.training.recipe import Recipe
from striate.training.recipes.transfer import of_weights
from striate.training.session import Event, Session

SMALL: dict[str, Any] = {
    "model": "convnet",
    "arguments": {"width": 4},
    "batch_size": 256,
    "optimiser": "adamw",
    "rate": 0.01,
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose weights others begin from."""
    path = tmp_path_factory.mktemp("begun") / "run"
    return api.train("digits", out=path, epochs=2, **SMALL).folder


def tensors(run: Path, *, newest: bool = False) -> dict[str, torch.Tensor]:
    if newest:
        found = next(checkpoints.newest_first(run))
        return dict(from_safetensors(found.blobs["model.safetensors"], found.path))
    return dict(folder.load_weights(run))


def stopped(run: Path, steps: int, **choices: Any) -> None:
    """Train until so many steps are done, as a signal would stop it."""
    halt = Halt()

    def show(_: Session, event: Event) -> None:
        if isinstance(event, Step) and event.number == steps:
            halt.signal = 2

    with pytest.raises(Stopped):
        api.train("digits", out=run, halt=halt, show=show, **choices)


@pytest.mark.parametrize(
    "choices",
    [
        {"freeze": True, "epochs": 2, "ema": 0.9},
        {"freeze": True, "epochs": 2, "rotate": 10.0},
        {"unfreeze_at": 1, "epochs": 2, "rotate": 10.0, "layer_decay": 0.7, "ema": 0.9},
        {"unfreeze_at": 1, "epochs": 2, "optimiser": "muon", "backbone_rate": 0.3},
    ],
    ids=lambda choices: "-".join(choices),
)
def test_each_stage_continues_to_the_same_bits(
    begun: Path, tmp_path: Path, choices: dict[str, Any]
) -> None:
    chosen = {**SMALL, "weights": str(begun), **choices}
    straight = api.train("digits", out=tmp_path / "straight", **chosen)
    per_epoch = straight.history[0]["step"]
    # Within the first epoch, at the end of one, and within the last.
    for number, steps in enumerate((2, per_epoch, per_epoch * (choices["epochs"] - 1) + 1)):
        run = tmp_path / f"cut-{number}"
        stopped(run, steps, **chosen)
        api.train(resume=run)
        found, expected = tensors(run, newest=True), tensors(straight.folder, newest=True)
        assert all(torch.equal(found[name], expected[name]) for name in expected), steps
        times = {"seconds": 0, "waiting": 0}
        strip = [{**row, **times} for row in api.load(run).history]
        assert strip == [{**row, **times} for row in straight.history]


@pytest.mark.parametrize("changes", [{}, {"rotate": 10.0}], ids=["once", "each-epoch"])
def test_a_frozen_backbone_stays_as_loaded_statistics_too(
    begun: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = api.train(
        "digits",
        out=tmp_path / "run",
        **{**SMALL, "weights": str(begun), "freeze": True, "epochs": 2, **changes},
    )
    before, after = tensors(begun), tensors(run.folder, newest=True)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}
    assert any(name.endswith("running_mean") for name in before)


def test_all_layers_and_their_statistics_learn_once_they_are_freed(
    begun: Path, tmp_path: Path
) -> None:
    run = api.train(
        "digits",
        out=tmp_path / "run",
        **{**SMALL, "weights": str(begun), "unfreeze_at": 1, "epochs": 2},
    )
    before, after = tensors(begun), tensors(run.folder, newest=True)
    assert not [name for name in after if torch.equal(before[name], after[name])]


def test_features_that_are_computed_once_are_what_the_whole_network_would_teach_by(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {**SMALL, "weights": str(begun), "freeze": True, "epochs": 2, "rate": 0.003}
    lines: list[str] = []
    once = api.train("digits", out=tmp_path / "once", tell=lines.append, **chosen)
    monkeypatch.setattr(stages, "HELD_BYTES", 0)
    anew = api.train("digits", out=tmp_path / "anew", tell=lines.append, **chosen)
    head, *_ = [line for line in lines if "alone learns" in line]
    assert head.startswith("head alone learns, 90 of 1,182 ")
    assert head.endswith("features of 1,438 pictures are computed once")
    assert any(line.endswith("in each epoch: they do not fit into memory") for line in lines)
    first, second = tensors(once.folder, newest=True), tensors(anew.folder, newest=True)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=0, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"freeze": True}, "--freeze teaches the head of a network that has learnt already"),
        ({"unfreeze_at": 2}, "--unfreeze-at 2 teaches the head of a network that has learnt"),
        ({"unfreeze_at": 3}, "--unfreeze-at 3 leaves none of 3 epochs for all layers"),
        ({"freeze": True, "unfreeze_at": 1}, "give one of them, or --no-freeze"),
        ({"layer_decay": 0.0}, "--layer-decay lies in 0.001 to 1, not 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_stages_that_can_mean_nothing_are_refused(
    tmp_path: Path, choices: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        api.train("digits", out=tmp_path / "run", **{**SMALL, "epochs": 3, **choices})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "one-cycle"])
def test_each_stage_goes_through_its_own_schedule(schedule: str) -> None:
    recipe = Recipe(epochs=7, unfreeze_at=4, schedule=schedule, warmup=1.0, rate=0.2)
    first, second = (stages.StageRate.of(recipe, one) for one in stages.stages(recipe))
    alone = [Recipe(epochs=n, schedule=schedule, warmup=1.0, rate=0.2) for n in (4, 3)]
    steps = 5
    assert [first(recipe, step, steps) for step in range(4 * steps)] == [
        optim.rate(alone[0], step, steps) for step in range(4 * steps)
    ]
    assert [second(recipe, step, steps) for step in range(4 * steps, 7 * steps)] == [
        optim.rate(alone[1], step, steps) for step in range(3 * steps)
    ]


def test_shares_of_the_rate_fall_with_the_distance_from_the_head() -> None:
    net = models.build("convnet", 5, channels=1, size=8, width=4)
    recipe = Recipe(backbone_rate=0.5, layer_decay=0.8, weight_decay=0.1)
    share = stages.share_of(net, recipe, "head")
    optimiser = optim.optimiser(net, recipe, share=share)
    away = heads.distances(net, "head")
    for group in optimiser.param_groups:
        for name, parameter in net.named_parameters():
            if any(parameter is one for one in group["params"]):
                expected = 0.5 * 0.8 ** away[name] if away[name] else 1.0
                assert group["share"] == pytest.approx(expected), name
                assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0), name
    assert away["head.weight"] == 0 < away["stage1.conv1.weight"] == max(away.values())


WEIGHTS: dict[str, Any] = {"weights": "net.safetensors"}


@pytest.mark.parametrize(
    ("given", "published", "expected"),
    [
        ({}, True, {}),
        (WEIGHTS, True, {"freeze": True, "rate": 3e-3, "flip": False, "epochs": 20}),
        ({"pretrained": True, "optimiser": "sgd"}, True, {"freeze": True, "rate": 0.03}),
        ({**WEIGHTS, "freeze": False}, True, {"backbone_rate": 0.05, "epochs": 10}),
        ({**WEIGHTS, "unfreeze_at": 0}, True, {"backbone_rate": 0.05, "epochs": 10}),
        ({**WEIGHTS, "unfreeze_at": 6}, True, {"backbone_rate": 0.05, "epochs": 11}),
        (WEIGHTS, False, {}),
        ({**WEIGHTS, "freeze": False}, False, {"backbone_rate": 0.05, "epochs": 10}),
        ({**WEIGHTS, "freeze": True}, False, {"freeze": True, "flip": False}),
    ],
)
def test_what_suits_weights_follows_from_what_is_given(
    given: dict[str, Any], published: bool, expected: dict[str, Any]
) -> None:
    found = of_weights(given, published=published)
    assert {name: found[name] for name in expected} == expected
    assert bool(found) == bool(expected)
    assert ("freeze" in found) == expected.get("freeze", False)
