"""A whole training: its folder claimed and locked, begun or resumed, taught, and finished."""

import contextlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from striate import devices, files, ranks, usercode
from striate.choices import flag
from striate.data import Data
from striate.epochs import End
from striate.errors import DataError, UsageError
from striate.models import Architecture
from striate.runs import folder
from striate.runs.code import carried
from striate.stopping import Halt
from striate.usercode import NO_CONSENT, Consent
from striate.wording import counted

from . import start
from .results import ended, finish
from .session import Event, Session, teach
from .start import Means, Ready

Happening = Ready | Event | End


def train(  # noqa: PLR0913
    data: Data,
    choices: Mapping[str, Any],
    architecture: Architecture,
    *,
    run: Path,
    means: Means,
    halt: Halt,
    initial: nn.Module | None = None,
    overwrite: bool = False,
) -> Generator[Happening]:
    """Train in a new folder, which is locked until the end; yields what happens, from Ready to End.

    With `initial`, the network starts from that one's weights. A folder in which nothing was begun
    is removed. Raises UsageError, DataError, and Stopped once the state is saved.
    """
    if ranks.is_first():
        folder.claim(run, overwrite=overwrite)
    with _removed_unless_begun(run), _owned(run):
        prepared = start.prepare(
            data, choices, architecture, means=means, halt=halt, initial=initial
        )
        ready = start.begin(prepared, run, save_every=means.save_every)
        yield from _carried_out(ready, halt)


def resume(
    run: Path,
    data: Data | None,
    choices: Mapping[str, Any],
    *,
    means: Means,
    halt: Halt,
    consent: Consent = NO_CONSENT,
) -> Generator[Happening]:
    """Continue a run where it stands; yields as `train` does. Of the choices, epochs may grow.

    Where `data` are given, they are taken in place of those at the run's own address.
    """
    epochs = _epochs(choices)
    with _owned(run):
        ready = start.resume(run, epochs=epochs, data=data, means=means, halt=halt, consent=consent)
        yield from _carried_out(ready, halt, trust_code=consent.trust_code)


def _carried_out(ready: Ready, halt: Halt, *, trust_code: bool = False) -> Iterator[Happening]:
    session = ready.session
    remembered = _remember(session.folder) if ranks.is_first() else []
    yield ready._replace(notes=[*ready.notes, *_together(session), *remembered])
    with contextlib.ExitStack() as stack:
        stack.enter_context(halt.agreeing(ranks.greatest if ranks.count() > 1 else None))
        stack.enter_context(devices.deterministic(session.learner.recipe.deterministic))
        for part in session.pictures.values():
            stack.callback(part.close)
        yield from teach(session, halt)
        yield ended(session)
        finish(session, halt, trust_code=trust_code)


def _together(session: Session) -> list[str]:
    """Say how several processes share a step."""
    if ranks.count() == 1:
        return []
    recipe, kind = session.learner.recipe, session.preparation.kind
    norms = "of all" if recipe.batch_statistics == "global" else "each of its own part"
    return [
        f"{counted(ranks.count(), 'processes')} share the {counted(recipe.step_size, kind)} of a "
        f"step; batch norms see the statistics {norms}"
    ]


def _remember(run: Path) -> list[str]:
    """Remember as agreed to what the user gave of a run's code, and say so."""
    try:
        place = usercode.remember_given(code.reference for code in carried(run))
    except DataError as error:
        return [
            f"this run's code is not remembered as yours ({error}): later commands will ask for "
            "--trust-code"
        ]
    return [f"this run's code is remembered as yours in {place}"] if place else []


def _epochs(choices: Mapping[str, Any]) -> int | None:
    given = {name: value for name, value in choices.items() if value is not None}
    epochs: int | None = given.pop("epochs", None)
    if given:
        raise UsageError(
            f"a run is continued as it was begun: leave out {flag(next(iter(given)))} "
            "(only --epochs may grow, for schedules that do not depend on it)"
        )
    return epochs


@contextlib.contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Keep other processes out of a run, and remove what a killed one left in it."""
    if not ranks.is_first():  # the first one keeps them out
        yield
        return
    with files.lock(path / folder.LOCK):
        for place in (path, path / folder.CHECKPOINTS):
            files.remove_stale(place)
        yield


@contextlib.contextmanager
def _removed_unless_begun(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if ranks.is_first() and not folder.is_run(path):
            files.remove(path)
        raise
