"""Stages of a training that begins from weights: what learns, what stays, and resuming in each."""

from pathlib import Path
from typing import Any

import pytest
import torch

from striate import api
from striate.errors import Stopped
from striate.models.tensorfiles import from_safetensors
from striate.runs import checkpoints, folder
from striate.stopping import Halt
from striate.training.loop import Step
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
        strip = [{k: v for k, v in row.items() if k != "seconds"} for row in api.load(run).history]
        assert strip == [
            {k: v for k, v in row.items() if k != "seconds"} for row in straight.history
        ]


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
