"""Which choices follow from the data and the network, where none was given."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from striate import data as sources
from striate.choices import flag
from striate.data import Data, Split
from striate.data.batches import Pictures
from striate.data.preparation.kinds import Preparation
from striate.errors import UsageError
from striate.models import Architecture

from . import clips, growing, pictures, recipes, sounds
from .recipe import Recipe, changed_kinds, check_arguments, resolve
from .stages import stages
from .step import Augment

_SPLIT_CHOICES = ("validation_share", "test_share", "split_seed", "folds", "fold")


class Kind(NamedTuple):
    """What training does differently for pictures, sounds and clips."""

    facts: Callable[[Split, Mapping[str, Any], Architecture], dict[str, Any]]
    unfitted: Callable[[Recipe, Architecture], Preparation]  # before an example is read
    fitted: Callable[[Preparation, Recipe, Pictures, Architecture], Preparation]
    augment: Callable[[Recipe], Augment]


KINDS = {
    "pictures": Kind(pictures.facts, pictures.unfitted, pictures.fitted, pictures.Augmented),
    "sounds": Kind(sounds.facts, sounds.unfitted, sounds.fitted, sounds.Augmented),
    "clips": Kind(clips.facts, clips.unfitted, clips.fitted, clips.Augmented),
}


def make_splits(data: Data, given: Mapping[str, Any]) -> dict[str, Split]:
    """Make the splits that the data lack, as chosen; DataError for a class that train lacks."""
    recipe = resolve({k: v for k, v in given.items() if k in _SPLIT_CHOICES}, {}, {})
    if recipe.folds and recipe.fold:
        _refuse_share(recipe)
        made = sources.held_out(
            data,
            fold=recipe.fold,
            folds=recipe.folds,
            test_share=recipe.test_share,
            seed=recipe.split_seed,
        )
    else:
        made = sources.complete(
            data,
            validation_share=recipe.validation_share,
            test_share=recipe.test_share,
            seed=recipe.split_seed,
        )
    sources.require_taught(data, made["train"])
    return made


def plan(train: Split, given: Mapping[str, Any], architecture: Architecture) -> Recipe:
    """Resolve every choice: what was given, else the model's preset, else what the data suggest."""
    check_arguments(architecture.arguments)
    named = {"model": architecture.name, "arguments": architecture.arguments}
    facts = KINDS[train.kind].facts(train, given, architecture)
    settled: dict[str, Any] = {"colour": facts["colour"]} if "colour" in facts else {}
    if folds := given.get("folds"):
        settled["validation_share"] = 1 / folds
    preset = recipes.suiting(architecture.name, given)
    recipe = resolve({**given, **settled, **named}, preset, facts)
    stages(recipe)  # refuses what does not go together, as does what follows
    growing.check(recipe, train.kind)
    _require_use(train.kind, recipe, given)
    KINDS[train.kind].augment(recipe)
    return recipe


def _refuse_share(recipe: Recipe) -> None:
    share = recipe.validation_share
    if recipe.folds and share not in (Recipe().validation_share, 1 / recipe.folds):
        raise UsageError(
            f"--folds {recipe.folds} holds 1/{recipe.folds} of the training split out: leave out "
            f"--validation-share {share:g}"
        )


def _require_use(kind: str, recipe: Recipe, given: Mapping[str, Any]) -> None:
    """Raise UsageError for a change of other examples than these, which would change nothing."""
    for name in given:
        if kind not in changed_kinds(name) and getattr(recipe, name) != getattr(Recipe(), name):
            raise UsageError(
                f"{flag(name)} changes {' and '.join(changed_kinds(name))}, and these are {kind}"
            )
