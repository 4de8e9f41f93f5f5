"""What a named recipe is: choices of a training, and what was measured with them."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """What trainings by a recipe reached on one machine."""

    machine: str
    accuracy: float  # mean over seeds, of the test split, without other views
    spread: float  # standard deviation over the seeds
    seeds: int
    # Of training, the mean; CPU-seconds where it is one core. Data are read before.
    seconds: float
    views: float | None = None  # mean accuracy over several views of each picture


class Named(NamedTuple):
    """A recipe: all that it chooses, a training's own defaults for the rest."""

    about: str
    data: str  # what it is for: a name, or photos for any folder
    choices: Mapping[str, Any]  # fields of Recipe, the model among them
    # Operations of a whole training: two a multiply-add, backward twice forward; None: by the data.
    flop: float | None = None
    measured: tuple[Measured, ...] = ()
