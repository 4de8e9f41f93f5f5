"""Where a step's time goes: it adds up, agrees with torch's own profiler, and changes nothing."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import parts
from torch import Tensor, nn
from torch.profiler import ProfilerActivity
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import cli
from striate.data.batches import Pictures
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Split
from striate.errors import UsageError
from striate.layers import chain
from striate.profiling import Phase, Profile, machine
from striate.profiling.advice import RULES, Facts, advised
from striate.profiling.found import LayerTime, Memory
from striate.profiling.steps import Steps, gain_of_twice
from striate.profiling.timeline import BACKWARD, FORWARD, PHASES
from striate.stopping import unheard
from striate.training import optim
from striate.training.loop import Progress, epoch
from striate.training.pictures import Augmented
from striate.training.recipe import Recipe
from striate.training.step import Learner

FAINT = Path(__file__).with_name("contrast.js").read_text("utf-8")


def big() -> nn.Module:
    """A network of a few large layers of different kinds."""
    return chain(
        conv=nn.Conv2d(3, 32, 5, padding=2),
        act=nn.ReLU(),
        wide=nn.Conv2d(32, 48, 3, padding=1),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        head=nn.Linear(48 * 12 * 12, 256),
    )


class Branching(nn.Module):
    """What hooks on modules trip over: a sum, changes in place, a module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        x = x + self.block(x)
        x = self.act((x + self.block(x)).mul_(2))
        y: Tensor = self.head(x.mean((2, 3)))
        return y


class Attending(nn.Module):
    """Products of inputs with each other, which have no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 8, 8)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        y: Tensor = self.head((tokens @ tokens.transpose(1, 2) @ tokens).mean(1))
        return y


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "big": big,
    "branching": Branching,
    "attending": Attending,
}


class Drawn:
    """Sixty pictures of noise, (24, 24, 3), in three classes."""

    classes = ("a", "b", "c")

    def __len__(self) -> int:
        return 60

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return np.random.default_rng(place).integers(0, 256, (24, 24, 3), np.uint8), place % 3


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDES", {"cpu": (256, 384)})


def prepared(net: str, batch: int, **choices: Any) -> tuple[Learner, Pictures]:
    """Return a learner of noise, and the noise."""
    torch.manual_seed(0)
    model = NETWORKS[net]()
    recipe = Recipe(batch_size=batch, schedule="constant", rate=0.01, **choices)
    preparation = Preprocessing((24, 24), 3, mean=(0.5,) * 3, std=(0.25,) * 3)
    device = torch.device("cpu")
    learner = Learner(
        model, optim.optimiser(model, recipe), preparation, Augmented(recipe), recipe, device
    )
    count = 10 * batch
    pixels = torch.randint(0, 256, (count, 3, 24, 24), dtype=torch.uint8)
    split = Split(pixels.numpy(), np.arange(count) % 10, [str(i) for i in range(count)])
    return learner, Pictures(split, preparation, pixels=pixels)


def beside_torch(looking: Steps) -> list[tuple[str, float, float]]:
    """Return what both say of some steps: the profiler's name, our seconds, its seconds."""
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        measured = looking.by_layer(5)
    events = {one.key: one.cpu_time_total / 1e6 for one in profiler.key_averages()}
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for part, seconds in measured.seconds.items():
        if part.layer:
            sums[part.phase, part.layer.replace("wide", "conv")] += seconds
    engine = "autograd::engine::evaluate_function: "
    names = {
        "aten::conv2d": (FORWARD, "conv"),
        "aten::relu": (FORWARD, "act"),
        "aten::max_pool2d": (FORWARD, "pool"),
        "aten::linear": (FORWARD, "head"),
        f"{engine}ConvolutionBackward0": (BACKWARD, "conv"),
        f"{engine}MaxPool2DWithIndicesBackward0": (BACKWARD, "pool"),
        f"{engine}AddmmBackward0": (BACKWARD, "head"),
    }
    return [(name, sums[ours], events[name]) for name, ours in names.items()]


def test_times_by_layer_are_those_of_torchs_profiler() -> None:
    looking = Steps(*prepared("big", 24), unheard)
    looking.plain(2)
    rounds: list[list[str]] = []
    # Another program may take the processor between a mark of ours and one of the profiler's.
    for _ in range(5):
        rows = beside_torch(looking)
        ours, theirs = (sum(column) for column in list(zip(*rows, strict=True))[1:])
        # What is short is mostly the marks and the profiler themselves.
        apart = [
            f"{name}: {mine}, {its}"
            for name, mine, its in rows
            if abs(mine - its) > max(0.3 * its, 0.01 * theirs)
        ]
        rounds.append(apart + [f"all: {ours}, {theirs}"] * (abs(ours - theirs) > 0.1 * theirs))
        if not rounds[-1]:
            return
    pytest.fail(f"{rounds}")


