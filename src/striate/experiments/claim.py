"""What an experiment is made of: a claim, its sizes, what is measured, a figure, and a rule."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from striate.figures import Panel
from striate.stopping import Poll, unheard

Settings = Mapping[str, Any]  # how large a form is: pictures, epochs, widths
Cell = Mapping[
    str, Any
]  # what is varied, as JSON has it; with the seed all that a row follows from
Row = Mapping[str, Any]  # a cell with what was measured
Rows = Sequence[Row]

HOLDS, IN_PART, FAILS, UNDECIDED = "holds", "holds in part", "does not hold", "not decided"
OUTCOMES = (HOLDS, IN_PART, FAILS, UNDECIDED)

Shown = bool | None  # of a part of a claim: shown, refuted, or neither


class Verdict(NamedTuple):
    """What the rows say of the claim."""

    outcome: str  # of OUTCOMES
    line: str  # the figures that decide, with their intervals
    numbers: Mapping[str, Any] = {}


def concluded(parts: Iterable[Shown]) -> str:
    """Return the outcome of a claim in parts: it fails only where each of them is refuted.

    >>> concluded([True, None]), concluded([False, None]), concluded([False, False])
    ('holds in part', 'not decided', 'does not hold')
    """
    known = list(parts)
    if all(known):
        return HOLDS
    return IN_PART if any(known) else UNDECIDED if None in known else FAILS


def every(parts: Iterable[Shown]) -> Shown:
    """Return whether all are shown; one that is refuted refutes them together.

    >>> every([True, None]), every([None, False])
    (None, False)
    """
    known = list(parts)
    return False if False in known else all(known) or None


class Form(NamedTuple):
    """A size of an experiment."""

    minutes: float  # on two quiet cores, about
    seeds: int
    settings: Settings
    about: str  # on what, in words


@dataclass(frozen=True)
class Lab:
    """Where a cell is measured."""

    device: torch.device
    folder: Path | None = None  # for pictures that a cell leaves beside its rows
    poll: Poll = unheard


@dataclass(frozen=True)
class Experiment:
    """A claim of the chapter and how it is tried; the rule is a pure function of the rows."""

    claim: str
    measured: str
    forms: Mapping[str, Form]  # smoke, short and long
    cells: Callable[[Settings], list[Cell]]  # for each seed
    measure: Callable[[Cell, Settings, Lab], Iterable[Row]]  # the cell has a seed
    verdict: Callable[[Rows], Verdict]
    panels: Callable[[Rows], list[Panel]]
