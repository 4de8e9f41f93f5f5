"""Pictures, sounds or clips, and a bundle -> ranked classes, as rows that JSON holds."""

import contextlib
import functools
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from striate import devices, evaluation, metrics
from striate.data.preparation.kinds import allowance
from striate.data.sources.given import Example
from striate.decoding import Decoders, Failed, ahead
from striate.evaluation import PLAIN, Views
from striate.runs import Bundle
from striate.stopping import Poll, Reading, unheard

BATCH = 64
FILES_AHEAD = 1024  # names that are read ahead of an iterator


class Ranked(NamedTuple):
    """A class and the probability that the network gives it."""

    name: str
    probability: float


class Prediction(NamedTuple):
    """What the network says of an example, the likeliest class first; or why it is unreadable."""

    file: str
    classes: list[Ranked]
    error: str | None = None
    unsure: bool | None = None  # the likeliest is less likely than was asked for; None: not asked

    def to_json(self) -> dict[str, Any]:
        """Return a row of the JSON output; `unsure` is in it where it was asked for."""
        return {
            "file": self.file,
            "classes": [ranked._asdict() for ranked in self.classes],
            **({} if self.unsure is None else {"unsure": self.unsure}),
            "error": self.error,
        }

    def row(self) -> dict[str, Any]:
        """Return a row of a table, as `columns` names its cells."""
        cells: dict[str, Any] = {"file": self.file, "error": self.error}
        if self.unsure is not None:
            cells["unsure"] = self.unsure
        for number, (name, probability) in enumerate(self.classes, 1):
            cells |= {f"class_{number}": name, f"probability_{number}": probability}
        return cells


def columns(top: int, *, unsure: bool = False) -> pa.Schema:
    """Name a table's columns: file, class_1, probability_1, class_2, ..., unsure, error."""
    ranked = [
        field
        for number in range(1, top + 1)
        for field in ((f"class_{number}", pa.string()), (f"probability_{number}", pa.float64()))
    ]
    doubt = [("unsure", pa.bool_())] if unsure else []
    return pa.schema([("file", pa.string()), *ranked, *doubt, ("error", pa.string())])


class _Asked(NamedTuple):
    """What is asked of each example, and where."""

    top: int
    views: Views
    min_confidence: float | None
    device: torch.device


def predict(  # noqa: PLR0913
    bundle: Bundle,
    examples: Iterable[Example],
    *,
    decoders: Decoders,
    top: int = 5,
    views: Views = PLAIN,
    min_confidence: float | None = None,
    device: torch.device,
    poll: Poll = unheard,
) -> Iterator[Prediction]:
    """Yield the `top` classes of each example, in order, as they are done.

    An unreadable one is a row with its `error`; nothing is raised for it. A list is asked about as
    a whole; of an iterator a part is read ahead, so that it may be longer than memory, or endless.
    `decoders` are those of `open_decoders`.
    """
    devices.place(bundle.model, device)
    asked = _Asked(top, views, min_confidence, device)
    for part in [examples] if isinstance(examples, list) else _parts(iter(examples)):
        results = _decoded(bundle, [example.value for example in part], decoders)
        yield from _answered(bundle, part, results, asked, poll=poll)


def _parts(examples: Iterator[Example]) -> Iterator[list[Example]]:
    """Cut an iterator into lists: of as many files, or of few pictures that are in memory."""
    part: list[Example] = []
    held = 0
    for example in examples:
        part.append(example)
        held += not isinstance(example.value, Path)
        if held == BATCH or len(part) == FILES_AHEAD:
            yield part
            part, held = [], 0
    if part:
        yield part


def open_decoders(bundle: Bundle, workers: int | None = None) -> Decoders:
    """Return decoders of a bundle's examples: held open, they answer at once."""
    count = devices.processors() if workers is None else workers
    more = allowance(bundle.preprocessing)
    return Decoders(bundle.preprocessing.pixels, count, guarded=True, allowance=more)


Results = Generator[list[Any]]


def _decoded(bundle: Bundle, values: Sequence[Any], decoders: Decoders) -> Results:
    rows = range(len(values))
    chunks = [rows[start : start + BATCH] for start in rows[::BATCH]]
    if all(isinstance(value, (Path, bytes)) for value in values):
        return decoders.ask([[values[row] for row in chunk] for chunk in chunks])
    # Arrays and tensors hold no foreign bytes: they need no process of their own. Members of
    # archives, which no pipe takes, are inherited by new ones.
    safe = all(isinstance(value, (np.ndarray, Tensor)) for value in values)
    more = allowance(bundle.preprocessing)
    pixels = bundle.preprocessing.pixels
    return ahead(pixels, values, chunks, decoders.workers, guarded=not safe, allowance=more)


def _answered(
    bundle: Bundle,
    examples: Sequence[Example],
    results: Results,
    asked: _Asked,
    *,
    poll: Poll,
) -> Iterator[Prediction]:
    names = iter(example.name for example in examples)
    with contextlib.closing(results) as found:
        for number, chunk in enumerate(found, 1):
            done = min(number * BATCH, len(examples))
            poll(Reading(done, len(examples), bundle.preprocessing.kind))
            shares = iter(_probabilities(bundle, chunk, asked))
            for result, name in zip(chunk, names, strict=False):
                if isinstance(result, Failed):
                    yield Prediction(name, [], result.reason)
                else:
                    yield _prediction(name, next(shares), bundle.classes, asked)


def _probabilities(
    bundle: Bundle, results: Sequence[Tensor | Failed], asked: _Asked
) -> list[Tensor]:
    good = [result for result in results if isinstance(result, Tensor)]
    if not good:
        return []
    ask = functools.partial(
        evaluation.answer, bundle.model, bundle.preprocessing, device=asked.device
    )
    logits = evaluation.averaged(ask, torch.stack(good), asked.views)[-1]
    return list(metrics.probabilities(logits, bundle.temperature))


def _prediction(name: str, shares: Tensor, classes: Sequence[str], asked: _Asked) -> Prediction:
    found = ranked(shares, classes, asked.top)
    least = asked.min_confidence
    return Prediction(name, found, None, None if least is None else found[0].probability < least)


def ranked(shares: Tensor, classes: Sequence[str], top: int) -> list[Ranked]:
    """Return the `top` likeliest classes of the probabilities (K,) of an example."""
    values, places = shares.topk(min(top, len(classes)))
    return [
        Ranked(classes[place], float(value))
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    ]