@pytest.mark.parametrize("net", NETWORKS)
@pytest.mark.parametrize("choices", [{}, {"accumulate": 2, "clip": 1.0, "optimiser": "adamw"}])
def test_steps_that_are_watched_are_those_of_a_training(net: str, choices: dict[str, Any]) -> None:
    learner, pictures = prepared(net, 4, **choices)
    taken = [next(iter(step)) for step in epoch(learner, pictures, Progress())]
    watched, same = prepared(net, 4, **choices)
    looking = Steps(watched, same, unheard)
    looking.plain(len(taken) - 2)
    looking.by_layer(2)
    for mine, theirs in zip(
        watched.model.state_dict().values(), learner.model.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)
    for module in watched.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert not watched.optimiser._optimizer_step_pre_hooks


@pytest.mark.parametrize("net", NETWORKS)
def test_the_parts_of_steps_add_up(net: str) -> None:
    looking = Steps(*prepared(net, 6, accumulate=2), unheard)
    plain, layered = looking.plain(3), looking.by_layer(3)
    assert (plain.steps, plain.pictures, len(plain.each)) == (3, 36, 3)
    assert {part.phase for part in plain.seconds} == set(PHASES)
    assert sum(plain.of(phase) for phase in PHASES) == pytest.approx(plain.total)
    for phase in (FORWARD, BACKWARD):
        found = {part.layer for part in layered.seconds if part.phase == phase and part.layer}
        named = {name for name, module in looking._learner.model.named_modules() if name}
        assert found <= named | {"(loss)"}
    learning = {name.rpartition(".")[0] for name, _ in looking._learner.model.named_parameters()}
    back = {part.layer for part in layered.seconds if part.phase == BACKWARD}
    assert learning <= back, "each layer that learns has a backward pass"


