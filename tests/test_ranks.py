"""Several processes take the steps of one, and agree with each other."""

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from processes import Processes, joined
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from striate import ranks
from striate.data.augmenting.mixing import Mixture, mix_of
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.errors import DataError, Stopped, UsageError
from striate.layers.synchronised import Synchronised
from striate.stopping import Halt
from striate.training import optim, sharing, together
from striate.training.averaging import average_of
from striate.training.loop import Progress, Step, epoch
from striate.training.losses import loss_of
from striate.training.muon import matrices
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.stages import Stage, Teaching
from striate.training.step import DivergedError, Learner, checked_update

CLASSES = 3
PLAIN = Preprocessing(size=(8, 8), channels=1, normalise="none")


class Doubled:
    """Pixels as float64, in which rounding is far below what a wrong formula gives."""

    def values(self, batch: Tensor, /) -> Tensor:
        return batch.double() / 255


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2),
        BatchNormAct2d(4),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.BatchNorm1d(6, momentum=None),
        nn.ReLU(),
        nn.Linear(6, CLASSES),
    ).double()


# Choices, and how many pictures: of 11 by 4 the last step has 3, of 10 by 4 it has 2, so that one
# of three processes has none; of 9 by 8 in two parts 5 and 4, and so on.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "parts of three sizes": ({"batch_size": 4}, 11),
    "a part of none": ({"batch_size": 4, "optimiser": "adamw", "rate": 0.01}, 10),
    "gradients of several batches": ({"batch_size": 4, "accumulate": 2}, 18),
    "mixtures": ({"batch_size": 5, "accumulate": 2, "mixup": 0.5, "cutmix": 1.0}, 17),
    "losses": ({"batch_size": 5, "class_weights": "balanced", "focal": 2.0, "clip": 0.1}, 13),
    "a mean of weights": ({"batch_size": 6, "ema": 0.9, "sampling": "balanced"}, 14),
    "muon": ({"batch_size": 6, "optimiser": "muon", "flip": True, "crop_padding": 1}, 12),
    "unused weights": ({"batch_size": 4}, 8),
    "layers skipped at random": ({"batch_size": 6, "weight_decay": 0.01}, 13),
    "layers skipped, of several batches": ({"batch_size": 4, "accumulate": 2}, 18),
}


class Unused(nn.Module):
    """A network with weights that have no part in its answers."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.idle = network(), nn.Linear(3, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.inside(x)
        return answer


class Skipping(nn.Module):
    """Skips layers at random, with their norms, as Huang et al. 2016 did."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(1, 4, 3, stride=2).double()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()).double()
            for _ in range(3)
        )
        self.head = nn.Linear(4 * 9, CLASSES).double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if not self.training or torch.rand(1) < 0.5:
                x = x + block(x)
        answer: Tensor = self.head(x.flatten(1))
        return answer


def built(name: str) -> nn.Module:
    """Build the network of a case."""
    if name == "unused weights":
        return Unused()
    return Skipping() if name.startswith("layers skipped") else network()


def taught(name: str, **more: Any) -> dict[str, Any]:
    """Teach two epochs; return the first gradient, the steps, and the network's state."""
    choices, count = CASES[name]
    recipe = Recipe(**{"rate": 0.05, "momentum": 0.9, **choices, **more})
    model, cpu = built(name), torch.device("cpu")
    labels = np.random.default_rng(0).integers(0, CLASSES, count) % CLASSES
    labels[:CLASSES] = range(CLASSES)
    pixels = np.random.default_rng(1).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    split = Split(pixels, labels, [f"{row}" for row in range(count)])
    pictures = Pictures(split, PLAIN, pixels=torch.from_numpy(pixels))
    model = model.float()
    turned = matrices(model, (1, 8, 8)) if recipe.optimiser == "muon" else []
    model = model.double()  # the weights stay the same objects
    learner = Learner(
        model,
        optim.optimiser(model, recipe, turned=turned),
        Doubled(),
        Augmented(recipe),
        recipe,
        cpu,
        mix=mix_of(Mixture(recipe.mixup, recipe.cutmix), CLASSES, cpu),
        loss=loss_of(recipe, pictures.labels, CLASSES, cpu),
        average=average_of(model, recipe.ema),
    )
    learner = together.shared(
        Teaching(Stage(0, 2, frozen=False), learner, {"train": pictures}, "")
    ).learner
    progress, steps = Progress(), list[Step]()
    gradient: dict[str, Tensor] = {}
    for _ in range(2):
        for found in epoch(learner, pictures, progress):
            progress.count(found[-1])
            steps += found
            gradient = gradient or {
                key: parameter.grad.clone()
                for key, parameter in model.named_parameters()
                if parameter.grad is not None
            }
        progress.close_epoch({})
    state = {
        **model.state_dict(),
        **{f"mean {k}": v for k, v in learner.judged.state_dict().items()},
    }
    return {"gradient": gradient, "steps": steps, "state": state}


