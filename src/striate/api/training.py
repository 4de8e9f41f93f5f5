"""train(): from data and choices to a run, and what is said meanwhile."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import torch

from striate import data as sources
from striate import (
    devices,
    models,
    ranks,
    usercode,
)
from striate.data import Data
from striate.description.fitting import largest_batch
from striate.epochs import End
from striate.errors import UsageError
from striate.models import Architecture
from striate.runs import folder
from striate.stopping import Halt
from striate.tracing.building import built as without_numbers
from striate.training import conductor
from striate.training import recipe as recipes
from striate.training import recipes as named
from striate.training.conductor import Happening
from striate.training.group import Member
from striate.training.networks import architecture
from striate.training.plan import KINDS, make_splits
from striate.training.plan import plan as resolve_plan
from striate.training.session import Event, Note, Session
from striate.training.start import Means, Ready
from striate.training.start import precision as precision_of
from striate.usercode import Consent
from striate.wording import counted

from .given import columns_of, required
from .run import Run

Show = Callable[[Session, Event], None]

# --batch-size auto: of the memory that is free now, as pixels and what else runs need some; so many
# at most; and so many steps an epoch at least.
MEMORY_SHARE, MOST_AT_ONCE, LEAST_STEPS = 0.5, 1024, 50


def plan(
    data: Any,
    *,
    model: Any = None,
    device: str = "auto",
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> str:
    """Return the recipe that `train` would follow, as TOML."""
    recipes.check_names(choices, where="striate.plan")
    opened = sources.find(required(data), columns_of(data, path_column, label_column))
    model, choices = named.applied(model, choices, opened.name)
    built = architecture(model, choices, opened)[0]
    choices = sized(opened, built, choices, device, quiet)
    recipe = resolve_plan(make_splits(opened, choices)["train"], choices, built)
    return folder.recipe_text(recipes.as_table(recipe))


def train(
    data: Any = None,
    *,
    model: Any = None,
    out: Path | str | None = None,
    overwrite: bool = False,
    resume: Path | str | None = None,
    means: Means | None = None,
    show: Show | None = None,
    tell: Callable[[str], None] | None = None,
    trust_code: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    halt: Halt | None = None,
    **choices: Any,
) -> Run:
    """Train a network on `data` and leave a run folder; `choices` are the fields of a Recipe.

    `data` is a name, a folder, `file.py:function`, a torch Dataset or a dict of them by split;
    `model` a name, `file.py:function`, an nn.Module, or a class or function that gives one (with
    functools.partial for its arguments). With `resume` a run continues where it stands. `show` is
    given Begun, and each Step, Epoch and Saved as it happens, `tell` lines for people; `halt` says
    what a signal is answered with, and who watches the reading. Code that is named or handed over
    is remembered as agreed to; a run that is resumed may carry other code, which is executed with
    `trust_code` alone. Of a table, the columns of paths and labels may be named.

    Raises UsageError, DataError, and Stopped after SIGINT or SIGTERM, when the state is saved.
    """
    usercode.refuse_while_loading()
    if resume is not None and (out is not None or overwrite):
        raise UsageError(
            f"--resume continues {resume} in its own folder: leave out --out and --overwrite"
        )
    columns = columns_of(data, path_column, label_column)
    halt, means = halt or Halt(), means or Means()
    with (
        halt.listening(),
        ranks.joined(means.device),
        torch.random.fork_rng(devices=[]),
    ):
        show, tell = (show, tell) if ranks.is_first() else (None, None)
        if resume is not None:
            path = folder.require(Path(resume).expanduser())
            given = {"model": model, **choices}
            opened = None if data is None else sources.find(data, columns)
            consent = Consent(path, trust_code)
            happening = conductor.resume(
                path, opened, given, means=means, halt=halt, consent=consent
            )
            watched(happening, show, tell)
            return Run(path, trust_code=trust_code)
        recipes.check_names(choices, where="striate.train")
        opened = sources.find(required(data), columns)
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or quiet)
        path = Path(out).expanduser() if out else ranks.of_first(_new_folder(opened, built))
        restarted = ranks.started().restarts > 0
        if restarted and _goes_on(path, opened, choices, built, means, tell or quiet):
            consent = Consent(path, trust_code)
            happening = conductor.resume(path, opened, {}, means=means, halt=halt, consent=consent)
        else:
            happening = conductor.train(
                opened,
                choices,
                built,
                run=path,
                means=means,
                halt=halt,
                initial=initial,
                overwrite=overwrite or restarted,
            )
        watched(happening, show, tell)
        return Run(path)


def _goes_on(
    path: Path,
    data: Data,
    choices: Mapping[str, Any],
    built: Architecture,
    means: Means,
    tell: Callable[[str], None],
) -> bool:
    """Tell whether a restarted process finds its own run in a folder, which it then goes on with.

    UsageError for a run of other choices or data. What is no run yet is begun anew.
    """
    if not ranks.of_first(folder.is_run(path)):
        return False
    recipe = resolve_plan(make_splits(data, choices)["train"], choices, built)
    precision = precision_of(recipe, devices.pick(means.device))
    asked = recipes.as_table(dataclasses.replace(recipe, precision=precision))
    begun = folder.read_recipe(path)
    other = [name for name in {**asked, **begun} if asked.get(name) != begun.get(name)]
    place = json.loads(json.dumps(data.origin._asdict()))
    if place != folder.read_origin(path)._asdict():
        other = ["data", *other]
    if other:
        raise UsageError(
            f"{path} is a run of other choices ({', '.join(sorted(other))}), not the one that this "
            "restarted process began: choose another --out"
        )
    restarts = counted(ranks.started().restarts, "restarts")
    tell(f"after {restarts} by torchrun: going on with the run in {path}, begun with these choices")
    return True


def sized(
    data: Data,
    built: Architecture,
    choices: Mapping[str, Any],
    device: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Return the choices with a number for a batch size that is `auto`, and tell why that one.

    Where memory has no room for the usual batch, gradients are added up to steps of its size.
    """
    given = dict(choices)
    if given.get("batch_size") != "auto":
        return given
    del given["batch_size"]
    train_split = make_splits(data, given)["train"]
    recipe = resolve_plan(train_split, given, built)
    place = devices.pick(device)
    room = ranks.least(int(MEMORY_SHARE * devices.available_bytes(place)))
    shape = KINDS[data.kind].unfitted(recipe, built).shape
    net = without_numbers(
        lambda: models.build(built, len(data.classes), channels=shape[0], size=shape[1:])
    )
    if recipe.ema:  # a second network, which is never differentiated
        room -= sum(t.nbytes for t in (*net.parameters(), *net.buffers()))
    usual = 1 << (recipe.batch_size - 1).bit_length()
    most = max(usual, min(MOST_AT_ONCE, len(train_split.labels) // LEAST_STEPS))
    batch = largest_batch(net, shape, recipe.optimiser, most=most, room=room)
    given["batch_size"] = batch.size
    if batch.size < recipe.batch_size:
        given.setdefault("accumulate", -(-recipe.batch_size // batch.size))
    steps = given.get("accumulate", 1) * batch.size
    tell(
        f"--batch-size auto: {batch.size} at once, {steps} {data.kind} a step: "
        f"{batch.line(room)}; the rate is not changed by it"
    )
    return given


def _new_folder(data: Data, architecture: Architecture) -> Path:
    return folder.new_folder(Path("runs"), data.name, architecture.name)


def watched(
    happening: Generator[Happening | Member],
    show: Show | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Carry a training out, or a group of them, and show what happens."""
    session: Session | None = None
    show, tell = show or quiet, tell or quiet
    with contextlib.closing(happening):
        for event in happening:
            if isinstance(event, Ready):
                session = event.session
                for note in event.notes:
                    tell(note)
            elif isinstance(event, (End, Member, Note)):
                tell(event.line)
            elif session:
                show(session, event)


def quiet(*_: Any) -> None:
    """Show nothing."""
