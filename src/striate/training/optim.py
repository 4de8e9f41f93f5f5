"""Optimisers and learning-rate schedules."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.layers.norms import norm_parameters

from .muon import Muon
from .recipe import Recipe

# One-cycle starts at 1/25 of the peak and ends at 1/10,000 of that start (Smith & Topin 2017,
# https://arxiv.org/abs/1708.07120, with fastai's numbers).
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 250_000


Share = Callable[[str], float]


def alike(_: str) -> float:
    """Return the whole rate, for every parameter."""
    return 1.0


def optimiser(
    model: nn.Module, recipe: Recipe, *, share: Share = alike, turned: Collection[Tensor] = ()
) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, AdamW, or Muon for the weights that are to be `turned`.

    Norms and biases are not decayed. Each parameter that is not frozen learns at its `share` of
    the rate, by its name.
    """
    groups = _groups(model, recipe, share)
    if recipe.optimiser == "muon":
        parts = [part for group in groups for part in _parted(group, turned)]
        return Muon(parts, rate=recipe.rate, momentum=recipe.momentum)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    return torch.optim.SGD(
        groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def _parted(group: Mapping[str, Any], turned: Collection[Tensor]) -> list[dict[str, Any]]:
    """Part a group of parameters into those that Muon turns and the others."""
    own = {id(p) for p in turned}
    parts = [
        {
            **group,
            "params": [p for p in group["params"] if (id(p) in own) == orthogonal],
            "orthogonal": orthogonal,
        }
        for orthogonal in (True, False)
    ]
    return [part for part in parts if part["params"]]


def _groups(model: nn.Module, recipe: Recipe, share: Share) -> list[dict[str, Any]]:
    """Group what is trained by its share of the rate, and whether it is decayed."""
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    norms = norm_parameters(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = share(name) * (recipe.norm_rate if name in norms else 1.0)
            found.setdefault((own, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": recipe.weight_decay * decayed, "share": own}
        for (own, decayed), parameters in found.items()
    ]


def rate(recipe: Recipe, step: int, steps_an_epoch: int) -> float:
    """Return the learning rate of a step, counted from 0.

    >>> constant = Recipe(schedule="constant", rate=0.5, warmup=1.0)
    >>> [rate(constant, step, 4) for step in range(6)]
    [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    """
    total = recipe.epochs * steps_an_epoch
    warm = min(round(recipe.warmup * steps_an_epoch), total)
    # From 0 before the first step (of one-cycle: from a 25th) to the peak at the last warm one.
    if step < warm:
        low = ONE_CYCLE_START if recipe.schedule == "one-cycle" else 0.0
        return recipe.rate * (low + (1 - low) * (step + 1) / warm)
    if recipe.schedule == "constant":
        return recipe.rate
    if recipe.schedule == "step":
        drops = step // (recipe.step_epochs * steps_an_epoch)
        return recipe.rate * recipe.step_factor**drops
    if recipe.schedule == "linear":
        return recipe.rate * (total - step) / max(total - warm, 1)
    end = ONE_CYCLE_END if recipe.schedule == "one-cycle" else 0.0
    done = (step - warm) / max(total - warm, 1)
    return recipe.rate * (end + (1 - end) * (1 + math.cos(math.pi * done)) / 2)


def save_state(optimiser: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the optimiser's tensors by name: `momentum_buffer/stage1.conv1.weight`."""
    names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    return {
        f"{key}/{names[parameter]}": value
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def load_state(
    optimiser: torch.optim.Optimizer, model: nn.Module, saved: Mapping[str, Tensor]
) -> None:
    """Put the tensors back, each in its parameter's memory order: so the bits stay the same."""
    parameters = dict(model.named_parameters())
    for entry, value in saved.items():
        key, _, name = entry.partition("/")
        parameter = parameters[name]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        optimiser.state[parameter][key] = value