def close(found: dict[str, Tensor], expected: dict[str, Tensor], share: float = 1e-9) -> None:
    """Compare tensors, to a share of the greatest number in any of them."""
    assert found.keys() == expected.keys()
    most = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        difference = float((found[name] - value).abs().max())
        assert difference <= share * most, f"{name}: {difference} beside {most}"


@pytest.fixture(scope="module", params=[2, 3])
def several(request: pytest.FixtureRequest, tmp_path_factory: Any) -> list[Any]:
    """What each of two and of three processes finds in all that is compared here."""

    def work() -> Any:
        return {
            "cases": {name: taught(name) for name in CASES},
            "apart": taught("a part of none", batch_size=10, batch_statistics="rank", momentum=0.0),
            "norms": [normalised(norm, ranks.rank()) for norm in NORMS],
            "others": others(),
            "ways": ways(),
        }

    folder = tmp_path_factory.mktemp("several")
    found = Processes(folder, request.param, joined(work)).outcomes()
    for outcome in found:
        assert outcome.code == 0, outcome.err
    return [outcome.value for outcome in found]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What one process finds."""
    return {name: taught(name) for name in CASES}


def test_several_processes_take_the_steps_of_one(several: list[Any], alone: Any) -> None:
    for name, expected in alone.items():
        for rank, values in enumerate(several):
            found = values["cases"][name]
            close(found["gradient"], expected["gradient"])
            close(found["state"], expected["state"], 1e-7)
            pairs = list(zip(found["steps"], expected["steps"], strict=True))
            for step, whole in pairs:
                assert step.loss == pytest.approx(whole.loss, rel=1e-7), (name, rank)
                assert step._replace(loss=0) == whole._replace(loss=0), (name, rank)


def test_every_picture_is_shown_once_an_epoch_to_one_of_the_processes() -> None:
    for total, processes in [(10, 3), (2, 3), (7, 2), (1, 4)]:
        rows = [
            row
            for n in range(processes)
            for row in range(total)[ranks.part(total, of=processes, number=n)]
        ]
        assert rows == list(range(total))


def test_statistics_of_each_part_are_those_of_a_network_a_part(several: list[Any]) -> None:
    choices, count = CASES["a part of none"]
    assert count == 10
    assert choices
    # By the same rows: one step an epoch, of all pictures.
    found = several[0]["apart"]["gradient"]
    whole = taught("a part of none", batch_size=10, momentum=0.0)["gradient"]
    assert found.keys() == whole.keys()
    first = "1.weight"
    assert not torch.allclose(found[first], whole[first], rtol=1e-3), "other statistics"
    for values in several:
        close(values["apart"]["state"], several[0]["apart"]["state"], 0.0)


NORMS: list[Callable[[], Any]] = [
    lambda: (nn.BatchNorm1d(5), (7, 5)),
    lambda: (nn.BatchNorm1d(2, affine=False), (7, 2, 3)),
    lambda: (nn.BatchNorm2d(3, eps=0.1, momentum=0.3), (7, 3, 4, 2)),
    lambda: (nn.BatchNorm2d(3, momentum=None), (7, 3, 4, 2)),
    lambda: (nn.BatchNorm2d(3, track_running_stats=False), (7, 3, 2, 2)),
    lambda: (nn.BatchNorm3d(2), (7, 2, 2, 3, 2)),
    lambda: (BatchNormAct2d(3), (7, 3, 4, 2)),
]
# Rows of each process, of 7; the third has none, and one that stands in.
ROWS = [slice(0, 5), slice(5, 7), slice(0, 1)]


def normalised(made: Callable[[], Any], rank: int | None) -> dict[str, Tensor]:
    """Norm numbers that are far from 0, some of them or all; return all that follows."""
    norm, shape = made()
    torch.manual_seed(1)
    norm = norm.double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x, slopes = 30 + 3 * torch.randn(shape).double(), torch.randn(shape).double()
    if len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    stands_in = rank is not None and rank == 2
    rows = slice(None) if rank is None else ROWS[rank]
    x = x[rows].requires_grad_()
    with torch.enable_grad():
        if rank is None:
            y = norm(x)
        else:
            with Synchronised(counts=not stands_in):
                y = norm(x)
    ((y * slopes[rows]).sum() * (not stands_in)).backward()
    assert x.grad is not None
    gradients = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {
        "y": y.detach(),
        "x": x.grad,
        **{f"of {name}": value for name, value in gradients.items() if value is not None},
        **{f"running {name}": value for name, value in norm.named_buffers()},
    }


@pytest.mark.parametrize("number", range(len(NORMS)))
def test_a_norm_over_processes_is_torchs_on_the_whole_batch(
    several: list[Any], number: int
) -> None:
    whole = normalised(NORMS[number], None)
    for rank, values in enumerate(several):
        found = values["norms"][number]
        for name in (name for name in whole if name.startswith("running")):
            torch.testing.assert_close(found[name], whole[name], msg=name)
        if rank == 2:
            assert not found["x"].any(), "what stands in learns nothing"
            continue
        for name in ("x", "y"):
            torch.testing.assert_close(found[name], whole[name][ROWS[rank]], rtol=1e-9, atol=1e-9)
    for name in (name for name in whole if name.startswith("of ")):
        total = sum(values["norms"][number][name] for values in several)
        torch.testing.assert_close(total, whole[name], rtol=1e-9, atol=1e-9)


def others() -> dict[str, Any]:
    """What else processes tell each other."""
    rank, found = ranks.rank(), dict[str, Any]()
    own = torch.arange(7)[ranks.mine(7)]
    found["gathered"] = ranks.gathered(own if rank else None).tolist()
    found["rounds"] = [len(ranks.rounds(total, 2)) for total in (1, 4, 9)]
    found["greatest"] = [ranks.greatest(None), ranks.greatest(9 if rank == 1 else None)]
    found["first"], found["least"] = ranks.of_first(f"of {rank}"), ranks.least(5 - rank)
    halt = Halt()
    with halt.agreeing(ranks.greatest):
        halt.poll()
        halt.signal = signal.SIGTERM if rank == 1 else None
        with pytest.raises(Stopped) as stop:
            halt.poll()
    found["stop"] = stop.value.signal
    with pytest.raises(DataError, match="the pictures on rank 1 are not those of rank 0"):
        ranks.require_same(min(rank, 1), "the pictures")
    found["bad"] = _is_caught_everywhere()
    return found


def _is_caught_everywhere() -> str:
    """Have a number that is not finite on one process alone."""
    recipe = Recipe(rate=0.1, batch_size=6)
    model = network()
    cpu = torch.device("cpu")
    learner = Learner(
        model, optim.optimiser(model, recipe), Doubled(), Augmented(recipe), recipe, cpu
    )
    learner = learner._replace(sharing=together.Together(learner, together.Ways()))
    cut = learner.sharing.cut(6, recipe)
    values = torch.rand(6, 1, 8, 8).double()
    if ranks.rank() == 1:
        values[:] = float("nan")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(DivergedError) as error:
        checked_update(
            learner,
            cut.of(values),
            cut.of(torch.arange(6) % CLASSES),
            rate=0.1,
            share=cut.shares[0],
        )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value)


class Choosing(nn.Module):
    """Takes one of two layers, by the brightness of its batch."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dark, self.bright = nn.Linear(64, CLASSES).double(), nn.Linear(64, CLASSES).double()
        self.norm = nn.BatchNorm1d(CLASSES).double() if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bright(x.flatten(1)) if x.mean() > 0.5 else self.dark(x.flatten(1))
        return self.norm(y) if x.mean() > 0.5 else y


