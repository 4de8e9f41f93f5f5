"""A trained network as a detector: its class of a window, at every place and size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from striate import devices, evaluation, metrics
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError, UsageError, choose
from striate.runs import Bundle

from .scanning import Grid, Hits, Level, hits, levels

BATCH = 512  # windows
USUAL = ("face", "faces")


@dataclass(frozen=True)
class Network:
    """A network, the class that it looks for, and how sure it has to be."""

    bundle: Bundle
    place: int  # of the class among the logits
    probability: float
    device: torch.device

    @property
    def preprocessing(self) -> Preprocessing:
        """Of pictures: a network of sounds or clips is refused before."""
        assert isinstance(self.bundle.preprocessing, Preprocessing)
        return self.bundle.preprocessing

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of a window, as the network sees it."""
        return self.preprocessing.size


def network(
    bundle: Bundle, *, name: str | None, probability: float, device: torch.device
) -> Network:
    """Make a network a detector of a class, by its name; without one, of face or faces."""
    if not isinstance(bundle.preprocessing, Preprocessing):
        kind = bundle.preprocessing.kind
        raise DataError(f"this network takes {kind}: a detector looks at pictures")
    if not 0 < probability < 1:
        raise UsageError(f"--probability is between 0 and 1, not {probability:g}")
    if name is None:
        name = next((usual for usual in USUAL if usual in bundle.classes), None)
    if name is None:
        listed = ", ".join(bundle.classes[:10])
        raise UsageError(f"this network has no class face: choose --class, one of {listed}")
    choose("class", name, bundle.classes)
    devices.place(bundle.model, device).eval()
    return Network(bundle, bundle.classes.index(name), probability, device)


def scan(
    detector: Network,
    picture: NDArray[np.uint8],
    grid: Grid,
    *,
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Hits]:
    """Yield the windows of a picture that are likely enough of the class, batch by batch."""
    wanted = "L" if detector.preprocessing.channels == 1 else "RGB"
    coloured = np.asarray(Image.fromarray(picture).convert(wanted))
    for level in levels(coloured, detector.window, grid):
        yield from _level(detector, level, grid.step, poll)


def _level(detector: Network, level: Level, step: int, poll: Callable[[], None]) -> Iterator[Hits]:
    planes = torch.from_numpy(np.array(level.pixels))
    planes = planes.permute(2, 0, 1) if planes.ndim == 3 else planes[None]  # (C, h, w)
    height, width = detector.window
    # Views: a batch alone is copied.
    views = planes.unfold(1, height, step).unfold(2, width, step)  # (C, rows, columns, H, W)
    rows, columns = views.shape[1:3]
    for start in range(0, rows * columns, BATCH):
        poll()
        places = torch.arange(start, min(start + BATCH, rows * columns))
        down, across = places // columns, places % columns
        windows = views[:, down, across].transpose(0, 1).contiguous()  # (N, C, H, W)
        chances = probabilities(detector, windows)
        likely = chances >= detector.probability
        yield hits(
            down[likely].numpy() * step,
            across[likely].numpy() * step,
            chances[likely].numpy(),
            level,
            detector.window,
        )


def probabilities(detector: Network, windows: Tensor) -> Tensor:
    """Return the probability of the class for windows (N, C, H, W), uint8: (N,), float64."""
    bundle = detector.bundle
    logits = evaluation.answer(bundle.model, bundle.preprocessing, windows, device=detector.device)
    return metrics.probabilities(logits, bundle.temperature)[:, detector.place]
