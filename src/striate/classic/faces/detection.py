"""From a picture to boxes: the cascade, or a trained network, at every place and size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import devices
from striate.data.preparation.preprocessing import as_array
from striate.errors import DataError, UsageError
from striate.runs import Bundle, folder

from . import cascadefile, network, scanning
from .cascade import Cascade
from .merging import Found, merge
from .network import Network
from .scanning import NONE, Grid, Hits
from .sources import grey

SHIPPED = "viola-jones"
AGREE = 3  # windows of a cascade on one thing
AGREE_OF_NETWORK = 2  # its windows lie further apart
PROBABILITY = 0.9


@dataclass(frozen=True)
class Choices:
    """How pictures are looked through; None is what suits the detector."""

    smallest: int | None = None  # side of a window, in the picture's pixels
    largest: int | None = None
    scale: float = 1.25
    step: int | None = None  # a pixel for a cascade, an eighth of the window for a network
    agree: int | None = None  # windows that make a box
    wanted: str | None = None  # a network's class
    probability: float = PROBABILITY  # of it
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.agree is not None and self.agree < 1:
            raise UsageError(f"--agree is 1 or more windows, not {self.agree}")

    def grid(self, detector: "Detector") -> Grid:
        """Return where the windows of a detector lie."""
        side = min(detector.window)
        usual = 1 if isinstance(detector, Cascade) else max(1, side // 8)
        step = usual if self.step is None else self.step
        for name, given in (("smallest", self.smallest), ("largest", self.largest)):
            if given is not None and given < 1:
                raise UsageError(f"--{name} is {side} or more, not {given}")
        return Grid(self.smallest or 0, self.largest or 0, self.scale, step).check(side)

    def least(self, detector: "Detector") -> int:
        """Return how many windows have to agree."""
        usual = AGREE if isinstance(detector, Cascade) else AGREE_OF_NETWORK
        return usual if self.agree is None else self.agree


Detector = Cascade | Network


def find(detector: Any, choices: Choices, *, trust_code: bool = False) -> Detector:
    """Return a detector: viola-jones, a cascade's file, a run's folder; or what is one already.

    Code that a run carries is executed only where the user gave it here, or with `trust_code`.
    """
    if isinstance(detector, Cascade | Network):
        return detector
    bundle = detector if isinstance(detector, Bundle) else getattr(detector, "bundle", None)
    if isinstance(bundle, Bundle):
        return _network(bundle, choices)
    if not isinstance(detector, str | Path):
        kind = type(detector).__name__
        raise UsageError(f"a {kind} is no detector: give {SHIPPED}, a cascade or a run")
    path = Path(detector).expanduser()
    if path.is_dir():
        return _network(folder.load_bundle(path, trust_code=trust_code), choices)
    if not path.exists() and str(detector) == SHIPPED:
        return cascadefile.shipped()
    if not path.exists():
        raise DataError(
            f"there is no {path}: a detector is {SHIPPED}, a cascade's .json file or a run's folder"
        )
    return cascadefile.load(path)


def _network(bundle: Bundle, choices: Choices) -> Network:
    return network.network(
        bundle,
        name=choices.wanted,
        probability=choices.probability,
        device=devices.pick(choices.device),
    )


def detect(
    picture: Any,
    detector: Any = SHIPPED,
    *,
    trust_code: bool = False,
    poll: Callable[[], None] = lambda: None,
    **choices: Any,
) -> list[Found]:
    """Find faces in a picture, with a cascade or a network: boxes in its pixels, the best first.

    A picture is a path, a Pillow image, an array or a tensor; `detector` is viola-jones (the
    cascade that comes with Striate), a cascade or its file, a run or its folder. `choices` are
    smallest, largest, scale, step, agree; for a network also wanted (its class), probability,
    device. Code that a run carries is executed only where you gave it here, or with `trust_code`.
    """
    try:
        chosen = Choices(**choices)
    except TypeError:
        known = ", ".join(Choices.__dataclass_fields__)
        odd = ", ".join(sorted(set(choices) - set(Choices.__dataclass_fields__)))
        raise UsageError(f"unknown choice {odd} of striate.detect: there are {known}") from None
    ready = find(detector, chosen, trust_code=trust_code)
    named = Path(picture) if isinstance(picture, str) else picture
    pixels = as_array(named)
    return boxes(
        ready, pixels, chosen, name=str(named) if isinstance(named, Path) else "picture", poll=poll
    )


def boxes(
    detector: Detector,
    pixels: NDArray[np.uint8],
    choices: Choices,
    *,
    name: str = "picture",
    poll: Callable[[], None] = lambda: None,
) -> list[Found]:
    """Return the boxes of a decoded picture; one smaller than a window is a DataError."""
    grid = choices.grid(detector)
    height, width = pixels.shape[:2]
    if height < detector.window[0] or width < detector.window[1]:
        raise DataError(
            f"{name}: {width} x {height} pixels are smaller than the detector's window of "
            f"{detector.window[1]} x {detector.window[0]}"
        )
    return merge(windows(detector, pixels, grid, poll=poll), agree=choices.least(detector))


def windows(
    detector: Detector,
    pixels: NDArray[np.uint8],
    grid: Grid,
    *,
    poll: Callable[[], None] = lambda: None,
) -> Hits:
    """Return all windows that a detector takes for what it looks for, before they are merged."""
    found = []
    if isinstance(detector, Cascade):
        for part in scanning.scan(detector, grey(pixels), grid):
            poll()
            found.append(part)
    else:
        found = list(network.scan(detector, pixels, grid, poll=poll))
    many = [part for part in found if len(part.scores)] or [NONE]
    return Hits(*(np.concatenate([part[i] for part in many]) for i in (0, 1)))
