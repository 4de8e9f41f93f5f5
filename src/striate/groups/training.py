"""Several trainings in one call: of several seeds, of all folds, of combinations of choices."""

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from striate import data as sources
from striate import usercode
from striate.api.given import columns_of, required
from striate.api.training import Show, watched
from striate.errors import UsageError
from striate.models import MODELS, arguments
from striate.runs import folder, group
from striate.stopping import Halt
from striate.training import group as grouped
from striate.training import recipe as recipes
from striate.training.grid import grid
from striate.training.group import Plan
from striate.training.networks import architecture
from striate.training.start import Means

from .group import Group

Tell = Callable[[str], None]


def train_group(
    data: Any,
    *,
    seeds: int | None = None,
    model: Any = None,
    out: Path | str | None = None,
    means: Means | None = None,
    show: Show | None = None,
    tell: Tell | None = None,
    trust_code: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    halt: Halt | None = None,
    **choices: Any,
) -> Group:
    """Train a network several times and leave a group of runs: `seeds` of them, or one a fold.

    With `seeds` they differ in their seed alone, from `seed` (else 0) on; with `folds` (a choice)
    each holds another part of the training split out for validation. Finished runs are passed over
    and an unfinished one is continued, so the same call goes on with what was stopped. The rest is
    as in `train`.
    """
    folds = choices.get("folds")
    if (seeds is None) == (folds is None):
        raise UsageError("a group of runs is of seeds or of folds: give seeds=5 or folds=5")
    _check(choices, "striate.train_group")
    opened = sources.find(required(data), columns_of(data, path_column, label_column))
    plan = (
        grouped.seeds(choices, model, seeds)
        if seeds is not None
        else grouped.folds(choices, model, int(folds or 0))
    )
    return _train(
        opened,
        plan,
        f"{plan.differs[0]}s",
        out,
        means=means,
        show=show,
        tell=tell,
        halt=halt,
        trust_code=trust_code,
    )


def sweep(
    data: Any,
    *,
    model: Any = None,
    seconds_in_all: float | None = None,
    out: Path | str | None = None,
    means: Means | None = None,
    show: Show | None = None,
    tell: Tell | None = None,
    trust_code: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    halt: Halt | None = None,
    **choices: Any,
) -> Group:
    """Train a run for every combination of the choices that are lists, `model` among them.

    The best is chosen by validation alone. With several values of `seed` a setting is judged by the
    mean over them. After `seconds_in_all` no run is begun; the same call goes on.
    """
    since = clock.monotonic()
    opened = sources.find(required(data), columns_of(data, path_column, label_column))
    plan = grid(opened, model, choices)
    _check_arguments(opened, plan)
    until = None if seconds_in_all is None else since + seconds_in_all
    return _train(
        opened,
        plan,
        "sweep",
        out,
        means=means,
        show=show,
        tell=tell,
        halt=halt,
        trust_code=trust_code,
        until=until,
    )


def _check(choices: dict[str, Any], where: str) -> None:
    recipes.check_names(choices, where=where)
    if choices.get("fold") is not None:
        raise UsageError("a group holds each fold out in turn: leave out fold")
    recipes.resolve({k: v for k, v in choices.items() if k not in ("folds", "arguments")}, {}, {})


def _check_arguments(opened: sources.Data, plan: Plan) -> None:
    """Refuse arguments that one of the networks does not take, before the first run."""
    for own in plan.runs.values():
        choices, network = grouped.whole(plan, own, opened)
        found = architecture(network, choices, opened)[0]
        if found.name in MODELS:
            arguments.check(found.name, MODELS[found.name].build, found.arguments)


def _train(
    opened: sources.Data,
    plan: Plan,
    kind: str,
    out: Path | str | None,
    *,
    means: Means | None,
    show: Show | None,
    tell: Tell | None,
    halt: Halt | None,
    trust_code: bool,
    until: float | None = None,
) -> Group:
    usercode.refuse_while_loading()
    halt = halt or Halt()
    with halt.listening(), torch.random.fork_rng(devices=[]):
        path = Path(out).expanduser() if out else _folder(opened, plan, kind)
        happening = grouped.train(
            opened,
            plan,
            path=path,
            means=means or Means(),
            halt=halt,
            until=until,
            trust_code=trust_code,
        )
        watched(happening, show, tell)
    return Group(path, trust_code=trust_code)


def _folder(opened: sources.Data, plan: Plan, kind: str) -> Path:
    """Find the group of the same command in `runs`, else a new name there."""
    document, parent = grouped.described(opened, plan), Path("runs")
    model = document["model"]
    name = f"{model}-{kind}" if model else kind
    return group.alike(parent, document) or folder.new_folder(parent, opened.name, name)
