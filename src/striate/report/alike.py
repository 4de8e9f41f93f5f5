"""Similar pictures, by features: nearest training pictures, and a map of all."""

import numpy as np
from numpy.typing import NDArray

from striate import seeing
from striate.errors import UsageError

from .gathered import Gathered, Opened
from .places import placed
from .thumbnails import thumbnails
from .views import looked_at, sentence


def add_neighbours(found: Gathered, opened: Opened, *, with_map: bool) -> None:
    """Find the most similar training pictures, and lay the split out on a map."""
    embedded = seeing.of_run(
        opened.run,
        opened.bundle,
        consent=opened.consent,
        data=opened.data,
        device=opened.device,
        workers=opened.workers,
        poll=opened.poll,
    )
    places = {
        (split, file): row
        for row, (split, file) in enumerate(zip(embedded.splits, embedded.files, strict=True))
    }
    rows = np.array([places[found.answers.split, file] for file in found.answers.files])
    vectors = embedded.vectors[rows]
    if found.answers.split != "train":
        _add_neighbours(found, opened, embedded, vectors)
    found.groups = seeing.class_groups(vectors, found.answers.labels, len(found.answers.classes))
    if with_map:
        _add_map(found, vectors)
    else:
        found.warnings.append("The map was left out, as asked.")


def _add_neighbours(
    found: Gathered, opened: Opened, embedded: seeing.Embedded, vectors: NDArray[np.float32]
) -> None:
    """Add the training pictures nearest to those that the page looks at closely."""
    train = embedded.take(embedded.rows("train"))
    queries = found.cam_of if len(found.cam_of) else looked_at(found.answers)
    near = seeing.nearest(vectors[queries], train.vectors, 3)
    rows = np.unique(near.rows)
    split = opened.split("train")
    names = {name: row for row, name in enumerate(split.names)}
    chosen = split.take(np.array([names[train.files[row]] for row in rows]))
    pictures = thumbnails(opened, chosen, found.pictures.shape[1])
    count = len(found.pictures)
    found.pictures = np.concatenate([found.pictures, pictures])
    found.labels = np.concatenate([found.labels, train.labels[rows]])
    found.files = [*found.files, *(train.files[row] for row in rows)]
    blank = np.full((len(rows), 3), -1)
    found.neighbours = np.concatenate([found.neighbours, blank])
    found.distances = np.concatenate([found.distances, blank * 1.0])
    width = near.rows.shape[1]
    found.neighbours[queries, :width] = count + np.searchsorted(rows, near.rows)
    found.distances[queries, :width] = near.distances


def _add_map(found: Gathered, vectors: NDArray[np.float32]) -> None:
    labels, pictures = found.answers.labels, found.pictures[: len(vectors)]
    try:
        found.placed = placed(vectors, labels, pictures, found.kind)
    except UsageError as error:
        found.warnings.append(sentence(f"no map: {error}"))
