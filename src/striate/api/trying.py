"""Steps that leave no run behind: a learning rate that is found, a profile."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from striate import data as sources
from striate import (
    devices,
    profiling,
    usercode,
)
from striate import report as reporting
from striate.data import Columns
from striate.errors import UsageError
from striate.profiling import Profile
from striate.stopping import Halt
from striate.training import recipe as recipes
from striate.training import recipes as named
from striate.training.networks import architecture
from striate.training.raterange import Found, Tried, found, trying
from striate.training.start import Means, prepare

from .training import quiet, sized


def find_rate(
    data: Any,
    *,
    model: Any = None,
    means: Means | None = None,
    tell: Callable[[str], None] | None = None,
    show: Callable[[Tried], None] | None = None,
    halt: Halt | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> Found:
    """Try rising learning rates on what `train` would begin with, and read one from the losses.

    Nothing is trained that is kept. `show` is given each step, `tell` lines for people.
    """
    usercode.refuse_while_loading()
    recipes.check_names(choices, where="striate.find_rate")
    opened = sources.find(data, Columns(path_column, label_column))
    halt, means = halt or Halt(), means or Means()
    with halt.listening(), torch.random.fork_rng(devices=[]):
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or quiet)
        prepared = prepare(opened, choices, built, means=means, halt=halt, initial=initial)
        tried = []
        for step in trying(prepared.learner, prepared.pictures["train"]):
            halt.poll()
            tried.append(step)
            (show or quiet)(step)
    return found(tried)


def profile(
    data: Any,
    *,
    model: Any = None,
    steps: int = 20,
    out: Path | str | None = None,
    means: Means | None = None,
    tell: Callable[[str], None] | None = None,
    halt: Halt | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> Profile:
    """Train for a few steps on what `train` would begin with, and say where their time goes.

    No run is written. With `out` the profile is an HTML page as well. `tell` is given lines for
    people.
    """
    usercode.refuse_while_loading()
    recipes.check_names(choices, where="striate.profile")
    profiling.require_steps(steps)
    if choices.get("rate") == "find":
        raise UsageError("a profile takes steps at one rate: leave out --rate find")
    opened = sources.find(data, Columns(path_column, label_column))
    halt, means = halt or Halt(), means or Means()
    with halt.listening(), torch.random.fork_rng(devices=[]):
        model, choices = named.applied(model, choices, opened.name)
        built, initial = architecture(model, choices, opened)
        choices = sized(opened, built, choices, means.device, tell or quiet)
        began = time.monotonic()
        prepared = prepare(opened, choices, built, means=means, halt=halt, initial=initial)
        workers = devices.processors() if means.workers is None else means.workers
        reading = profiling.Reading(time.monotonic() - began, workers)
        found = profiling.profile(prepared, steps=steps, reading=reading, poll=halt.poll)
    if out is not None:
        reporting.write_profile(Path(out).expanduser(), found)
    return found
