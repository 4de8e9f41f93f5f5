"""Examples, decoders and a network of any library -> ranked classes; no torch is loaded for it."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.data.sources.given import Example
from striate.decoding import Decoders, Failed, ahead
from striate.decoding.wire import is_tensor
from striate.stopping import Poll, Reading, unheard

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 64
NOT_FINITE = "the network's answer is not finite"
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


class Network(NamedTuple):
    """A network as it is asked here, whichever library computes it."""

    kind: str  # of its examples: pictures, sounds or clips
    pixels: Callable[[Any], Any]  # an example -> its pixels, all of one shape
    probabilities: Callable[[Sequence[Any]], NDArray[np.float64]]  # pixels -> (N, K)
    classes: Sequence[str]
    allowance: float = 1.0  # of memory and time to decode an example

    def open_decoders(self, workers: int) -> Decoders:
        """Return decoders of its examples: held open, they answer at once."""
        return Decoders(self.pixels, workers, guarded=True, allowance=self.allowance)


def columns(top: int, *, unsure: bool = False) -> "pa.Schema":
    """Name a table's columns: file, class_1, probability_1, class_2, ..., unsure, error."""
    import pyarrow as pa

    ranked = [
        field
        for number in range(1, top + 1)
        for field in ((f"class_{number}", pa.string()), (f"probability_{number}", pa.float64()))
    ]
    doubt = [("unsure", pa.bool_())] if unsure else []
    return pa.schema([("file", pa.string()), *ranked, *doubt, ("error", pa.string())])


class Wanted(NamedTuple):
    """What is wanted of each example."""

    top: int = 5  # classes
    min_confidence: float | None = None  # below which an answer is unsure


def rank(
    network: Network,
    examples: Iterable[Example],
    *,
    decoders: Decoders,
    wanted: Wanted,
    poll: Poll = unheard,
) -> Iterator[Prediction]:
    """Yield the likeliest classes of each example, in order, as they are done.

    An unreadable one is a row with its `error`; nothing is raised for it. A list is asked about as
    a whole; of an iterator a part is read ahead, so that it may be longer than memory, or endless.
    """
    for part in [examples] if isinstance(examples, list) else _parts(iter(examples)):
        results = _decoded(network, [example.value for example in part], decoders)
        yield from _answered(network, part, results, wanted, poll=poll)


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


Results = Generator[list[Any]]


def _decoded(network: Network, values: Sequence[Any], decoders: Decoders) -> Results:
    rows = range(len(values))
    chunks = [rows[start : start + BATCH] for start in rows[::BATCH]]
    if all(isinstance(value, (Path, bytes)) for value in values):
        return decoders.ask([[values[row] for row in chunk] for chunk in chunks], len(values))
    # Arrays and tensors hold no foreign bytes: they need no process of their own. Members of
    # archives, which no pipe takes, are inherited by new ones.
    safe = all(isinstance(value, np.ndarray) or is_tensor(value) for value in values)
    more = network.allowance
    return ahead(network.pixels, values, chunks, decoders.workers, guarded=not safe, allowance=more)


def _answered(
    network: Network,
    examples: Sequence[Example],
    results: Results,
    wanted: Wanted,
    *,
    poll: Poll,
) -> Iterator[Prediction]:
    names = iter(example.name for example in examples)
    with contextlib.closing(results) as found:
        for number, chunk in enumerate(found, 1):
            poll(Reading(min(number * BATCH, len(examples)), len(examples), network.kind))
            good = [result for result in chunk if not isinstance(result, Failed)]
            shares = iter(network.probabilities(good) if good else ())
            for result, name in zip(chunk, names, strict=False):
                if isinstance(result, Failed):
                    yield Prediction(name, [], result.reason)
                else:
                    yield _prediction(name, next(shares), network.classes, wanted)


def _prediction(
    name: str, shares: NDArray[np.float64], classes: Sequence[str], wanted: Wanted
) -> Prediction:
    if not np.isfinite(shares).all():
        return Prediction(name, [], NOT_FINITE)
    found = ranked(shares, classes, wanted.top)
    least = wanted.min_confidence
    return Prediction(name, found, None, None if least is None else found[0].probability < least)


def ranked(shares: NDArray[np.float64], classes: Sequence[str], top: int) -> list[Ranked]:
    """Return the `top` likeliest classes of the probabilities (K,) of an example."""
    places = np.argsort(-shares, kind="stable")[:top]
    return [Ranked(classes[place], float(shares[place])) for place in places.tolist()]
