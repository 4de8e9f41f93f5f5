"""Steps and learning rates against torch's own, in float64."""

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim._muon import _zeropower_via_newtonschulz

from striate.training import optim
from striate.training.muon import NEWTON_SCHULZ, matrices, orthogonal
from striate.training.recipe import Recipe


def net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    return nn.Sequential(*layers).double()


def descend(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int = 5) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        values = torch.randn(6, 1, 4, 4, generator=generator, dtype=torch.float64)
        optimiser.zero_grad()
        model(values).square().sum().backward()
        optimiser.step()


def plain(model: nn.Module, kind: str, **settings: Any) -> torch.optim.Optimizer:
    """Make torch's own optimiser, with the decay by layer kind and not by shape."""
    decay = settings.pop("weight_decay")
    norms = {
        id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()
    }
    named = list(model.named_parameters())
    spared = {id(p) for name, p in named if name.endswith("bias")} | norms
    groups = [{"params": [p], "weight_decay": 0.0 if id(p) in spared else decay} for _, p in named]
    return getattr(torch.optim, kind)(groups, **settings)  # type: ignore[no-any-return]


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize(
    ("choices", "kind", "settings"),
    [
        ({"optimiser": "sgd", "momentum": 0.9}, "SGD", {"momentum": 0.9, "nesterov": True}),
        ({"optimiser": "sgd", "momentum": 0.0}, "SGD", {}),
        ({"optimiser": "adamw"}, "AdamW", {}),
    ],
)
def test_steps_are_torchs_with_norms_and_biases_spared(
    choices: dict[str, Any], kind: str, settings: dict[str, Any], decay: float
) -> None:
    ours = net()
    theirs = copy.deepcopy(ours)
    recipe = Recipe(rate=0.01, weight_decay=decay, **choices)
    descend(ours, optim.optimiser(ours, recipe))
    descend(theirs, plain(theirs, kind, lr=0.01, weight_decay=decay, **settings))
    for (name, found), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, msg=name)


def test_norms_have_their_share_of_the_rate() -> None:
    ours = net()
    theirs = copy.deepcopy(ours)
    norms = [m for m in theirs.modules() if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm))]
    shifts = [p for module in norms for p in module.parameters()]
    assert shifts
    others = [p for p in theirs.parameters() if all(p is not shift for shift in shifts)]
    optimiser = optim.optimiser(ours, Recipe(rate=0.01, norm_rate=7.0, weight_decay=0.0))
    for group in optimiser.param_groups:
        group["lr"] *= group["share"]  # as a step does
    descend(ours, optimiser)
    groups: list[dict[str, Any]] = [{"params": others, "lr": 0.01}, {"params": shifts, "lr": 0.07}]
    descend(theirs, torch.optim.SGD(groups, momentum=0.9, nesterov=True))
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("choices", [{"optimiser": "sgd"}, {"optimiser": "adamw"}])
def test_a_saved_state_goes_on_to_the_same_bits(choices: dict[str, Any]) -> None:
    recipe = Recipe(rate=0.01, **choices)
    whole = net()
    descend(whole, optim.optimiser(whole, recipe), steps=3)
    began = net()
    first = optim.optimiser(began, recipe)
    descend(began, first, steps=3)
    saved = {k: v.clone() for k, v in optim.save_state(first, began).items()}
    gone_on = copy.deepcopy(began)
    second = optim.optimiser(gone_on, recipe)
    optim.load_state(second, gone_on, saved)
    descend(began, first, steps=2)
    descend(gone_on, second, steps=2)
    assert all(
        torch.equal(a, b) for a, b in zip(gone_on.parameters(), began.parameters(), strict=True)
    )
    assert not torch.equal(next(whole.parameters()), next(began.parameters()))


def torchs(schedule: str, recipe: Recipe, steps: int) -> list[float]:
    """Return the rates of torch's scheduler of that name."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.rate)
    total = recipe.epochs * steps
    made: torch.optim.lr_scheduler.LRScheduler = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total),
        "step": lambda: torch.optim.lr_scheduler.StepLR(
            optimiser, recipe.step_epochs * steps, recipe.step_factor
        ),
        "linear": lambda: torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total),
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0),
    }[schedule]()
    rates = []
    for _ in range(total):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        made.step()
    return rates


@given(
    st.sampled_from(["cosine", "linear", "step", "constant"]),
    st.floats(1e-4, 1),
    st.integers(1, 12),
    st.integers(1, 7),
    st.integers(1, 5),
    st.floats(0.05, 1),
)
def test_schedules_are_torchs(
    schedule: str, rate: float, epochs: int, steps: int, step_epochs: int, factor: float
) -> None:
    recipe = Recipe(
        schedule=schedule, rate=rate, epochs=epochs, step_epochs=step_epochs, step_factor=factor
    )
    found = [optim.rate(recipe, step, steps) for step in range(epochs * steps)]
    assert found == pytest.approx(torchs(schedule, recipe, steps), rel=1e-9, abs=1e-12)


@given(st.integers(2, 30), st.integers(1, 9), st.floats(0.05, 0.95), st.floats(1e-3, 10))
def test_one_cycle_climbs_from_a_25th_and_falls_along_a_cosine(
    epochs: int, steps: int, share: float, peak: float
) -> None:
    recipe = Recipe(schedule="one-cycle", epochs=epochs, warmup=share * epochs, rate=peak)
    total = epochs * steps
    warm = round(recipe.warmup * steps)
    found = [optim.rate(recipe, step, steps) for step in range(total)]
    for step, rate in enumerate(found):
        if step < warm:
            expected = peak / 25 + (peak - peak / 25) * (step + 1) / warm
        else:
            part = (step - warm) / (total - warm)
            expected = peak * (4e-6 + (1 - 4e-6) * math.cos(math.pi * part / 2) ** 2)
        assert rate == pytest.approx(expected, rel=1e-9)
    assert max(found) == pytest.approx(peak)


@given(st.sampled_from(["cosine", "step", "constant"]), st.floats(0.1, 5), st.integers(1, 9))
def test_a_warm_up_climbs_in_equal_steps_to_the_peak(
    schedule: str, warmup: float, steps: int
) -> None:
    recipe = Recipe(schedule=schedule, epochs=10, rate=0.3, warmup=warmup, step_epochs=10)
    warm = round(warmup * steps)
    found = [optim.rate(recipe, step, steps) for step in range(warm)]
    assert found == pytest.approx([0.3 * (step + 1) / warm for step in range(warm)])
    if schedule == "constant":
        after = dataclasses.replace(recipe, warmup=0.0)
        assert optim.rate(recipe, warm, steps) == optim.rate(after, warm, steps) == 0.3


def muon(model: nn.Module, **choices: Any) -> torch.optim.Optimizer:
    recipe = Recipe(optimiser="muon", **choices)
    return optim.optimiser(model, recipe, turned=matrices(model, (1, 8, 8), ends=recipe.muon_ends))


def filters() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Flatten(),
        nn.Linear(24, 12),
        nn.Tanh(),
        nn.Linear(12, 3),
    )


def torchs_turn(matrix: Tensor, *_: Any) -> Tensor:
    """Stand in for torch's, which computes in bfloat16 alone."""
    return orthogonal(matrix[None])[0]


