"""Explained pictures: ranked classes, where the network looked, similar training pictures."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import devices, evaluation, features, metrics
from striate.data import Split
from striate.data.batches import Pictures
from striate.data.preparation.kinds import allowance
from striate.data.sources.given import Example
from striate.decoding import Failed, each
from striate.errors import DataError, UsageError
from striate.runs import Bundle, folder
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import one

from .embedding import Embedded, of_run
from .layers import Layer, last
from .looking import looked, shuffled
from .neighbours import nearest

Pixels = NDArray[np.uint8]


class Neighbour(NamedTuple):
    """A training picture that the network sees alike."""

    file: str
    label: str
    distance: float  # of what the classifier is given, Euclidean
    picture: Pixels | None  # None where it cannot be read any more


class Where(NamedTuple):
    """Where the network looked for its answer; as it saw the picture, whatever was cut off."""

    layer: str
    field: tuple[int, ...]  # pixels that one place of the map sees
    values: NDArray[np.float32]  # (h, w), raw: below 0 lies what speaks against
    shuffled: NDArray[np.float32]  # the same by shuffled weights
    agreement: float  # rank correlation of both; NaN where one is flat


@dataclass(frozen=True)
class Explanation:
    """What a network says of a picture, and why; or why the picture is unreadable."""

    file: str
    picture: Pixels | None = None  # as the network saw it: (H, W) or (H, W, 3)
    classes: Sequence[tuple[str, float]] = ()  # names and probabilities, the likeliest first
    where: Where | None = None
    neighbours: Sequence[Neighbour] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        where = self.where
        agreement = where.agreement if where and math.isfinite(where.agreement) else None
        return {
            "file": self.file,
            "classes": [{"name": name, "probability": share} for name, share in self.classes],
            "layer": where.layer if where else None,
            "map": where.values.tolist() if where else None,
            "agreement": agreement,
            "neighbours": [
                {"file": near.file, "class": near.label, "distance": near.distance}
                for near in self.neighbours
            ],
            "error": self.error,
        }


class Explainer:
    """A run's network, made ready to explain any number of pictures; without a run, a network.

    `notes` say which part of an explanation there cannot be, and why.
    """

    def __init__(
        self,
        run: Path | None,
        bundle: Bundle,
        *,
        consent: Consent,
        device: torch.device,
        workers: int | None = None,
        poll: Poll = unheard,
    ) -> None:
        self.bundle, self.notes = bundle, list[str]()
        self._device, self._poll = device, poll
        self._workers = devices.processors() if workers is None else workers
        self._model = devices.place(bundle.model, device).eval()
        self._layer = self._last_layer()
        self._other: nn.Module | None = shuffled(self._model) if self._layer else None
        self._training: Split | None = None
        self._places: dict[str, int] = {}  # of the training pictures, by name
        self._known = self._training_vectors(run, consent) if run else None

    def explain(
        self, examples: Sequence[Example], *, top: int = 5, neighbours: int = 3
    ) -> Iterator[Explanation]:
        """Yield what is said of each example, in order; an unreadable one has its error."""
        found = each(
            self.bundle.preprocessing.pixels,
            [example.value for example in examples],
            workers=min(self._workers, len(examples)),
            guarded=True,
            allowance=allowance(self.bundle.preprocessing),
            poll=self._poll,
        )
        with contextlib.closing(found):
            for row, result in found:
                name = examples[row].name
                if isinstance(result, Failed):
                    yield Explanation(name, error=result.reason)
                else:
                    yield self.explained(name, result, top=top, neighbours=neighbours)

    def explained(
        self, name: str, pixels: Tensor, *, top: int = 5, neighbours: int = 3
    ) -> Explanation:
        """Say it of an example's pixels, as its preprocessing gives them."""
        values = self.bundle.preprocessing.values(pixels[None].to(self._device))
        with torch.no_grad():
            vector, logits = features.embedding(self._model, devices.ordered(values))
        shares = metrics.probabilities(logits.cpu(), self.bundle.temperature)[0]
        order = shares.argsort(descending=True, stable=True)
        return Explanation(
            name,
            self.bundle.preprocessing.image(pixels),
            [(self.bundle.classes[k], float(shares[k])) for k in order[:top].tolist()],
            self._where(values, order[:1]),
            self._neighbours(vector.float().cpu().numpy(), neighbours),
        )

    def _where(self, values: Tensor, target: Tensor) -> Where | None:
        if self._layer is None:
            return None
        found = looked(
            self._model,
            values,
            target.to(self._device),
            layer=self._layer.name,
            other=self._other,
        )
        own, other = (maps[0].float().cpu().numpy() for maps in (found.maps, found.shuffled))
        if self.bundle.preprocessing.kind == "sounds":  # drawn with high notes on top
            own, other = own[::-1].copy(), other[::-1].copy()
        return Where(found.layer, self._layer.field, own, other, float(found.agreement[0]))

    def _neighbours(self, vector: NDArray[np.float32], count: int) -> list[Neighbour]:
        if self._known is None:
            return []
        found = nearest(vector, self._known.vectors, count)
        rows, distances = found.rows[0].tolist(), found.distances[0].tolist()
        files = [self._known.files[row] for row in rows]
        labels = [self._known.classes[self._known.labels[row]] for row in rows]
        return [
            Neighbour(file, label, distance, self._picture(file))
            for file, label, distance in zip(files, labels, distances, strict=True)
        ]

    def _picture(self, name: str) -> Pixels | None:
        if self._training is None or name not in self._places:
            return None
        part = self._training.take(np.array([self._places[name]]))
        try:
            with contextlib.closing(Pictures(part, self.bundle.preprocessing)) as pictures:
                return pictures.image(0)
        except DataError:  # it was read once, and is damaged or gone since
            return None

    def _last_layer(self) -> Layer | None:
        preprocessing = self.bundle.preprocessing
        if len(preprocessing.shape) != 3:
            self.notes.append(
                f"where it looked is shown of pictures and sounds, not of {preprocessing.kind}"
            )
            return None
        try:
            return last(self._model, preprocessing.shape)
        except UsageError as error:
            self.notes.append(str(error))
            return None

    def _training_vectors(self, run: Path, consent: Consent) -> Embedded | None:
        """Read or make the vectors of the training pictures; note where there are none."""
        kind = one(self.bundle.preprocessing.kind)
        if not folder.is_run(run):
            self.notes.append(f"no similar {kind} is shown: a bundle knows no training")
            return None
        origin = folder.read_origin(run)
        try:
            found = of_run(
                run,
                self.bundle,
                consent=consent,
                device=self._device,
                workers=self._workers,
                poll=self._poll,
            )
            _, _, self._training = evaluation.opened(run, "train", self.bundle.classes, consent)
        except (DataError, UsageError) as error:
            if origin.code is not None:  # the user's own code fails, or is not agreed to
                raise
            self.notes.append(f"no similar {kind} is shown: {error}")
            return None
        self._places = {name: row for row, name in enumerate(self._training.names)}
        return found.take(found.rows("train"))
