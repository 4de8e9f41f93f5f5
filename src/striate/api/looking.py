"""Data looked at before a training, and as a network sees them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate import data as sources
from striate import (
    devices,
    inspection,
)
from striate import report as reporting
from striate.data import Columns, Data
from striate.data.preparation.kinds import max_pixels
from striate.errors import DataError
from striate.inspection import Report
from striate.report import Atlas
from striate.seeing.embedding import Embedded
from striate.seeing.embedding import embed as embed_splits
from striate.seeing.networks import Source, network
from striate.seeing.placement import check as check_placing
from striate.seeing.placement import place as place_vectors
from striate.stopping import Poll, unheard
from striate.training import recipe as recipes
from striate.training import recipes as named
from striate.training.networks import architecture
from striate.training.preview import preview as draw_preview

from .given import columns_of


def inspect(
    data: Any,
    *,
    workers: int | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    max_megapixels: float = 50.0,
    poll: Poll = unheard,
) -> Report:
    """Look at data before training: counts, sizes, damage, duplicates, leaks, what is odd."""
    opened = sources.find(data, Columns(path_column, label_column))
    most = max_pixels(max_megapixels)
    return inspection.inspect(opened, workers=workers, max_pixels=most, poll=poll)


def preview(
    data: Any,
    *,
    model: Any = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **choices: Any,
) -> bytes:
    """Draw training pictures as the network sees them, plain and augmented: PNG."""
    recipes.check_names(choices, where="striate.preview")
    opened = sources.find(data, Columns(path_column, label_column))
    model, choices = named.applied(model, choices, opened.name)
    return draw_preview(opened, choices, architecture(model, choices, opened)[0])


def embed(
    data: Any,
    *,
    model: Path | str,
    weights: Path | str | None = None,
    place: bool = False,
    device: str = "auto",
    workers: int | None = None,
    strict: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    trust_code: bool = False,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Embedded:
    """Turn every picture of DATA into a vector: what a network's classifier is given.

    `model` is a run's folder, torchvision/NAME or timm/NAME, with published weights or those of a
    file. With `place` each gets its place on a map. `tell` is given lines for people.
    """
    if place:
        check_placing()
    source, opened = _asked(
        data, model, weights, trust_code, columns_of(data, path_column, label_column)
    )
    for note in (*source.notes, opened.layout, *opened.warnings):
        tell(note)
    found = embed_splits(
        source.model,
        source.preprocessing,
        opened.splits,
        opened.classes,
        device=devices.pick(device),
        workers=workers,
        strict=strict,
        poll=poll,
    )
    return dataclasses.replace(found, xy=place_vectors(found.vectors)) if place else found


def atlas(
    data: Any,
    *,
    model: Path | str,
    weights: Path | str | None = None,
    out: Path | str = "atlas.html",
    figures: Path | str | None = None,
    device: str = "auto",
    workers: int | None = None,
    strict: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    trust_code: bool = False,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Atlas:
    """Write the map of DATA as a network sees them: one HTML file, `path` of what is returned.

    `model` is a run's folder, torchvision/NAME or timm/NAME, with published weights or those of a
    file. A folder of pictures alone needs no classes. Into the folder `figures`, where one is
    named, goes the map as PNG and SVG. `tell` is given lines for people.
    """
    check_placing()
    source, opened = _asked(
        data, model, weights, trust_code, columns_of(data, path_column, label_column)
    )
    for note in (*source.notes, opened.layout, *opened.warnings):
        tell(note)
    found = reporting.write_atlas(
        Path(out).expanduser(),
        source,
        opened,
        device=devices.pick(device),
        workers=workers,
        strict=strict,
        drawn=Path(figures).expanduser() if figures else None,
        poll=poll,
    )
    for note in (*found.notes, *found.lines()):
        tell(note)
    return found


def _asked(
    data: Any, model: Path | str, weights: Path | str | None, trust_code: bool, columns: Columns
) -> tuple[Source, Data]:
    """Open a network and the data that it is asked about, which must be of its kind."""
    source = network(str(model), weights=str(weights) if weights else None, trust_code=trust_code)
    opened = sources.find_any(data, columns)
    taken = source.preprocessing.kind
    if opened.kind != taken:
        raise DataError(f"this network takes {taken}, and the data are {opened.kind}")
    return source, opened
