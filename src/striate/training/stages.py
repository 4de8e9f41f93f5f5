"""Freezing and unfreezing: the head alone, then all layers; shares of the rate by layer."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate import devices, features, ranks
from striate.data.augmenting.mixing import unmixed
from striate.data.batches import Pictures
from striate.data.preparation.kinds import Preparation
from striate.errors import UsageError
from striate.models import heads
from striate.stopping import Poll, Reading
from striate.wording import counted

from . import optim
from .loop import Progress
from .recipe import Recipe, augmentations
from .step import Learner, training

# Pictures a batch whose features are computed. On a CPU few take a seventh less time than many: the
# maps of EfficientNet-Lite0 then stay small enough to be kept by the allocator.
FEW, MANY = 16, 256
# Features of frozen layers that are kept. On every machine the same: to compute them anew changes
# the last bits of what is learnt.
HELD_BYTES = 4 << 30


class Stage(NamedTuple):
    """Epochs, from 0, in which the same layers learn."""

    first: int
    end: int  # the first that is no longer in it
    frozen: bool  # the head learns alone


class Teaching(NamedTuple):
    """What the steps of a stage are taken with."""

    stage: Stage
    learner: Learner
    pictures: dict[str, Pictures]
    line: str  # for people; "" where there is nothing to say


def stages(recipe: Recipe) -> list[Stage]:
    """List the stages of a training.

    >>> [stage.frozen for stage in stages(Recipe(epochs=9, unfreeze_at=5))]
    [True, False]
    """
    last = recipe.epochs
    if recipe.freeze:
        return [Stage(0, last, frozen=True)]
    if not recipe.unfreeze_at:
        return [Stage(0, last, frozen=False)]
    if recipe.unfreeze_at >= last:
        raise UsageError(
            f"--unfreeze-at {recipe.unfreeze_at} leaves none of {counted(last, 'epochs')} for all "
            "layers: give fewer, more --epochs, or --freeze"
        )
    middle = recipe.unfreeze_at
    return [Stage(0, middle, frozen=True), Stage(middle, last, frozen=False)]


def stage_at(recipe: Recipe, epochs: int) -> Stage:
    """Return the stage in which a training is once so many epochs are done."""
    found = stages(recipe)
    return next((stage for stage in found if epochs < stage.end), found[-1])


def begins(recipe: Recipe, progress: Progress) -> bool:
    """Tell whether no step of the present stage is taken yet."""
    return progress.epochs == stage_at(recipe, progress.epochs).first and progress.pictures == 0


def freezes(recipe: Recipe) -> bool:
    """Tell whether the head learns alone for some time."""
    return any(stage.frozen for stage in stages(recipe))


def needs_head(recipe: Recipe) -> bool:
    """Tell whether a recipe treats the head otherwise than the layers before it."""
    return recipe.backbone_rate != 1 or recipe.layer_decay != 1 or freezes(recipe)


def find_head(model: nn.Module, preparation: Preparation, recipe: Recipe) -> str:
    """Find the path of the head where the recipe needs it, else give ""."""
    if not needs_head(recipe):
        return ""
    return heads.head_of(model, torch.zeros(1, *preparation.shape))


def entered(learner: Learner, stage: Stage) -> Learner:
    """Freeze or free the layers, and begin with a new optimiser."""
    model, recipe, head = learner.model, learner.recipe, learner.head
    if isinstance(learner.mode, HeadOnly):
        learner.mode.free()
    mode = HeadOnly.of(model, head) if stage.frozen else training
    optimiser = optim.optimiser(
        model, recipe, share=share_of(model, recipe, head), turned=learner.turned
    )
    staged = len(stages(recipe)) > 1
    rate = StageRate.of(recipe, stage) if staged else optim.rate
    return learner._replace(optimiser=optimiser, mode=mode, rate=rate)


def share_of(model: nn.Module, recipe: Recipe, head: str) -> optim.Share:
    """Return which share of the rate a parameter has, by its name."""
    if not head:
        return optim.alike
    distances = heads.distances(model, head)

    def share(name: str) -> float:
        away = distances[name]
        return recipe.backbone_rate * recipe.layer_decay**away if away else 1.0

    return share


class HeadOnly(NamedTuple):
    """The mode of a frozen backbone: it is evaluated, so its norms' statistics stay as they are."""

    head: nn.Module
    frozen: list[nn.Parameter]

    @classmethod
    def of(cls, model: nn.Module, head: str) -> "HeadOnly":
        """Freeze all but the head."""
        frozen = [
            parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and not heads.is_in(head, name)
        ]
        for parameter in frozen:
            parameter.requires_grad_(False)
        return cls(model.get_submodule(head), frozen)

    def __call__(self, model: nn.Module, /) -> None:
        if model.training or not self.head.training:
            model.eval()
            self.head.train()

    def free(self) -> None:
        """Let what was frozen learn again."""
        for parameter in self.frozen:
            parameter.requires_grad_(True)


