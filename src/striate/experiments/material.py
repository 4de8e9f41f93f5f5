"""Subsets of the named data sets, the same ones each time."""

import dataclasses
import functools

import numpy as np

from striate import data as sources
from striate.data import Data

WHOLE = 10**9


@functools.cache
def whole(name: str) -> Data:
    """Open data by name; once, as reading and checking takes seconds."""
    return sources.find(name)


def part(name: str, train: int = WHOLE, test: int = WHOLE) -> Data:
    """Keep so many examples of each split, drawn once and for all."""
    return taken(whole(name), {"train": train, "test": test})


def taken(data: Data, counts: dict[str, int]) -> Data:
    """Keep so many examples of each split that is named, all of the others."""
    splits = {}
    for number, (name, split) in enumerate(data.splits.items()):
        order = np.random.default_rng(number).permutation(len(split))
        splits[name] = split.take(np.sort(order[: counts.get(name, len(split))]))
    return dataclasses.replace(data, splits=splits)
