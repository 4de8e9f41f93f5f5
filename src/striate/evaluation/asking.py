"""Inference over a data set: a run's own split, or any pictures, in batches."""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from striate import data as sources
from striate import devices, metrics, ranks
from striate.data import Data, Split
from striate.data.batches import Look, Pictures, decoded, readable
from striate.data.preparation.kinds import Values
from striate.errors import UsageError
from striate.runs import Bundle, folder
from striate.stopping import Poll, unheard
from striate.usercode import Consent

from .answers import Evaluation
from .views import PLAIN, Views, averaged

BATCH = 256
VALUES = 1 << 22  # of a batch on a CPU: a network's maps take many times as much memory


def preferred(splits: Iterable[str]) -> str:
    """Return the split that an accuracy is of, where nothing else is asked for.

    >>> preferred(["train", "validation"])
    'validation'
    """
    there = set(splits)
    return next(name for name in ("test", "validation", "train") if name in there)


def opened(
    run: Path, split: str | None, classes: Sequence[str], consent: Consent
) -> tuple[str, Data, Split]:
    """Open a run's own split again, its labels by name: the split's name, the data, the split.

    None is the one that an accuracy is of. Raises UsageError for a split that the run has not,
    DataError where the data or one of its pictures are gone.
    """
    table = folder.read_splits(run)
    name = _known(split or preferred(table), table)
    data = sources.reopen(folder.read_origin(run), consent)
    return name, data, sources.assigned(data, {name: table[name]}, classes)[name]


def own_split(run: Path, split: str, classes: Sequence[str], data: Data) -> Split:
    """Find a run's own split, as `opened` does, in its data that are open already."""
    table = folder.read_splits(run)
    name = _known(split, table)
    return sources.assigned(data, {name: table[name]}, classes)[name]


def _known(split: str, table: Iterable[str]) -> str:
    if split not in table:
        raise UsageError(f"this run has no {split} split, it has {', '.join(table)}")
    return split


def stream(  # noqa: PLR0913
    bundle: Bundle,
    split: Split,
    *,
    name: str,
    device: torch.device,
    views: Views = PLAIN,
    workers: int | None = None,
    strict: bool = False,
    poll: Poll = unheard,
    look: Look | None = None,
) -> Evaluation:
    """Ask the network about every picture of a split, decoded once and not kept: any number.

    With other `views` than the plain one the logits averaged over them are there as well. With
    `strict` the first unreadable picture is a PictureError. `look` is shown the pixels of all that
    are readable, in their order. Processes that work as one share the pictures, each looks at its
    own, and each gets all answers.
    """
    model = devices.place(bundle.model, device).eval()
    count = devices.processors() if workers is None else workers
    mine = ranks.mine(len(split))
    own = split if ranks.count() == 1 else split.take(np.arange(mine.start, mine.stop))
    results = decoded(own, bundle.preprocessing, count, strict=strict, poll=poll)
    # Made at once: small pieces kept between large ones that come and go would scatter the heap.
    found = torch.empty(1 if views is PLAIN else 2, len(own), len(bundle.classes))
    reasons: dict[int, str] = {}
    done = 0
    for pixels in _batches(results, reasons):
        if look:
            look(pixels)
        part = slice(done, done + len(pixels))
        found[:, part] = averaged(
            functools.partial(answer, model, bundle.preprocessing, device=device), pixels, views
        )
        done = part.stop
    found = _gathered(found[:, :done])
    reasons = {
        row + ranks.part(len(split), of=ranks.count(), number=number).start: reason
        for number, part_reasons in enumerate(ranks.each(reasons))
        for row, reason in part_reasons.items()
    }
    known, unreadable = readable(split, reasons)
    lost = [bundle.classes[label] for label in np.setdiff1d(split.labels, known.labels)]
    pictures = Pictures(known, bundle.preprocessing)
    whole = _evaluation(bundle, pictures, found[0], split=name)
    seen = None if views is PLAIN else found[1]
    return replace(whole, views=views, averaged=seen, unreadable=unreadable, lost=lost)


def _gathered(found: Tensor) -> Tensor:
    """Return the logits (V, N, K) of all processes."""
    if ranks.count() == 1:
        return found
    return ranks.gathered(found.transpose(0, 1)).transpose(0, 1)


def _batches(results: Iterator[Tensor | str], reasons: dict[int, str]) -> Iterator[Tensor]:
    """Yield the pixels of BATCH examples at a time, less those of which a reason is noted."""
    numbered = enumerate(results)
    while batch := list(itertools.islice(numbered, BATCH)):
        reasons.update({row: result for row, result in batch if isinstance(result, str)})
        pixels = [result for _, result in batch if isinstance(result, Tensor)]
        if pixels:
            yield torch.stack(pixels)


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
    return _evaluation(bundle, pictures, found, split=split)


def _evaluation(bundle: Bundle, pictures: Pictures, found: Tensor, *, split: str) -> Evaluation:
    measured = metrics.measure(found, pictures.labels, bundle.classes)
    return Evaluation(
        split,
        measured,
        found,
        pictures.labels,
        pictures,
        bundle.classes,
        temperature=bundle.temperature,
    )


def logits(
    model: nn.Module,
    preprocessing: Values,
    pictures: Pictures,
    *,
    device: torch.device,
    poll: Poll = unheard,
) -> Tensor:
    """Return the network's logits (N, K), float32 on the CPU, in the pictures' order.

    The network is left in evaluation mode. `poll` is called before each batch. Processes that work
    as one share the pictures, and each gets all the logits.
    """
    model.eval()
    found = []
    own = torch.arange(len(pictures))[ranks.mine(len(pictures))]
    for batch in pictures.batches(own, ranks.rounds(len(pictures), _size(pictures.shape, device))):
        poll()
        if len(batch.rows):
            found.append(_answer(model, preprocessing, batch.pixels, device=device))
    # Read once: an accelerator is not waited for in each batch.
    return ranks.gathered(torch.cat(found).cpu() if found else None)


def _size(shape: tuple[int, ...], device: torch.device) -> int:
    """Return how many pictures are answered at once: of large ones fewer, on a CPU."""
    most = VALUES // math.prod(shape) if device.type == "cpu" else BATCH
    return min(BATCH, max(1, most))


def answer(
    model: nn.Module, preprocessing: Values, pixels: Tensor, *, device: torch.device
) -> Tensor:
    """Compute the logits (N, K) of a batch of pixels, float32 on the CPU.

    The model is in evaluation mode.
    """
    return _answer(model, preprocessing, pixels, device=device).cpu()


@torch.inference_mode()
def _answer(
    model: nn.Module, preprocessing: Values, pixels: Tensor, *, device: torch.device
) -> Tensor:
    values = preprocessing.values(pixels.to(device, non_blocking=True))
    found: Tensor = model(devices.ordered(values))
    return found.float()
