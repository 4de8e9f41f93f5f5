"""Steps and learning rates against torch's own, in float64."""

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate.training import optim
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
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0),
    }[schedule]()
    rates = []
    for _ in range(total):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        made.step()
    return rates


@given(
    st.sampled_from(["cosine", "step", "constant"]),
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
