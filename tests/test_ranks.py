"""Several processes train, evaluate, predict and embed as one does, and end together."""

import dataclasses
import json
import multiprocessing
import os
import pickle
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from pyarrow import csv, parquet
from safetensors.torch import load_file
from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from striate import cli, ranks
from striate.data.augmenting.mixing import Mixture, mix_of
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.errors import DataError, Stopped, UsageError
from striate.layers.alike import Alike, Streams, Watch
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
SECONDS = 60.0
EXAMPLES = Path(__file__).parents[1] / "examples"


class Outcome(NamedTuple):
    """What a process gave, how it ended, and what it wrote."""

    value: Any
    code: int | None
    out: str
    err: str


class Processes:
    """Forked processes with torchrun's environment: forked, as importing torch takes seconds."""

    def __init__(self, folder: Path, count: int, work: Callable[[], Any], **more: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **more}
        context = multiprocessing.get_context("fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            self.all: list[BaseProcess] = []
            for rank in range(count):
                own = {**shared, "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
                process = context.Process(target=_carry_out, args=(folder, own, work))
                process.start()
                self.all.append(process)

    def outcomes(self, seconds: float = SECONDS) -> list[Outcome]:
        """Wait for all of them, so long."""
        until = time.monotonic() + seconds
        for process in self.all:
            process.join(max(0.1, until - time.monotonic()))
        late = [process for process in self.all if process.is_alive()]
        for process in late:
            process.kill()
            process.join()
        assert not late, f"{len(late)} of {len(self.all)} processes hung"
        return [self._outcome(rank) for rank in range(len(self.all))]

    def _outcome(self, rank: int) -> Outcome:
        out, err, value = (self.folder / f"{name}-{rank}" for name in ("out", "err", "value"))
        found = pickle.loads(value.read_bytes()) if value.exists() else None
        return Outcome(found, self.all[rank].exitcode, out.read_text(), err.read_text())


def _carry_out(folder: Path, environment: dict[str, Any], work: Callable[[], Any]) -> None:
    torch.set_num_threads(1)
    rank = environment["RANK"]
    os.environ.update({name: str(value) for name, value in environment.items()})
    with (folder / f"out-{rank}").open("w") as out, (folder / f"err-{rank}").open("w") as err:
        sys.stdout, sys.stderr = out, err
        try:
            found = work()
        except BaseException:
            traceback.print_exc(file=err)
            found = 70
        out.flush()
        err.flush()
    (folder / f"value-{rank}").write_bytes(pickle.dumps(found))
    os._exit(found if isinstance(found, int) else 0)


def striate(folder: Path, count: int, *words: Any, **more: str) -> Processes:
    """Start a command line in several processes."""
    return Processes(folder, count, lambda: cli.main([str(word) for word in words]), **more)


def joined(work: Callable[[], Any]) -> Callable[[], Any]:
    """Let processes meet before the work."""

    def carried_out() -> Any:
        with ranks.joined("cpu"):
            return work()

    return carried_out


# Gradients, statistics and steps, beside one process with the whole batch.


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
    for name, changes in [("plain", {}), ("norm", {}), ("apart", {"batch_statistics": "rank"})]:
        model = Choosing(norm=name != "plain")
        learner = Learner(
            model,
            optim.optimiser(model, recipe),
            Doubled(),
            Augmented(recipe),
            dataclasses.replace(recipe, **changes),
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


@pytest.mark.parametrize(
    ("decides", "layer"),
    [
        (True, lambda x: x if torch.rand(()) < 0.5 else 2 * x),
        (True, lambda x: x * torch.bernoulli(torch.tensor(0.5))),
        (True, lambda x: x if random.random() < 0.5 else 2 * x),
        (True, lambda x: x if np.random.rand() < 0.5 else 2 * x),  # noqa: NPY002
        (True, lambda x: x if x.sum().item() > 0 else 2 * x),
        (True, StochasticDepth(0.5, "batch")),
        (False, StochasticDepth(0.5, "row")),
        (False, DropPath(0.5)),
        (False, nn.Dropout(0.5)),
        (False, lambda x: x + torch.randn_like(x)),
        (False, nn.BatchNorm2d(1, momentum=None)),
        (False, nn.ReLU()),
    ],
)
def test_a_network_that_decides_is_known(decides: bool, layer: Callable[[Tensor], Tensor]) -> None:
    buffers = list(layer.buffers()) if isinstance(layer, nn.Module) else []
    with Watch(buffers) as watch:
        layer(torch.rand(2, 1, 4, 4, requires_grad=True))
    assert watch.decides == decides


def test_single_numbers_are_drawn_alike_and_others_apart() -> None:
    def drawn(rank: int) -> list[Tensor]:
        torch.manual_seed(7)
        streams = Streams.on(torch.device("cpu"))
        streams.begin(7, rank)
        part = torch.ones(3 - rank, 5)  # parts of two sizes
        with Alike(streams, plain=False):
            return [
                torch.rand(()),
                nn.functional.dropout(part, 0.5),
                torch.rand(1, 1),
                torch.rand(len(part), 1),
                torch.empty_like(part).bernoulli_(0.5),
                torch.empty(1, 1, 1).uniform_(),
                torch.randint(0, 1000, (4,)),
                torch.rand(1),
                torch.rand(3, generator=torch.Generator().manual_seed(1)),
            ]

    torch.manual_seed(7)
    alone = [torch.rand(()), torch.rand(1, 1), torch.empty(1, 1, 1).uniform_(), torch.rand(1)]
    first, second = drawn(0), drawn(1)
    for found in (first, second):
        for place, expected in zip((0, 2, 5, 7), alone, strict=True):
            assert torch.equal(found[place], expected), place
    assert torch.equal(first[8], second[8])
    for place in (1, 3, 4, 6):
        assert not torch.equal(first[place][:2], second[place][:2]), place
    repeated = drawn(1)
    assert all(torch.equal(a, b) for a, b in zip(second, repeated, strict=True))


def test_where_a_part_is_of_one_only_plain_numbers_are_alike() -> None:
    streams = Streams.on(torch.device("cpu"))
    streams.begin(7, 1)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    with Alike(streams, plain=True):
        assert not torch.equal(torch.rand(1, 1, 1, 1)[0, 0, 0], expected)
        assert torch.equal(torch.rand(1), expected)


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


# Command lines, as torchrun starts them.

TINY = ("--arguments.width", 4, "--batch-size", 250, "--rate", 0.02, "--epochs", 2)


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "bundle" / "model.safetensors")


def history(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0.0, "waiting": 0.0} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Path:
    """A run of one process."""
    run: Path = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main([str(word) for word in ("train", "digits", *TINY, "-o", run)]) == 0
    return run


def same(run: Path, whole: Path) -> None:
    """Compare two runs: rounding apart they are one."""
    for found, expected in zip(history(run), history(whole), strict=True):
        assert found == pytest.approx(expected, rel=2e-3)
    result, expected = (json.loads((path / "result.json").read_text()) for path in (run, whole))
    assert result["accuracy"] == pytest.approx(expected["accuracy"], abs=0.006)  # 2 of 359
    assert (result["n"], result["step_size"]) == (expected["n"], 250)
    assert weights(run).keys() == weights(whole).keys()
    for name, value in weights(run).items():
        torch.testing.assert_close(value, weights(whole)[name], rtol=5e-3, atol=5e-3, msg=name)


def test_a_training_of_two_is_that_of_one(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = striate(tmp_path, 2, "train", "digits", *TINY, "-o", run, "--json").outcomes()
    assert [outcome.code for outcome in found] == [0, 0], found
    same(run, whole)
    document = json.loads(found[0].out)
    assert (document["processes"], document["step_size"]) == (2, 250)
    assert document["per_second"] > 0
    assert "2 processes share the 250 pictures of a step" in found[0].err
    assert (found[1].out, found[1].err) == ("", ""), "one of them speaks"


def _wait_for(path: Path, pattern: str, found: Processes) -> None:
    until = time.monotonic() + SECONDS
    while not list(path.glob(pattern)):
        alive = any(process.is_alive() for process in found.all)
        if not alive or time.monotonic() > until:
            pytest.fail(f"{[one.err for one in found.outcomes(1)]}")
        time.sleep(0.02)


def test_a_run_goes_on_with_more_and_with_fewer_processes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = striate(tmp_path / "two", 2, "train", "digits", *TINY, "-o", run)
    _wait_for(run, "checkpoints/step-000000006", begun)
    second = begun.all[1].pid
    assert second is not None
    for _ in range(2):  # as a scheduler and torchrun do: to one of them, and twice
        os.kill(second, signal.SIGTERM)
    found = begun.outcomes()
    said = found[0].err + found[1].err
    assert [outcome.code for outcome in found] == [143, 143], said
    assert len(re.findall("stopped after step", said)) == 1
    resumed = striate(tmp_path / "three", 3, "train", "--resume", run, "--save-every", 0)
    last = max(int(path.name[5:]) for path in run.glob("checkpoints/step-*"))
    if last < 11:
        _wait_for(run, f"checkpoints/step-{last + 1:09d}", resumed)
    first = resumed.all[0].pid
    assert first is not None
    os.kill(first, signal.SIGTERM)
    assert {outcome.code for outcome in resumed.outcomes()} <= {143, 0}
    assert cli.main(["train", "--resume", str(run)]) == 0
    same(run, whole)


def test_a_process_that_is_killed_ends_the_others(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = striate(tmp_path, 3, "train", "digits", *TINY[:-1], 500, "-o", run, "--save-every", 0)
    _wait_for(run, "checkpoints/step-00000000[2-9]", begun)
    begun.all[1].kill()
    since = time.monotonic()
    found = begun.outcomes()
    assert time.monotonic() - since < 20
    assert [found[0].code, found[2].code] == [1, 1]
    said = found[0].err + found[2].err
    assert said.count("another process of this work has ended") == 1, said
    assert "--resume RUN" in said
    assert "Traceback" not in said


def test_what_is_refused_is_said_once(tmp_path: Path) -> None:
    for words, expected in [
        (("train", "digits", "--model", "nosuch"), "unknown model 'nosuch'"),
        (("train", "digits", "--seeds", 2), "--seeds is of one process, and torchrun started 2"),
        (("train", "digits", "--rate", "find"), "--rate find is of one process"),
        (("describe", "lenet"), "striate describe is of one process, and torchrun started 2"),
        (("train", "digits", "--device", "cuda:1"), "--device cuda:1 is of one process"),
        (
            ("train", "digits", "--batch-statistics", "rank", "--batch-size", 3),
            "a batch of 2 has fewer than 2 pictures for each of 2 processes",
        ),
    ]:
        found = striate(tmp_path, 2, *words, "-o", tmp_path / "run").outcomes()
        said = found[0].err + found[1].err
        assert {outcome.code for outcome in found} <= {1, 2}, said
        assert 2 in {outcome.code for outcome in found}
        assert said.count(expected) == 1, said
        assert said.count("striate:") == 1, said


def rows(path: Path) -> list[dict[str, Any]]:
    """Read a table of any kind."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    read = {".parquet": parquet.read_table, ".csv": csv.read_csv}[path.suffix]
    found: list[dict[str, Any]] = read(path).to_pylist()
    return found


def test_answers_are_shared_and_each_picture_is_asked_about_once(
    whole: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "ring" / "broken.png").write_bytes(b"no picture")
    many = [f"{path}" for path in sorted(photos.glob("*/*.png"))]
    commands: dict[str, tuple[Any, ...]] = {
        "answers.csv": ("evaluate", whole, "--json", "-o"),
        "rows.jsonl": ("predict", whole, *many, "-o"),
        "vectors.parquet": ("embed", photos, "--model", whole, "-o"),
    }

    def carried_out(at: Path) -> list[int]:
        at.mkdir(exist_ok=True)
        return [
            cli.main([str(word) for word in (*words, at / name)])
            for name, words in commands.items()
        ]

    assert carried_out(tmp_path / "one") == [0, 0, 0]
    found = Processes(tmp_path, 3, lambda: carried_out(tmp_path / "all")).outcomes()
    assert [outcome.value for outcome in found] == 3 * [[0, 0, 0]], found
    assert "wrote" not in found[1].err + found[2].err + found[1].out + found[2].out
    for name in commands:
        one, all_ranks = (rows(tmp_path / at / name) for at in ("one", "all"))
        assert len(one) == len(all_ranks) >= 15
        for before, after in zip(one, all_ranks, strict=True):
            assert before.keys() == after.keys()
            for key, value in before.items():
                is_number = isinstance(value, float) or key == "vector"
                near = pytest.approx(value, rel=1e-4, abs=1e-5) if is_number else None
                assert after[key] == (near if is_number else value), key


def test_a_frozen_network_is_taught_by_two_as_by_one(whole: Path, tmp_path: Path) -> None:
    words = ("train", "digits", "--weights", whole, "--unfreeze-at", 1, *TINY, "-o")
    assert cli.main([str(word) for word in (*words, tmp_path / "one")]) == 0
    found = striate(tmp_path, 2, *words, tmp_path / "two").outcomes()
    assert [outcome.code for outcome in found] == [0, 0], found
    same(tmp_path / "two", tmp_path / "one")


FALLING = """
import os
import signal

from torch import nn


class Falling(nn.Sequential):
    def forward(self, x):
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
        if self.training and self[1].num_batches_tracked == 8 and first:
            if os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def net(channels: int, classes: int) -> nn.Module:
    layers = nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes)
    return Falling(nn.Conv2d(channels, 4, 8), *layers)
"""


# What Slurm has, on one host: srun begins the task, scontrol lists the hosts.
STUBS = {
    "srun": '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
    "scontrol": "#!/bin/bash\necho localhost\n",
    "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n',
}


def test_a_job_of_slurm_restarts_what_was_killed_and_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FALLING)
    for name, text in STUBS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", "net.py:net", "--epochs", "2", "--batch-size", "250"]
    given = {"SLURM_NNODES": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    more = {"PROCESSES": "2", "PORT": f"{port}", "OMP_NUM_THREADS": "1", "PATH": path}
    found = subprocess.run(
        ["bash", EXAMPLES / "train.sbatch", "digits", "run", *words],
        cwd=tmp_path,
        env={**os.environ, **given, **more},
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    assert found.returncode == 0, found.stderr
    assert "after 1 restart by torchrun: going on with the run in run" in found.stderr
    assert len(history(tmp_path / "run")) == 2
    assert json.loads((tmp_path / "run" / "result.json").read_text())["processes"] == 2


def test_the_job_of_kubernetes_is_one() -> None:
    job = yaml.safe_load((EXAMPLES / "pytorchjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    [container] = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert container["name"] == "pytorch"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(job["spec"]["nprocPerNode"])
    *shell, script = container["command"]
    assert shell == ["bash", "-c"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "-m striate train" in script


def test_a_restarted_process_takes_no_other_run_for_its_own(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "splits.parquet").write_bytes(b"a start that was killed")
    (tmp_path / "part" / ".lock").touch()
    for name, choices, code, said in [
        ("run", ("--seed", 1), 2, "is a run of other choices (seed)"),
        ("run", ("--rate", 0.3), 2, "is a run of other choices (rate)"),
        ("run", (), 0, "after 2 restarts by torchrun: going on with the run in"),
        ("part", ("--epochs", 1), 0, "test accuracy"),
    ]:
        flags: dict[Any, Any] = dict(zip(TINY[::2], TINY[1::2], strict=True))
        flags |= dict(zip(choices[::2], choices[1::2], strict=True))
        words = [word for flag in flags.items() for word in flag]
        more = {"TORCHELASTIC_RESTART_COUNT": "2"}
        found = striate(
            tmp_path, 1, "train", "digits", *words, "-o", tmp_path / name, **more
        ).outcomes()[0]
        assert found.code == code, found.err
        assert said in found.out + found.err
