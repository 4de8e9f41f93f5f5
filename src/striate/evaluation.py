"""A network's answers over a data set, and what is drawn from them."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import data as sources
from striate import devices, figures, metrics
from striate.data import Data, Split
from striate.data.batches import Look, Pictures, Unreadable, decoded, readable
from striate.data.preparation.kinds import Preparation
from striate.errors import UsageError
from striate.metrics import Metrics
from striate.runs import Bundle, folder
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import counted, percent

BATCH = 256
# Of a table of answers.
COLUMNS = pa.schema(
    [
        ("file", pa.string()),
        ("class", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float64()),  # of the predicted class
    ]
)


def preferred(splits: Iterable[str]) -> str:
    """Return the split that an accuracy is of, where nothing else is asked for.

    >>> preferred(["train", "validation"])
    'validation'
    """
    there = set(splits)
    return next(name for name in ("test", "validation", "train") if name in there)


@dataclass(frozen=True)
class Evaluation:
    """Answers on labelled pictures, sounds or clips, and the numbers drawn from them."""

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
            "leak": self.leak,
            "trained_on": self.trained_on,
            "relabelled": self.relabelled,
            "unreadable": left_out,
            "lost_classes": list(self.lost),
            "notes": list(self.notes),
        }

    def answers(self) -> tuple[Tensor, Tensor]:
        """Return the likeliest class of each picture, and its probability."""
        shares, answers = self.logits.double().softmax(1).max(1)
        return answers, shares

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
        """Yield a row a picture, with the cells of COLUMNS."""
        answers, shares = self.answers()
        for row, name in enumerate(self.names):
            yield {
                "file": name,
                "class": self.classes[self.labels[row]],
                "predicted": self.classes[answers[row]],
                "probability": float(shares[row]),
            }

    def table(self) -> pa.Table:
        """Make a row a picture: file, class, predicted, probability, and all the probabilities."""
        answers, shares = self.answers()
        return pa.table(
            {
                "file": list(self.names),
                "class": [self.classes[label] for label in self.labels.tolist()],
                "predicted": [self.classes[answer] for answer in answers.tolist()],
                "probability": shares.numpy(),
                "probabilities": list(self.logits.double().softmax(1).numpy()),
            }
        )


def opened(
    run: Path, split: str | None, classes: Sequence[str], consent: Consent
) -> tuple[str, Data, Split]:
    """Open a run's own split again, its labels by name: the split's name, the data, the split.

    None is the one that an accuracy is of. Raises UsageError for a split that the run has not,
    DataError where the data or one of its pictures are gone.
    """
    table = folder.read_splits(run)
    name = split or preferred(table)
    if name not in table:
        raise UsageError(f"this run has no {name} split, it has {', '.join(table)}")
    data = sources.reopen(folder.read_origin(run), consent)
    return name, data, sources.assigned(data, {name: table[name]}, classes)[name]


def stream(  # noqa: PLR0913
    bundle: Bundle,
    split: Split,
    *,
    name: str,
    device: torch.device,
    workers: int | None = None,
    strict: bool = False,
    poll: Poll = unheard,
    look: Look | None = None,
) -> Evaluation:
    """Ask the network about every picture of a split, decoded once and not kept: any number.

    With `strict` the first unreadable picture is a PictureError. `look` is shown the pixels of all
    that are readable, in their order.
    """
    model = devices.place(bundle.model, device).eval()
    count = devices.processors() if workers is None else workers
    results = enumerate(decoded(split, bundle.preprocessing, count, strict=strict, poll=poll))
    # Made at once: small pieces kept between large ones that come and go would scatter the heap.
    answers = torch.empty(len(split), len(bundle.classes))
    done, reasons = 0, {}
    while batch := list(itertools.islice(results, BATCH)):
        reasons.update({row: result for row, result in batch if isinstance(result, str)})
        pixels = [result for _, result in batch if isinstance(result, Tensor)]
        if pixels:
            stacked = torch.stack(pixels)
            if look:
                look(stacked)
            answers[done : done + len(pixels)] = answer(
                model, bundle.preprocessing, stacked, device=device
            )
            done += len(pixels)
    part, unreadable = readable(split, reasons)
    lost = [bundle.classes[label] for label in np.setdiff1d(split.labels, part.labels)]
    answers, pictures = answers[:done], Pictures(part, bundle.preprocessing)
    measured = metrics.measure(answers, pictures.labels, bundle.classes)
    return Evaluation(
        name, measured, answers, pictures.labels, pictures, bundle.classes, unreadable, lost=lost
    )


def evaluate(
    bundle: Bundle,
    pictures: Pictures,
    *,
    split: str,
    device: torch.device,
    poll: Poll = unheard,
) -> Evaluation:
    """Ask the network about pictures that a training has read."""
    model = devices.place(bundle.model, device)
    found = logits(model, bundle.preprocessing, pictures, device=device, poll=poll)
    measured = metrics.measure(found, pictures.labels, bundle.classes)
    return Evaluation(split, measured, found, pictures.labels, pictures, bundle.classes)


def logits(
    model: nn.Module,
    preprocessing: Preparation,
    pictures: Pictures,
    *,
    device: torch.device,
    poll: Poll = unheard,
) -> Tensor:
    """Return the network's logits (N, K), float32 on the CPU, in the pictures' order.

    The network is left in evaluation mode. `poll` is called before each batch.
    """
    model.eval()
    found = []
    for batch in pictures.all(BATCH):
        poll()
        found.append(_answer(model, preprocessing, batch.pixels, device=device))
    return torch.cat(found).cpu()  # read once: an accelerator is not waited for in each batch


def answer(
    model: nn.Module, preprocessing: Preparation, pixels: Tensor, *, device: torch.device
) -> Tensor:
    """Compute the logits (N, K) of a batch of pixels, float32 on the CPU.

    The model is in evaluation mode.
    """
    return _answer(model, preprocessing, pixels, device=device).cpu()


@torch.inference_mode()
def _answer(
    model: nn.Module, preprocessing: Preparation, pixels: Tensor, *, device: torch.device
) -> Tensor:
    values = preprocessing.values(pixels.to(device, non_blocking=True))
    found: Tensor = model(devices.ordered(values))
    return found.float()
