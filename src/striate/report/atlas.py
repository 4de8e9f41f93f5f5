"""An atlas: one HTML file with the map of any pictures by any network's features."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices, figures, files, seeing
from striate.data import Data, Split
from striate.seeing import Embedded, Source
from striate.stopping import Poll, unheard
from striate.wording import counted, percent, shown

from . import drawings, places
from .document import Arrays, colours
from .packing import sheets
from .page import ATLAS, page
from .places import Placed, placed
from .thumbnails import small, thumbnail_side

MOST = 20_000  # pictures; of more, a part is drawn by lot
NEAR = 3


class Atlas(NamedTuple):
    """A page that was written: pictures on a map, with their nearest."""

    path: Path
    embedded: Embedded
    pictures: NDArray[np.uint8]  # (N, S, S) or (N, S, S, 3)
    placed: Placed
    near: seeing.Nearest
    source: Source
    data: Data
    notes: list[str]  # about what is not shown

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """Which classes share a colour; None without classes."""
        one = self.embedded
        if not one.classes:
            return None
        return seeing.class_groups(one.vectors, one.labels, len(one.classes))

    def to_json(self) -> dict[str, Any]:
        """Return the document that `striate atlas --json` prints."""
        return {
            "atlas": str(self.path),
            "bytes": self.path.stat().st_size,
            "n": len(self.embedded),
            "kind": self.data.kind,
            "recall": self.placed.recall,
            "trustworthiness": self.placed.trust,
            "purities": self.placed.purities,
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """Say how much the map keeps, and which spaces have classes together."""
        kept = (
            f"of the ten nearest {percent(self.placed.recall, 0)} are kept on the map (recall@10); "
            f"trustworthiness {self.placed.trust:.3f}"
        )
        shares = [f"{name} {percent(part, 1)}" for name, part in self.placed.purities.items()]
        same = [f"ten nearest of the same class: {', '.join(shares)}"] if shares else []
        return [kept, *same]


def write_atlas(  # noqa: PLR0913
    out: Path,
    source: Source,
    data: Data,
    *,
    device: torch.device,
    workers: int | None = None,
    strict: bool = False,
    drawn: Path | None = None,
    poll: Poll = unheard,
) -> Atlas:
    """Write the map of pictures, sounds or clips by what a network's classifier is given.

    Data without classes are shown without their colours. What cannot be read is left out and
    listed; with `strict` the first is a PictureError. Into the folder `drawn`, where one is named,
    goes the map as PNG and SVG.
    """
    found = _gather(source, data, device=device, workers=workers, strict=strict, poll=poll)
    found = found._replace(path=out)
    if drawn is not None:
        drawings.write(drawn, [("atlas", functools.partial(_drawn, found))])
    files.write(out, page(*_document(found), ATLAS).encode())
    return found


def _gather(
    source: Source,
    data: Data,
    *,
    device: torch.device,
    workers: int | None,
    strict: bool,
    poll: Poll,
) -> Atlas:
    splits, notes = _chosen(data)
    pictures: list[NDArray[np.uint8]] = []
    edge = thumbnail_side(sum(map(len, splits.values())))

    def look(pixels: Tensor) -> None:
        pictures.extend(small(source.preprocessing, one.cpu(), edge) for one in pixels)

    embedded = seeing.embed(
        source.model,
        source.preprocessing,
        splits,
        data.classes,
        device=device,
        workers=devices.processors() if workers is None else workers,
        strict=strict,
        poll=poll,
        look=look,
    )
    drawn = np.stack(pictures)
    found = placed(embedded.vectors, embedded.labels, drawn, data.kind)
    near = seeing.others(embedded.vectors, NEAR)
    return Atlas(Path(), embedded, drawn, found, near, source, data, notes)


def _drawn(found: Atlas, form: str) -> bytes:
    embedded, title = found.embedded, drawings.caption(found.placed, found.data.kind)
    shown = colours(found.groups, len(embedded.classes))["colours"]
    mapped = figures.Mapped(
        found.placed.xy, found.pictures, embedded.labels, embedded.classes, shown
    )
    return figures.atlas(mapped, title, form=form)


def _chosen(data: Data) -> tuple[dict[str, Split], list[str]]:
    """Take all examples, or of too many a part by lot, and say so."""
    total = sum(map(len, data.splits.values()))
    if total <= MOST:
        return dict(data.splits), []
    lot = np.sort(np.random.default_rng(0).choice(total, MOST, replace=False))
    found, start = {}, 0
    for name, split in data.splits.items():
        rows = lot[(lot >= start) & (lot < start + len(split))] - start
        start += len(split)
        if len(rows):
            found[name] = split.take(rows)
    return found, [f"{MOST:,} of the {total:,} {data.kind} are shown, drawn by lot."]


def _document(found: Atlas) -> tuple[dict[str, Any], Arrays]:
    embedded, kind = found.embedded, found.data.kind
    arrays = _arrays(embedded, found.near)
    finding = places.finding(found.placed, kind)
    return {
        "title": f"{shown(found.data.name)} by {shown(found.source.name)}",
        "classes": list(embedded.classes),
        "headline": None,
        "facts": list(map(list, _facts(found))),
        "warnings": [*found.notes, *_left_out(embedded, kind), *found.data.warnings],
        "repeat": "",
        "files": list(embedded.files),
        "runs": [],
        "map": places.shown(found.placed, arrays),
        "kind": kind,
        "splits": list(dict.fromkeys(embedded.splits)),
        "near": "",
        "pictures": sheets(found.pictures),
        "filters": None,
        "layers": [],
        "excited": None,
        "order": [],
        "looked": None,
        "calibration": None,
        "findings": {"atlas": finding.replace(" %", "\u00a0%")},
        **colours(found.groups, len(embedded.classes)),
    }, arrays


def _arrays(embedded: Embedded, near: seeing.Nearest) -> Arrays:
    """Pack the pictures' classes and neighbours; the network was not asked for answers."""
    n, width = near.rows.shape
    names = {name: place for place, name in enumerate(dict.fromkeys(embedded.splits))}
    neighbours, distances = np.full((n, NEAR), -1, np.int32), np.full((n, NEAR), -1, np.float32)
    neighbours[:, :width], distances[:, :width] = near.rows, near.distances
    empty = np.zeros(0, np.int32)
    return {
        "label": embedded.labels.astype(np.int32),
        "predicted": np.full(n, -1, np.int32),
        "split": np.array([names[split] for split in embedded.splits], np.uint8),
        **{name: np.zeros((n, 1), np.uint16) for name in ("top", "share", "own")},
        "neighbours": neighbours,
        "distances": distances,
        "mistakes": empty,
        "doubts": empty,
        "suspects": empty,
    }


def _facts(found: Atlas) -> Iterator[tuple[str, str]]:
    source, vectors = found.source, found.embedded.vectors
    yield "Data", found.data.layout
    yield "Network", f"{shown(source.name)}, {vectors.shape[1]:,} activations before its classifier"
    yield "Preprocessing", source.preprocessing.describe()
    if source.notes:
        yield "Weights", " ".join(source.notes)


def _left_out(embedded: Embedded, kind: str) -> list[str]:
    if not embedded.unreadable:
        return []
    first = embedded.unreadable[0]
    return [f"{counted(len(embedded.unreadable), kind)} could not be read, the first: {first}."]
