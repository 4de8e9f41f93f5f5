"""Real examples of a run's own splits, on which a file is compared with its network."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import data as sources
from striate import evaluation
from striate.data import Split
from striate.data.batches import decoded
from striate.errors import DataError
from striate.processors import processors
from striate.runs import Bundle, folder
from striate.stopping import Poll
from striate.usercode import Consent

from .graph import arranged

COMPARED = 256
MEASURED = 2048  # for an accuracy
CALIBRATED = 256  # training examples that show which values int8 must hold


class Examples(NamedTuple):
    """Some examples of a split as pixels."""

    split: str
    pixels: Tensor  # as the preprocessing gives them
    labels: NDArray[np.int64]

    def arranged(self) -> NDArray[Any]:
        """Return the pixels as an exported file takes them."""
        found: NDArray[Any] = arranged(self.pixels).numpy()
        return found

    def two(self) -> Tensor:
        """Return two of them, of which one may stand twice."""
        return torch.cat([self.pixels, self.pixels])[:2]


class Source(NamedTuple):
    """Where the examples come from: the run's own data, or others that are given."""

    run: Path
    bundle: Bundle
    consent: Consent
    data: Any = None
    workers: int | None = None

    def compared(self, most: int, poll: Poll) -> Examples:
        """Return examples of the split that the run's accuracy is of."""
        return self._some(None, most, poll)

    def taught(self, poll: Poll) -> Examples:
        """Return training examples, for calibration."""
        return self._some("train", CALIBRATED, poll)

    def _some(self, split: str | None, most: int, poll: Poll) -> Examples:
        name, found = self._opened(split)
        rows = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(np.int64))
        part = found.take(rows)
        count = processors() if self.workers is None else self.workers
        results = list(decoded(part, self.bundle.preprocessing, count, strict=False, poll=poll))
        pixels = [(row, one) for row, one in enumerate(results) if isinstance(one, Tensor)]
        if not pixels:
            raise DataError(f"none of the {name} {found.kind} can be read: nothing can be compared")
        labels = np.asarray(part.labels)[[row for row, _ in pixels]]
        return Examples(name, torch.stack([one for _, one in pixels]), labels)

    def _opened(self, split: str | None) -> tuple[str, Split]:
        if self.data is not None:
            opened = sources.find_among(self.data, self.bundle.classes)
            taken = self.bundle.preprocessing.kind
            if opened.kind != taken:
                raise DataError(f"this network takes {taken}, and the data are {opened.kind}")
            name = split if split in opened.splits else evaluation.preferred(opened.splits)
            assert name is not None
            return name, sources.by_name(opened, opened.split(name), self.bundle.classes)
        if not folder.is_run(self.run):
            raise DataError(
                f"{self.run} is a bundle, which does not know its data: pass DATA to compare the "
                "file with the network on, --data DATA"
            )
        name, _, found = evaluation.opened(self.run, split, self.bundle.classes, self.consent)
        return name, found