class StageRate(NamedTuple):
    """The rate of a step where each stage goes through the schedule, its warm-up at most half."""

    recipe: Recipe  # of the stage alone
    first: int

    @classmethod
    def of(cls, recipe: Recipe, stage: Stage) -> "StageRate":
        """Cut the schedule to a stage."""
        epochs = stage.end - stage.first
        warmup = min(recipe.warmup, epochs / 2)
        return cls(dataclasses.replace(recipe, epochs=epochs, warmup=warmup), stage.first)

    def __call__(self, _recipe: Recipe, step: int, steps_an_epoch: int, /) -> float:
        return optim.rate(self.recipe, step - self.first * steps_an_epoch, steps_an_epoch)


def teaching(learner: Learner, stage: Stage, pictures: dict[str, Pictures], poll: Poll) -> Teaching:
    """Make ready what a stage is taught with; of a frozen backbone its features, where it can.

    They are those of plain pictures: where random changes are asked for and the backbone stays
    frozen to the end, each epoch runs it anew.
    """
    if not stage.frozen:
        return Teaching(stage, learner, pictures, _freed_line(learner, stage))
    kind = pictures["train"].split.kind
    if learner.recipe.freeze and (changes := augmentations(learner.recipe, kind)):
        why = f"computed anew in each epoch, as {changes[0]} changes them"
        return Teaching(stage, learner, pictures, _frozen_line(learner, pictures, why))
    plain = learner._replace(augment=_unchanged, mix=unmixed)
    if reason := _why_not_once(plain, pictures):
        line = _frozen_line(learner, pictures, f"computed anew in each epoch: {reason}")
        return Teaching(stage, plain, pictures, line)
    head, average = plain.model.get_submodule(plain.head), plain.average
    own = plain._replace(
        model=head,
        preprocessing=Vectors(),
        mode=training,
        average=average and average._replace(model=average.model.get_submodule(plain.head)),
    )
    taught = {name: part for name, part in pictures.items() if name in ("train", "validation")}
    line = _frozen_line(learner, taught, "computed once")
    return Teaching(stage, own, dict(_as_features(plain, taught, poll)), line)


class Vectors:
    """Features, which the head takes as they are."""

    def values(self, batch: Tensor, /) -> Tensor:
        """Return the vectors (N, D)."""
        return batch


def _unchanged(pixels: Tensor, rows: Tensor, /, *, seed: int, epoch: int) -> Tensor:
    del rows, seed, epoch
    return pixels


def _why_not_once(learner: Learner, pictures: dict[str, Pictures]) -> str:
    """Say why features cannot be computed once; "" where they can."""
    first = next(pictures["train"].batches(torch.tensor([0]), 1))
    if not heads.is_answer(learner.model, learner.head, _values(learner, first.pixels)):
        return f"the network changes what {learner.head} gives"
    width = _width(learner.model.get_submodule(learner.head))
    if 4 * width * sum(map(len, pictures.values())) > HELD_BYTES:
        return "they do not fit into memory"
    return ""


def _as_features(
    learner: Learner, pictures: dict[str, Pictures], poll: Poll
) -> Iterator[tuple[str, Pictures]]:
    """Yield the splits by name, with what the head is given in place of pixels."""
    total, done = sum(map(len, pictures.values())), 0
    width = _width(learner.model.get_submodule(learner.head))
    size = FEW if learner.device.type == "cpu" else MANY
    for name, part in pictures.items():
        own = ranks.mine(len(part))
        vectors = torch.empty(own.stop - own.start, width, device=learner.device)
        rows = torch.arange(len(part))[own]
        for batch in part.batches(rows, ranks.rounds(len(part), size)):
            poll(Reading(done, total, part.split.kind, "computing features of"))
            if not len(batch.rows):
                continue
            values = _values(learner, batch.pixels)
            with torch.no_grad():
                found = features.given(learner.model, learner.head, values)
            vectors[batch.rows - own.start] = found
            done += len(values) * ranks.count()
        yield name, part.holding(ranks.gathered(vectors).to(learner.device))
    poll(Reading(total, total, part.split.kind, "computing features of"))


def _values(learner: Learner, pixels: Tensor) -> Tensor:
    return devices.ordered(learner.preprocessing.values(pixels.to(learner.device)))


def _width(head: nn.Module) -> int:
    assert isinstance(head, nn.Linear), "only linear layers take vectors"
    return head.in_features


def _frozen_line(learner: Learner, pictures: dict[str, Pictures], how: str) -> str:
    every = sum(one.numel() for one in learner.model.parameters())
    own = sum(one.numel() for one in learner.model.get_submodule(learner.head).parameters())
    shown = counted(sum(map(len, pictures.values())), pictures["train"].split.kind)
    return (
        f"{learner.head} alone learns, {own:,} of {counted(every, 'parameters')}: the layers "
        f"before it stay as loaded, and their features of {shown} are {how}"
    )


def _freed_line(learner: Learner, stage: Stage) -> str:
    if not learner.head:
        return ""
    recipe = learner.recipe
    since = (
        f"from epoch {stage.first + 1} on all layers learn" if stage.first else "all layers learn"
    )
    decay = (
        f", a block further {recipe.layer_decay:g} of the next" if recipe.layer_decay != 1 else ""
    )
    return f"{since}, those before {learner.head} at {recipe.backbone_rate:g} of the rate{decay}"
