"""What a report is made of: a run that is opened, and all that is shown of it, as arrays."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate import data as sources
from striate import evaluation
from striate.data import Data, Split
from striate.runs import Bundle, folder
from striate.seeing import Answers, Filters
from striate.seeing.featuremaps import Maps
from striate.stopping import Poll
from striate.usercode import Consent

from .places import Placed

if TYPE_CHECKING:
    from .excited import Excited


@dataclass(frozen=True)
class Opened:
    """A run with all that reading its pictures takes."""

    run: Path
    bundle: Bundle
    consent: Consent
    device: torch.device
    workers: int
    poll: Poll

    @functools.cached_property
    def data(self) -> Data:
        """What the run was trained on, opened when it is first asked for."""
        return sources.reopen(folder.read_origin(self.run), self.consent)

    def split(self, name: str) -> Split:
        """Find one of the run's own splits in its data."""
        return evaluation.own_split(self.run, name, self.bundle.classes, self.data)


@dataclass
class Gathered:
    """A report's arrays; N pictures of the split, then training pictures that are neighbours."""

    title: str
    answers: Answers  # of the first pictures
    pictures: NDArray[np.uint8]  # (M, S, S) or (M, S, S, 3)
    labels: NDArray[np.int64]  # (M,)
    files: list[str]
    neighbours: NDArray[np.int64]  # (M, 3), -1: none
    distances: NDArray[np.float64]  # (M, 3)
    kind: str = "pictures"
    headline: dict[str, Any] | None = None
    facts: list[list[str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    repeat: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    filters: Filters | None = None
    maps: list[Maps] = field(default_factory=list)
    maps_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    cam: NDArray[np.float32] | None = None  # (L, 3, h, w): for the answer, the truth, shuffled
    frame: tuple[float, float] = (1.0, 1.0)  # how much of a picture's sides the input fills
    cam_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    cam_agreement: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    excited: list["Excited"] = field(default_factory=list)  # of deeper layers
    placed: Placed | None = None  # the first N on a map
    groups: NDArray[np.int64] | None = None  # (K,), which classes share a colour