def learn(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int = 5) -> None:
    generator = torch.Generator().manual_seed(1)
    kind = next(model.parameters()).dtype
    for _ in range(steps):
        values = torch.randn(6, 1, 8, 8, generator=generator, dtype=kind)
        optimiser.zero_grad()
        model(values).square().sum().backward()
        optimiser.step()


def test_muon_turns_filters_and_matrices_but_neither_ends_nor_grouped_filters() -> None:
    model = filters()
    named = {id(p): name for name, p in model.named_parameters()}
    assert [named[id(p)] for p in matrices(model, (1, 8, 8))] == ["2.weight", "5.weight"]
    every = [named[id(p)] for p in matrices(model, (1, 8, 8), ends=True)]
    assert every == ["0.weight", "2.weight", "5.weight", "7.weight"]
    whole = [p for group in muon(model).param_groups for p in group["params"]]
    assert len(whole) == len(named)
    assert {id(p) for p in whole} == set(named)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_turn_keeps_singular_vectors_and_brings_values_near_1(
    count: int, rows: int, columns: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, rows, columns, generator=generator, dtype=torch.float64)
    u, values, v = torch.linalg.svd(x, full_matrices=False)
    expected = values / x.norm(dim=(1, 2), keepdim=True)[:, 0]
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = orthogonal(x)
    torch.testing.assert_close(found, u @ torch.diag_embed(expected) @ v, rtol=1e-9, atol=1e-9)
    large = values > 0.05 * values.amax(1, keepdim=True)
    near = torch.linalg.svdvals(found)
    assert near.max() < 1.25
    assert expected[large].min() > 0.65


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.6, 0.95])
def test_muons_steps_are_torchs_and_the_rest_goes_by_adamw(
    decay: float, momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", torchs_turn)
    ours, theirs = filters().double(), filters().double()
    learn(ours, muon(ours, rate=0.01, weight_decay=decay, momentum=momentum, muon_ends=True))
    named = dict(theirs.named_parameters())
    kernels = {name: named[name] for name in ("0.weight", "2.weight", "5.weight", "7.weight")}
    flat = {name: nn.Parameter(p.detach().flatten(1)) for name, p in kernels.items()}
    choices: dict[str, Any] = {"lr": 0.01, "weight_decay": decay}
    turning = torch.optim.Muon(
        flat.values(), momentum=momentum, adjust_lr_fn="match_rms_adamw", **choices
    )
    decayed = torch.optim.AdamW([named["3.weight"]], **choices)
    rest = [p for name, p in named.items() if name not in kernels and name != "3.weight"]
    others = torch.optim.AdamW(rest, lr=0.01, weight_decay=0.0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        theirs.zero_grad()
        values = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
        theirs(values).square().sum().backward()
        for name, p in kernels.items():
            assert p.grad is not None
            flat[name].grad = p.grad.flatten(1)
        for one in (turning, decayed, others):
            one.step()
        with torch.no_grad():
            for name, p in kernels.items():
                p.copy_(flat[name].view(p.shape))
    for name, p in ours.named_parameters():
        torch.testing.assert_close(p, named[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("shape", [(5, 5), (4, 36), (64, 9)])
def test_a_turn_is_torchs_to_bfloat16(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    theirs = _zeropower_via_newtonschulz(x, NEWTON_SCHULZ, 5, 1e-7)
    torch.testing.assert_close(orthogonal(x[None])[0], theirs.float(), rtol=0, atol=0.03)


def test_muon_needs_no_other_weights() -> None:
    layer = nn.Linear(64, 3, bias=False)
    model = nn.Sequential(nn.Flatten(), layer)
    before = layer.weight.detach().clone()
    learn(model, muon(model, rate=0.1, muon_ends=True))
    assert not torch.equal(layer.weight, before)


def test_groups_learn_at_their_share_under_muon_too() -> None:
    model = filters()
    optimiser = muon(model, rate=0.01)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(model)
    learn(model, optimiser)
    for found, expected in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(found, expected)