def work_counted_by_torch(net: nn.Module, values: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        net(values).sum().backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("model", ["convnet", "resnet20", "torchvision/squeezenet1_1"])
def test_the_work_is_what_torch_counts(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nets = tmp_path / "nets.py"
    nets.write_text(
        "from striate import models\n"
        f"def net(channels, classes, size): return models.build(models.find({model!r}), classes, "
        "channels=channels, size=size)\n"
    )
    found = striate.profile(Drawn(), model="nets.py:net", steps=3, batch_size=4, size=32)
    namespace: dict[str, Any] = {}
    exec(nets.read_text(), namespace)
    net = namespace["net"](found.shape[0], 3, found.shape[1:])
    wanted = work_counted_by_torch(net, torch.zeros(4, *found.shape))
    assert found.flop == pytest.approx(wanted, rel=1e-9)
    assert found.flops == pytest.approx(wanted / found.seconds)
    assert list(tmp_path.iterdir()) == [nets], "no run is written"


@pytest.fixture(scope="module")
def drawn() -> Profile:
    choices: dict[str, Any] = {"arguments": {"width": 4}, "size": 16}
    return striate.profile(Drawn(), steps=4, batch_size=16, **choices)


def test_a_profile_is_of_one_piece(drawn: Profile) -> None:
    assert (drawn.model, drawn.data, drawn.shape) == ("convnet", "drawn", (3, 16, 16))
    assert (drawn.step_size, drawn.batch_size, drawn.steps) == (16, 16, 4)
    assert sum(phase.share for phase in drawn.phases) == pytest.approx(1)
    assert sum(phase.seconds for phase in drawn.phases) == pytest.approx(drawn.seconds)
    assert 0 < drawn.rate <= 16 / drawn.seconds, "the last step of an epoch is smaller"
    assert drawn.fastest <= drawn.seconds <= drawn.slowest
    forward, backward = (
        sum(getattr(one, of) for one in drawn.layers) for of in (FORWARD, BACKWARD)
    )
    assert (forward, backward) == pytest.approx(drawn.layer_passes)
    assert sum(layer.share for layer in drawn.layers) == pytest.approx(1)
    assert [one.share for one in drawn.layers] == sorted(
        (one.share for one in drawn.layers), reverse=True
    )
    described = striate.describe(
        "convnet", size=(3, 16, 16), batch=16, classes=3, arguments={"width": 4}
    )
    assert drawn.memory.predicted == described.memory["float32"].training
    assert 1 <= len(drawn.advice) <= 3
    whole = drawn.to_json()
    assert json.loads(json.dumps(whole))["memory"]["ratio"] == drawn.memory.ratio


def test_the_memory_of_a_step_is_what_is_predicted(tmp_path: Path) -> None:
    """Of a network whose weights take most: 4 times 40 MB."""
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def net(channels, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, 4000), nn.ReLU(), "
        "nn.Linear(4000, 2400), nn.ReLU(), nn.Linear(2400, classes))\n"
    )
    found = striate.profile(
        Drawn(), model=f"{tmp_path}/nets.py:net", steps=3, size=8, batch_size=16
    )
    if found.memory.step is None:
        pytest.skip("this system does not tell")
    assert found.memory.ratio == pytest.approx(1, abs=0.3)
    assert found.memory.peak > found.memory.step


def test_twice_the_batch_is_tried_without_learning() -> None:
    learner, pictures = prepared("branching", 8)
    learner.model.eval()  # running statistics would follow
    frozen = learner._replace(mode=lambda _: None)
    before = [parameter.clone() for parameter in learner.model.parameters()]
    values = (
        learner.preprocessing.values(pictures.pixels[:8]) if pictures.pixels is not None else None
    )
    assert values is not None
    assert 0.3 < gain_of_twice(frozen, values, pictures.labels[:8]) < 5
    for old, new in zip(before, learner.model.parameters(), strict=True):
        assert torch.equal(old, new)


def test_the_rate_of_products_is_that_of_products() -> None:
    found = machine.product_rates(torch.device("cpu"))["float32"]
    side = 384
    left, right = torch.randn(side, side), torch.randn(side, side)
    least = min(
        machine._seconds(torch.device("cpu"), left, right, torch.empty(side, side))
        for _ in range(5)
    )
    assert 0.2 < found / (2 * side**3 / least) < 5


# Advice


def layer(name: str, share: float, of_peak: float | None = 0.5) -> LayerTime:
    return LayerTime(name, "Conv2d", share / 2, share / 2, share, 1e9, 1e9, of_peak)


FACTS = Facts(
    kind="pictures",
    phases=[Phase(FORWARD, 0.03, 0.3), Phase(BACKWARD, 0.06, 0.6), Phase("rest", 0.01, 0.1)],
    layers=[layer(f"conv{place}", 0.2) for place in range(5)],
    reordered=frozenset(),
    memory=Memory(10**9, 10**8, 10**8, "resident"),
    held=True,
    workers=2,
    threads=4,
    processors=4,
    batch_size=64,
    optimiser="adamw",
    changes=("flip", "hue"),
    gain=1.05,
    free=10**10,
    of_peak=0.4,
    passes=0.9,
    halved=None,
)


def with_phase(name: str, share: float) -> dict[str, Any]:
    rest = [Phase(FORWARD, 0.1, (1 - share) / 3), Phase(BACKWARD, 0.1, 2 * (1 - share) / 3)]
    return {"phases": [*rest, Phase(name, 0.1, share)], "passes": 1 - share}


@pytest.mark.parametrize(
    ("changes", "what", "words"),
    [
        ({}, "nothing", "90 % of a step is the network's own arithmetic, at 40 % of the peak"),
        (with_phase("data wait", 0.19), "nothing", "81 %"),
        (with_phase("data wait", 0.31), "data", "31 % of a step is waiting for pictures"),
        ({**with_phase("data wait", 0.5), "held": False}, "data", "--workers 4 decodes faster"),
        ({**with_phase("data wait", 0.5), "held": False, "workers": 4}, "data", "4 processors de"),
        ({**with_phase("data wait", 0.5), "held": False}, "data", "--cache FOLDER"),
        (with_phase("augmentation", 0.3), "augmentation", "what helps least of --flip, --hue"),
        ({**with_phase("augmentation", 0.3), "changes": ()}, "augmentation", "no random change"),
        ({**with_phase("augmentation", 0.3), "kind": "sounds"}, "augmentation", "spectrograms"),
        (with_phase("copy", 0.3), "copy", "30 % of a step is the copy to the device"),
        (with_phase("optimiser", 0.25), "optimiser", "25 % of a step is adamw's update"),
        ({"gain": 1.4}, "batch", "of one of 128, 1.40 times as many pictures a second"),
        ({"gain": 1.4, "free": 3 * 10**8}, "nothing", ""),
        ({"gain": None}, "nothing", ""),
        ({"threads": 1}, "threads", "1 thread of 4 processors computes: leave OMP_NUM_THREADS"),
        ({"threads": 3}, "threads", "3 threads of 4 processors compute:"),
        ({"threads": None}, "nothing", ""),
        ({"halved": 2.31}, "precision", "2.3 times as fast in bfloat16 as in float32: try --pre"),
        ({"halved": 1.1}, "nothing", ""),
        (
            {"layers": [layer("a", 0.5, 0.12), layer("b", 0.3), layer("c", 0.2)]},
            "layer",
            "a (Conv2d) takes 50 % of both passes, at 12 % of the machine's peak",
        ),
        (
            {"layers": [layer("a", 0.25, None), layer("b", 0.2, None), layer("c", 0.55 / 2)] * 1
             + [layer("d", 0.55 / 2)]},
            "memory-bound",
            "45 % of both passes goes to layers that multiply nothing",
        ),
        ({"reordered": frozenset({"conv1"})}, "channels_last", "1 convolution, conv1 first"),
    ],
)  # fmt: skip
def test_advice_follows_from_what_was_measured(
    changes: dict[str, Any], what: str, words: str
) -> None:
    (found,) = advised(FACTS._replace(**changes))
    assert found.what == what
    assert words in found.line


def test_at_most_three_lines_are_given_the_largest_share_first() -> None:
    shares = with_phase("data wait", 0.3)
    found = advised(FACTS._replace(**shares, threads=1, gain=3.0, reordered=frozenset({"conv1"})))
    assert [one.what for one in found] == ["threads", "batch", "data"]
    assert len(RULES) == 9


def test_maps_in_another_order_of_memory_are_seen() -> None:
    learner, pictures = prepared("branching", 4)
    from striate import devices

    devices.place(learner.model, torch.device("cpu"))
    looking = Steps(learner, pictures, unheard)
    looking.by_layer(1)
    assert not any(seen.reordered for seen in looking.seen.values())

    learner.model.get_submodule("block").register_forward_pre_hook(
        lambda _, given: (given[0].contiguous(),)
    )
    other = Steps(learner, pictures, unheard)
    other.by_layer(1)
    assert [name for name, seen in other.seen.items() if seen.reordered] == ["block.0"]


# The command


def test_the_command_prints_tables_of_eighty_columns(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["profile", str(photos), "--model", "resnet20", "--size", "16", "--steps", "3"]
    assert cli.main([*line, "-o", "p.html"]) == 0
    out, said = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("resnet20 on photos, 3x16x16, ")
    assert "wrote p.html" in said
    for phase in PHASES:
        assert re.search(rf"^{phase} +[\d.,]+ +[\d.]+ %", out, re.M), phase
    assert "What to change first\n1. " in out
    document, _ = parts(tmp_path / "p.html")
    assert {one["name"] for one in document["phases"]} == set(PHASES)
    assert {path.name for path in tmp_path.iterdir()} == {"p.html", "photos"}, "no run is written"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--steps 2", "a profile takes 3 steps or more, not 2"),
        ("-o page.png", "--out is an .html file, not page.png"),
        ("--rate find", "leave out --rate find"),
        ("--model none", "none"),
    ],
)
def test_what_cannot_be_profiled_is_a_line(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["profile", "digits", *words.split()]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert said in error


def test_the_json_is_the_profile(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--model mlp --steps 3 --batch-size auto --optimiser adamw --json"
    assert cli.main(["profile", str(photos), *words.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "mlp"
    assert sum(phase["share"] for phase in found["phases"]) == pytest.approx(1)
    assert found["flops"] == pytest.approx(found["flop"] / found["seconds"])
    with pytest.raises(UsageError, match="unknown setting"):
        striate.profile(Drawn(), nothing=1)


def test_a_head_that_learns_alone_is_profiled_on_features(tmp_path: Path) -> None:
    run = striate.train(Drawn(), epochs=1, size=16, out=tmp_path / "run", arguments={"width": 4})
    found = striate.profile(
        Drawn(), weights=str(run.folder), freeze=True, size=16, steps=3, arguments={"width": 4}
    )
    assert found.flop is None
    assert any("alone learns" in note for note in found.notes)
    assert any("its work is not counted" in note for note in found.notes)


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_opens_without_an_error(
    browser: Any, drawn: Profile, tmp_path: Path, dark: bool
) -> None:
    from striate.report import write_profile

    path = tmp_path / "p.html"
    write_profile(path, drawn)
    page = browser.new_page(
        viewport={"width": 390, "height": 800}, color_scheme="dark" if dark else "light"
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda one: errors.extend([one.text] * (one.type == "error")))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    widths = page.evaluate(
        "[...document.querySelectorAll('.icicle .row:first-child .block')]"
        ".map((one) => [one.getAttribute('aria-label'), parseFloat(one.style.width)])"
    )
    shown = {label.partition(":")[0]: width for label, width in widths}
    for phase in drawn.phases:
        assert shown.get(phase.name, 0.0) == pytest.approx(100 * phase.share, abs=0.051)
    page.locator(".icicle .block").last.focus()
    assert "of a step" in page.locator(".told").text_content()
    looked, faint = page.evaluate(FAINT)
    assert looked > 20
    assert not faint
    assert errors == []
    page.close()
