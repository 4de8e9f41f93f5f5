"""A network's answers over a data set, and what is drawn from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import figures, metrics
from striate.data.batches import Pictures, Unreadable
from striate.metrics import Metrics
from striate.wording import counted, percent

from .views import PLAIN, Views

# Of a table of answers.
COLUMNS = pa.schema(
    [
        ("file", pa.string()),
        ("class", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float64()),  # of the predicted class
    ]
)
AVERAGED = (pa.field("tta_predicted", pa.string()), pa.field("tta_probability", pa.float64()))


@dataclass(frozen=True)
class Evaluation:
    """Answers on labelled pictures, sounds or clips, and the numbers drawn from them.

    The numbers are of pictures as they are; those of the average over other views stand beside.
    """

    split: str
    metrics: Metrics
    logits: Tensor  # (N, K), float32
    labels: Tensor  # (N,)
    pictures: Pictures
    classes: tuple[str, ...]
    unreadable: Sequence[Unreadable] = ()
    trained_on: Mapping[str, Any] | None = None  # of other data: pictures that training had
    lost: Sequence[str] = ()  # classes none of whose pictures can be read
    leak: Mapping[str, Any] | None = None  # of this split into training
    relabelled: Mapping[str, Any] | None = None  # pictures of another class than in the training
    notes: Sequence[str] = ()  # what was recognised of other data, and what was left out
    temperature: float = 1.0  # of the probabilities
    views: Views = PLAIN
    averaged: Tensor | None = None  # (N, K), logits over the views, where there are several
    min_confidence: float | None = None  # below it an answer is unsure
    top: Sequence[int] = ()  # among how many likeliest classes the right one is looked for

    @property
    def accuracy(self) -> float:
        """Share of the pictures whose likeliest class is the right one."""
        return self.metrics.accuracy

    @property
    def names(self) -> Sequence[str]:
        """The pictures' names, in the order of the logits."""
        return self.pictures.split.names

    def to_json(self) -> dict[str, Any]:
        """Return the document that `striate evaluate --json` prints."""
        left_out = [entry._asdict() for entry in self.unreadable]
        numbers = metrics.as_json(self.metrics)
        kind = self.pictures.split.kind
        return {
            "split": self.split,
            "kind": kind,
            **numbers,
            **self._asked(self.logits),
            "tta": self._averaged(),
            "leak": self.leak,
            "trained_on": self.trained_on,
            "relabelled": self.relabelled,
            "unreadable": left_out,
            "lost_classes": list(self.lost),
            "notes": list(self.notes),
        }

    def _asked(self, logits: Tensor) -> dict[str, Any]:
        """Return what follows from logits (N, K): how sure they are, and what was asked for."""
        found: dict[str, Any] = {"calibration": self._calibration(logits)}
        if self.top:
            found["top"] = {f"{k}": metrics.top(logits, self.labels, k) for k in self.top}
        if self.min_confidence is not None:
            shares = metrics.probabilities(logits, self.temperature)
            asked = metrics.coverage(shares, self.labels, self.min_confidence).to_json()
            rows = metrics.coverages(shares, self.labels, self.min_confidence)
            found["confident"] = {**asked, "table": [row.to_json() for row in rows]}
        return found

    def _calibration(self, logits: Tensor) -> dict[str, Any]:
        """Compare confidence and accuracy; where there is a temperature also without it."""
        if self.temperature == 1:
            return {**_sureness(logits, self.labels, 1.0), "temperature": None, "without": None}
        own = _sureness(logits, self.labels, self.temperature)
        return {
            **own,
            "temperature": self.temperature,
            "without": _sureness(logits, self.labels, 1.0),
        }

    def _averaged(self) -> dict[str, Any] | None:
        if self.averaged is None:
            return None
        found = metrics.measure(self.averaged, self.labels, self.classes)
        numbers = metrics.as_json(found)
        kept = ("accuracy", "top5", "n", "interval", "balanced_accuracy", "loss")
        return {
            "views": self.views.name,
            "count": self.views.number,
            **{key: numbers[key] for key in kept},
            **self._asked(self.averaged),
        }

    def answers(self) -> tuple[Tensor, Tensor]:
        """Return the likeliest class of each picture, and its probability."""
        return _likeliest(self.logits, self.temperature)

    def mistakes(self, most: int) -> list[int]:
        """Return the places of wrong answers, the most confident first."""
        answers, shares = self.answers()
        wrong = torch.nonzero(answers != self.labels).flatten()
        order = torch.argsort(shares[wrong], descending=True, stable=True)
        return [int(row) for row in wrong[order][:most]]

    def image(self, row: int) -> NDArray[np.uint8]:
        """Draw what the network saw: uint8 (H, W) or (H, W, 3)."""
        return self.pictures.image(row)

    def confusion(self, name: str) -> bytes:
        """Draw which class was taken for which, with the network's name in the title: PNG."""
        split = "all" if self.split == "all" else f"the {self.split} split's"
        of = f"{split} {counted(self.metrics.n, self.pictures.split.kind)}"
        title = f"{name}: {percent(self.accuracy)} of {of} are right"
        return figures.confusion(self.metrics.matrix, self.classes, title)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row a picture, with the cells of `columns`."""
        answers, shares = self.answers()
        averaged = None if self.averaged is None else _likeliest(self.averaged, self.temperature)
        for row, name in enumerate(self.names):
            cells = {
                "file": name,
                "class": self.classes[self.labels[row]],
                "predicted": self.classes[answers[row]],
                "probability": float(shares[row]),
            }
            if averaged is not None:
                cells["tta_predicted"] = self.classes[averaged[0][row]]
                cells["tta_probability"] = float(averaged[1][row])
            yield cells

    def columns(self) -> pa.Schema:
        """Name the cells of a row: with other views, also what their average says."""
        return COLUMNS if self.averaged is None else pa.schema([*COLUMNS, *AVERAGED])

    def table(self) -> pa.Table:
        """Make a row a picture: file, class, predicted, probability, and all the probabilities.

        They are those of the network itself, without a temperature.
        """
        answers, shares = _likeliest(self.logits, 1.0)
        return pa.table(
            {
                "file": list(self.names),
                "class": [self.classes[label] for label in self.labels.tolist()],
                "predicted": [self.classes[answer] for answer in answers.tolist()],
                "probability": shares.numpy(),
                "probabilities": list(metrics.probabilities(self.logits).numpy()),
            }
        )


def _likeliest(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    answers = logits.argmax(1)
    shares = metrics.probabilities(logits, temperature).gather(1, answers[:, None])[:, 0]
    return answers, shares


def _sureness(logits: Tensor, labels: Tensor, temperature: float) -> dict[str, Any]:
    shares = metrics.probabilities(logits, temperature)
    found = metrics.calibration(shares.numpy(), labels.numpy())
    return {
        "error": found.error,
        "confidence": found.confidence,
        "brier": found.brier,
        "loss": metrics.loss(logits.double() / temperature, labels),
    }