def ways() -> dict[str, Any]:
    """Let processes go different ways, of which the first has bright pictures."""
    recipe = Recipe(rate=0.0, batch_size=6)
    torch.manual_seed(3)
    values = torch.rand(6, 1, 8, 8).double() / 2
    values[ranks.part(6, of=ranks.count(), number=0)] += 0.5
    found: dict[str, Any] = {"values": values}
    for name in ("plain", "norm", "apart"):
        model = Choosing(norm=name != "plain")
        learner = Learner(
            model,
            optim.optimiser(model, recipe),
            Doubled(),
            Augmented(recipe),
            dataclasses.replace(recipe, batch_statistics="rank" if name == "apart" else "global"),
            torch.device("cpu"),
        )
        known = together.ways_of(learner, values[:2])
        assert known == together.Ways(partly=True, decides=True)
        learner = learner._replace(sharing=together.Together(learner, known))
        cut = learner.sharing.cut(6, recipe)
        step = cut.of(values), cut.of(torch.arange(6) % CLASSES)
        if name == "norm":
            with pytest.raises(UsageError) as error:
                checked_update(learner, *step, rate=0.1, share=cut.shares[0])
            found[name] = str(error.value)
        else:
            checked_update(learner, *step, rate=0.1, share=cut.shares[0])
            found[name] = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    return found


