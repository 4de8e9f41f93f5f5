"""Filters, feature maps and heat maps of a network, for the page."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from striate import devices, seeing
from striate.data import Split
from striate.data.batches import Pictures
from striate.errors import UsageError
from striate.seeing import Answers
from striate.seeing.featuremaps import Maps
from striate.seeing.layers import Layer

from .excited import excited
from .gathered import Gathered, Opened

LOOKED_AT = 240  # pictures with a map of where the network looked
SHOWN_MAPS = 10  # pictures with feature maps
MAP_SIDE = 56  # of a feature map on the page, at most
_BATCH = 32


def add_views(found: Gathered, opened: Opened, split: Split) -> None:
    """Look into the network: its first filters, its maps, and where it looked."""
    model, preparation = opened.bundle.model, opened.bundle.preprocessing
    if len(preparation.shape) != 3:
        found.warnings.append(
            f"Filters, feature maps and where it looked are shown of pictures and sounds, not of "
            f"{preparation.kind}."
        )
        return
    try:
        filters = seeing.filters(model, preparation.shape)
        found.filters = filters if filters.weights.shape[1] in (1, 3) else None
    except UsageError as error:
        found.warnings.append(sentence(f"no filters are shown: {error}"))
    try:
        layer = seeing.last(model, preparation.shape)
    except UsageError as error:
        found.warnings.append(sentence(str(error)))
        return
    found.maps_of = _examples(found.answers)
    with contextlib.closing(_pictures(opened, split, found.maps_of)) as pictures:
        values = next(_values(opened, pictures))
        found.maps = [_coarser(one) for one in seeing.maps(model, values)]
    if preparation.kind == "sounds":  # drawn with high notes on top
        found.maps = [one._replace(values=one.values[:, :, ::-1]) for one in found.maps]
    found.excited = excited(opened, split, found.maps)
    high, wide = preparation.shape[1:]
    found.frame = (high / max(high, wide), wide / max(high, wide))
    found.cam_of = looked_at(found.answers)
    _look(found, opened, split, layer)


def _examples(answers: Answers) -> NDArray[np.int64]:
    """Choose pictures for feature maps: the surest right answer of each of the first classes."""
    right = np.where(answers.wrong, -1.0, answers.confidence)
    rows = [
        int(np.flatnonzero(answers.labels == label)[right[answers.labels == label].argmax()])
        for label in np.unique(answers.labels)[:SHOWN_MAPS]
    ]
    return np.array(rows)


def looked_at(answers: Answers) -> NDArray[np.int64]:
    """Choose pictures for maps of where it looked: mistakes, doubts, doubted labels, and others."""
    suspects = seeing.likely_errors(answers.probabilities, answers.labels)
    lot = np.random.default_rng(0).permutation(len(answers.labels))
    wanted = [
        *answers.mistakes(LOOKED_AT // 2),
        *answers.doubts(LOOKED_AT // 4),
        *suspects[: LOOKED_AT // 8],
        *lot,
    ]
    return np.array(list(dict.fromkeys(int(row) for row in wanted))[:LOOKED_AT])


def _pictures(opened: Opened, split: Split, rows: NDArray[np.int64]) -> Pictures:
    return Pictures(split.take(rows), opened.bundle.preprocessing, workers=opened.workers)


def _values(opened: Opened, pictures: Pictures) -> Iterator[Tensor]:
    for batch in pictures.all(_BATCH):
        opened.poll()
        values = opened.bundle.preprocessing.values(batch.pixels.to(opened.device))
        yield devices.ordered(values)


def _coarser(one: Maps) -> Maps:
    """Average maps that are larger than the page shows them."""
    step = -(-max(one.values.shape[2:]) // MAP_SIDE)
    if step < 2:
        return one
    pooled = nn.functional.avg_pool2d(torch.from_numpy(one.values), step, ceil_mode=True)
    return one._replace(values=pooled.numpy())


def _look(found: Gathered, opened: Opened, split: Split, layer: Layer) -> None:
    model, other = opened.bundle.model, seeing.shuffled(opened.bundle.model)
    rows = found.cam_of
    predicted = torch.from_numpy(found.answers.predicted[rows])
    labels = torch.from_numpy(found.answers.labels[rows])
    maps, agreement, start = [], [], 0
    with contextlib.closing(_pictures(opened, split, rows)) as pictures:
        for values in _values(opened, pictures):
            part = slice(start, start + len(values))
            start += len(values)
            own = seeing.looked(
                model, values, predicted[part].to(opened.device), layer=layer.name, other=other
            )
            true = seeing.grad_cam(model, values, labels[part].to(opened.device), layer.name)
            maps.append(torch.stack([own.maps, true, own.shuffled], 1).float().cpu())
            agreement.append(own.agreement.cpu())
    found.cam = torch.cat(maps).numpy()
    if found.kind == "sounds":
        found.cam = found.cam[:, :, ::-1]
    found.cam_agreement = torch.cat(agreement).double().numpy()


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
