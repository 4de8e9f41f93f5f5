"""Pictures, sounds or clips, and a bundle -> ranked classes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from striate import devices, evaluation
from striate.data.folder import list_examples
from striate.data.workers import Failed, ahead
from striate.errors import DataError
from striate.runs import Bundle

BATCH = 64


class Ranked(NamedTuple):
    """A class and the probability that the network gives it."""

    name: str
    probability: float


class Prediction(NamedTuple):
    """What the network says of an example, the likeliest class first; or why it is unreadable."""

    file: str
    classes: list[Ranked]
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give a row of the JSON output."""
        return {
            "file": self.file,
            "classes": [ranked._asdict() for ranked in self.classes],
            "error": self.error,
        }

    def row(self) -> dict[str, Any]:
        """Give a row of a table, as `columns` names its cells."""
        cells: dict[str, Any] = {"file": self.file, "error": self.error}
        for number, (name, probability) in enumerate(self.classes, 1):
            cells |= {f"class_{number}": name, f"probability_{number}": probability}
        return cells


def columns(top: int) -> pa.Schema:
    """Name a table's columns: file, class_1, probability_1, class_2, ..., error."""
    ranked = [
        field
        for number in range(1, top + 1)
        for field in ((f"class_{number}", pa.string()), (f"probability_{number}", pa.float64()))
    ]
    return pa.schema([("file", pa.string()), *ranked, ("error", pa.string())])


def find_files(paths: Iterable[Path | str], kind: str = "pictures") -> list[Path]:
    """List the files meant by files and folders; a folder stands for all of a kind below it."""
    found: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        below = list(list_examples(path, kind)) if path.is_dir() else [path]
        if not below:
            raise DataError(f"{path} has no {kind} in it")
        found += below
    return found


def predict(
    bundle: Bundle,
    pictures: Sequence[Any],
    *,
    top: int = 5,
    device: torch.device,
    workers: int | None = None,
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Prediction]:
    """Give the `top` classes of each picture, in order, as they are done.

    A picture, sound or clip is a path, or what the bundle's preprocessing takes. An unreadable one
    is a row with its `error`; nothing is raised for it.
    """
    count = devices.processors() if workers is None else workers
    rows = range(len(pictures))
    chunks = [rows[start : start + BATCH] for start in rows[::BATCH]]
    devices.place(bundle.model, device)

    def pixels(picture: Any) -> Tensor:
        return bundle.preprocessing.pixels(Path(picture) if isinstance(picture, str) else picture)

    found = ahead(pixels, pictures, chunks, count)
    for chunk, results in zip(chunks, found, strict=True):
        poll()
        shares = iter(_probabilities(bundle, results, device))
        for row, result in zip(chunk, results, strict=True):
            picture = pictures[row]
            name = (
                str(picture)
                if isinstance(picture, (str, Path))
                else f"{bundle.preprocessing.kind.removesuffix('s')} {row}"
            )
            if isinstance(result, Failed):
                yield Prediction(name, [], result.reason)
            else:
                yield Prediction(name, _ranked(next(shares), bundle.classes, top))


def _probabilities(
    bundle: Bundle, results: Sequence[Tensor | Failed], device: torch.device
) -> list[Tensor]:
    good = [result for result in results if isinstance(result, Tensor)]
    if not good:
        return []
    logits = evaluation.answer(bundle.model, bundle.preprocessing, torch.stack(good), device=device)
    return list(logits.double().softmax(1))


def _ranked(shares: Tensor, classes: Sequence[str], top: int) -> list[Ranked]:
    values, places = shares.topk(min(top, len(classes)))
    return [
        Ranked(classes[place], float(value))
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    ]