def test_processes_go_ways_of_their_own_or_are_refused(several: list[Any]) -> None:
    values, targets = several[0]["ways"]["values"], torch.arange(6) % CLASSES
    model = Choosing(norm=False)
    for number in range(len(several)):
        own = ranks.part(6, of=len(several), number=number)
        smoothing = Recipe().label_smoothing
        loss = nn.functional.cross_entropy(
            model(values[own]), targets[own], reduction="sum", label_smoothing=smoothing
        )
        (loss / 6).backward()
    for found in (outcome["ways"] for outcome in several):
        for gradient, parameter in zip(found["plain"], model.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-12)
        assert "different ways through the network: a layer with batch norm" in found["norm"]
        assert "--batch-statistics rank" in found["norm"]
        for gradient, first in zip(found["apart"], several[0]["ways"]["apart"], strict=True):
            torch.testing.assert_close(gradient, first, rtol=0, atol=0)


def test_processes_agree(several: list[Any]) -> None:
    count = len(several)
    firsts = ranks.part(7, of=count, number=0).stop
    for values in several:
        assert values["others"] == {
            "gathered": list(range(firsts, 7)),
            "rounds": {2: [1, 1, 3], 3: [1, 1, 2]}[count],
            "greatest": [None, 9],
            "first": "of 0",
            "least": 6 - count,
            "stop": signal.SIGTERM,
            "bad": "the loss is nan",
        }


def test_without_an_environment_there_is_one_process() -> None:
    assert ranks.started({}) == ranks.Place()
    four = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "host", "MASTER_PORT": "1"}
    assert ranks.started(four) == ranks.Place(rank=1, processes=2)
    for name in four:
        assert ranks.started({**four, name: ""}) == ranks.Place()
    with pytest.raises(UsageError, match="RANK is set to 'x'"):
        ranks.started({**four, "RANK": "x"})
    with pytest.raises(UsageError, match="RANK is 2, and WORLD_SIZE 2"):
        ranks.started({**four, "RANK": "2"})
    with ranks.joined():
        assert (ranks.count(), ranks.rank(), ranks.speaks()) == (1, 0, True)
        assert not torch.distributed.is_initialized()
        assert ranks.sums([1.5]) == [1.5]
    assert sharing.taught(torch.arange(3), sharing.whole(3, 2)).tolist() == [0, 1, 2]
