"""What any network costs: its layers, parameters, multiply-adds, memory and receptive fields."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate import models
from striate.errors import UsageError, choose
from striate.runs import folder
from striate.tracing.building import built, copied

from . import passes, rows
from .passes import OPTIMISERS, TrainingStep
from .rows import Description, Memory, Row

__all__ = ["OPTIMISERS", "Description", "Memory", "Row", "describe"]

Size = int | Sequence[int]


def describe(  # noqa: PLR0913
    model: Any,
    *,
    size: Size | None = None,
    batch: int = 1,
    classes: int | None = None,
    optimiser: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    trust_code: bool = False,
) -> Description:
    """Describe what a network is made of and costs, for pictures (C, H, W), without arithmetic.

    `model` is a name, `file.py:function`, a run's folder, or an nn.Module, which stays as it is.
    The optimiser is a run's own, else sgd. `trust_code` lets code be executed that a run carries
    and this machine has not run before.
    """
    choose("optimiser", optimiser or "sgd", OPTIMISERS)
    if batch < 1:
        raise UsageError(f"a batch has 1 picture or more, not {batch}")
    volume = read_size(size)
    own = "sgd"
    if isinstance(model, nn.Module):
        net, name, volume = copied(model), type(model).__name__, volume or (3, 224, 224)
    elif Path(model).expanduser().is_dir():
        path = Path(model).expanduser()
        net, name, volume = _of_run(path, volume, (classes, arguments), trust_code=trust_code)
        own = str(folder.read_recipe(path)["optimiser"]) if folder.is_run(path) else own
    else:
        net, name, volume = _by_name(str(model), volume, classes, arguments)
    return _described(net, name, volume, batch, optimiser or own)


def read_size(size: Size | None) -> tuple[int, ...] | None:
    """Return (channels, height, width, ...): one number is the side of a square, in RGB."""
    if size is None:
        return None
    volume = (3, size, size) if isinstance(size, int) else tuple(size)
    if len(volume) == 2:
        volume = (3, *volume)
    if not 2 <= len(volume) <= 4 or min(volume) < 1:
        shown = "x".join(map(str, volume))
        raise UsageError(f"a size is 224, 224x320 or 3x224x224 (channels first), not {shown}")
    return volume


def _by_name(
    name: str,
    size: tuple[int, ...] | None,
    classes: int | None,
    arguments: Mapping[str, Any] | None,
) -> tuple[nn.Module, str, tuple[int, ...]]:
    plan = models.find(name, arguments)
    shape, usual = _published_for(plan)
    volume, count = size or shape, classes or usual
    net = built(lambda: models.build(plan, count, channels=volume[0], size=volume[1:]))
    return net, name, volume


def _published_for(plan: models.Architecture) -> tuple[tuple[int, ...], int]:
    """Return the shape that a network was published for, (C, H, W) or (C, T, H, W), and classes."""
    if plan.name in models.MODELS:
        shape = models.MODELS[plan.name].shape
        return shape, 1000 if shape == (3, *models.IMAGENET.size) else 10
    published = models.published(plan.name) if plan.source is None else None
    return ((3, *published.size), 1000) if published else ((3, 32, 32), 10)


def _of_run(
    path: Path, size: tuple[int, ...] | None, choices: tuple[Any, Any], *, trust_code: bool
) -> tuple[nn.Module, str, tuple[int, ...]]:
    if any(choice is not None for choice in choices):
        raise UsageError("a run's network is as it was trained: leave out classes and arguments")
    bundle = folder.load_bundle(path, trust_code=trust_code)
    return copied(bundle.model), bundle.architecture.name, size or bundle.preprocessing.shape


def _described(
    net: nn.Module, name: str, size: tuple[int, ...], batch: int, optimiser: str
) -> Description:
    pictures = torch.empty(batch, *size, device="meta")
    found = passes.answer(net, pictures)
    step, untrainable = _stepped(net, pictures, optimiser)
    weights = [*net.parameters(), *net.buffers()]
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return Description(
        name,
        size,
        batch,
        optimiser,
        tuple(rows.rows(found, step, size, pictures.numel() * pictures.element_size())),
        found.unused,
        rows.memory(weights, trained, found, step, optimiser),
        untrainable,
    )


def _stepped(
    net: nn.Module, pictures: torch.Tensor, optimiser: str
) -> tuple[TrainingStep | None, str | None]:
    """Look at a step of training, or say why there can be none.

    A batch norm over one number, as of one picture's 1x1 map, has no variance.
    """
    if not any(p.requires_grad for p in net.parameters()):
        return None, "no parameter is trained"
    try:
        return passes.step(net, pictures, optimiser), None
    except UsageError as error:
        return None, str(error)
