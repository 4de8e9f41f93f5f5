"""Pictures as vectors: the activations before the classifier, of all splits; kept with a run."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import data as sources
from striate import devices, features, ranks
from striate.data import Data, Split
from striate.data.batches import Look, Unreadable, decoded, part_of
from striate.data.preparation.kinds import Preparation
from striate.errors import DataError
from striate.runs import Bundle, folder
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import counted

BATCH = 128


@dataclass(frozen=True)
class Embedded:
    """N pictures, sounds or clips as vectors of D numbers, split after split."""

    files: Sequence[str]
    splits: Sequence[str]  # of each
    labels: NDArray[np.int64]  # (N,); -1 where there are no classes
    classes: tuple[str, ...]
    vectors: NDArray[np.float32]  # (N, D)
    xy: NDArray[np.float32] | None = None  # (N, 2), places on a map
    unreadable: Sequence[Unreadable] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> list[str | None]:
        """The class of each, None where there are none."""
        return [self.classes[label] if label >= 0 else None for label in self.labels]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the places of a split's pictures."""
        return np.flatnonzero(np.array(self.splits) == split)

    def take(self, rows: NDArray[np.int64]) -> "Embedded":
        """Keep the pictures at these places, in this order."""
        return replace(
            self,
            files=[self.files[row] for row in rows],
            splits=[self.splits[row] for row in rows],
            labels=self.labels[rows],
            vectors=self.vectors[rows],
            xy=None if self.xy is None else self.xy[rows],
        )

    def table(self) -> pa.Table:
        """Return a row a picture: file, split, class, vector, and x and y of a map."""
        flat = pa.array(np.ascontiguousarray(self.vectors, np.float32).reshape(-1))
        columns = {
            "file": pa.array(list(self.files), pa.string()),
            "split": pa.array(list(self.splits), pa.string()),
            "class": pa.array(self.names, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.vectors.shape[1]),
        }
        if self.xy is not None:
            columns |= {"x": pa.array(self.xy[:, 0]), "y": pa.array(self.xy[:, 1])}
        return pa.table(columns)


def embed(  # noqa: PLR0913
    model: nn.Module,
    preprocessing: Preparation,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    *,
    device: torch.device,
    workers: int | None = None,
    strict: bool = False,
    poll: Poll = unheard,
    look: Look | None = None,
) -> Embedded:
    """Run every picture through a network and keep what its classifier is given.

    Unreadable ones are left out and listed; with `strict` the first is a PictureError. `look` is
    shown the pixels of the others, in their order. Processes that work as one share the pictures
    of each split, and each gets all vectors.
    """
    model = devices.place(model, device).eval()
    count = devices.processors() if workers is None else workers
    parts: list[Tensor] = []
    kept: list[tuple[str, str, int]] = []
    unreadable: list[Unreadable] = []
    own = {name: _own(split) for name, split in splits.items()}
    for name, split in own.items():
        results = decoded(split, preprocessing, count, strict=strict, poll=part_of(own, name, poll))
        own_parts: list[Tensor] = []
        own_kept: list[tuple[str, str, int]] = []
        own_unreadable: list[Unreadable] = []
        for rows, pixels in _batches(split, results, own_unreadable):
            if look:
                look(pixels)
            own_parts.append(_vectors(model, preprocessing, pixels.to(device)))
            own_kept += [(split.names[row], name, int(split.labels[row])) for row in rows]
        parts += _gathered(own_parts)
        kept += itertools.chain.from_iterable(ranks.each(own_kept))
        unreadable += itertools.chain.from_iterable(ranks.each(own_unreadable))
    if not kept:
        first = f"; the first: {unreadable[0]}" if unreadable else ""
        raise DataError(f"there is nothing to embed: no picture can be read{first}")
    vectors = torch.cat(parts).numpy()
    _check(vectors, [file for file, _, _ in kept])
    files, names, labels = zip(*kept, strict=True)
    return Embedded(files, names, np.array(labels), tuple(classes), vectors, unreadable=unreadable)


def of_run(  # noqa: PLR0913
    run: Path,
    bundle: Bundle,
    *,
    consent: Consent,
    data: Data | None = None,
    device: torch.device,
    workers: int | None = None,
    poll: Poll = unheard,
) -> Embedded:
    """Read the vectors that a run keeps, of all its splits; made and kept where they are not there.

    They are made anew where the run's network has changed since. Then its data are read: `data`
    where they are open already.
    """
    table = folder.read_features(run)
    if table is not None:
        return from_table(table, bundle.classes)
    data = data or sources.reopen(folder.read_origin(run), consent)
    splits = sources.assigned(data, folder.read_splits(run), bundle.classes)
    found = embed(
        bundle.model,
        bundle.preprocessing,
        splits,
        bundle.classes,
        device=device,
        workers=workers,
        poll=poll,
    )
    folder.write_features(run, found.table())
    return found


def from_table(table: pa.Table, classes: Sequence[str]) -> Embedded:
    """Read what `table` gave, with labels as places among these classes."""
    places = {name: place for place, name in enumerate(classes)}
    names = table["class"].to_pylist()
    unknown = sorted(set(names) - places.keys())
    if unknown:
        raise DataError(f"the features are of a class that the network does not know: {unknown[0]}")
    vectors = table["vector"].combine_chunks()
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return Embedded(
        table["file"].to_pylist(),
        table["split"].to_pylist(),
        np.array([places[name] for name in names], dtype=np.int64),
        tuple(classes),
        flat.reshape(len(table), -1),
    )


def _own(split: Split) -> Split:
    """Return this process's part of a split."""
    mine = ranks.mine(len(split))
    return split if ranks.count() == 1 else split.take(np.arange(mine.start, mine.stop))


def _gathered(own: list[Tensor]) -> list[Tensor]:
    """Return the vectors of all processes' pictures, in their order."""
    if ranks.count() == 1:
        return own
    some = ranks.each(bool(own))
    return [ranks.gathered(torch.cat(own) if own else None)] if any(some) else []


def _batches(
    split: Split, results: Iterator[Tensor | str], unreadable: list[Unreadable]
) -> Iterator[tuple[list[int], Tensor]]:
    """Stack pixels that can be read, with their rows; note the others."""
    numbered = enumerate(results)
    while batch := list(itertools.islice(numbered, BATCH)):
        unreadable += [Unreadable(split.names[i], x) for i, x in batch if isinstance(x, str)]
        good = [(row, result) for row, result in batch if isinstance(result, Tensor)]
        if good:
            yield [row for row, _ in good], torch.stack([pixels for _, pixels in good])


@torch.inference_mode()
def _vectors(model: nn.Module, preprocessing: Preparation, pixels: Tensor) -> Tensor:
    values = devices.ordered(preprocessing.values(pixels))
    return features.embedding(model, values)[0].float().cpu()


def _check(vectors: NDArray[np.float32], files: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise DataError(
            f"the network gives numbers that are not finite for {counted(len(bad), 'pictures')}, "
            f"the first is {files[bad[0]]}: its weights or its inputs are broken"
        )
