"""Sounds: the choices that follow from them, their preprocessing, and their distortion."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from striate import sounds
from striate.data import Split
from striate.data.augmenting.distortion import Distortion, distort
from striate.data.batches import Pictures
from striate.data.preparation import spectrograms
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.spectrograms import Spectrograms
from striate.errors import UsageError, choose
from striate.images import PictureError, Stored
from striate.models import Architecture
from striate.sounds import Header, Sound

from .recipe import Recipe, default_epochs

LOOKED_AT = 2000
WINDOW = 0.032  # seconds of a frame; every half of it there is one
LONGEST = 4.0  # seconds that are heard, where nothing else is asked for
FASTEST = 16_000  # Hz: speech, and most of music, lies below its half


def facts(train: Split, given: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """Return the choices that the training sounds suggest: the usual rate, and a common length."""
    del given, architecture
    rows = np.linspace(0, len(train) - 1, min(LOOKED_AT, len(train))).astype(int)
    seen = [found for row in rows if (found := _header(train, int(row)))]
    rates = [found.rate for found in seen] or [FASTEST]
    lengths = [found.seconds for found in seen] or [1.0]
    # One in fifty is longer, and heard in part.
    tenths = math.ceil(10 * float(np.quantile(lengths, 0.98)))
    return {
        "epochs": _epochs(len(train)),
        "sample_rate": min(int(np.median(rates)), FASTEST),
        "seconds": min(max(tenths / 10, 0.2), LONGEST),
        "mels": 40,
        "normalise": "sound",
        "shift": 0.1,
        "speed": 0.15,
        # Little noise: much of it would hide the hiss that tells a 6 from an 8.
        "noise": 0.05,
        "tilt": 0.7,
    }


def unfitted(recipe: Recipe, architecture: Architecture) -> Spectrograms:
    """Return the preprocessing that the recipe asks for."""
    del architecture
    choose("normalisation of sounds", recipe.normalise, spectrograms.NORMALISATIONS)
    rate, seconds, mels = recipe.sample_rate, recipe.seconds, recipe.mels
    if rate is None or seconds is None or mels is None:
        raise UsageError("sounds need a sample rate, a length in seconds and a number of mel bands")
    window = 2 * max(8, round(rate * WINDOW / 2))
    return Spectrograms(
        rate=rate,
        length=max(window, round(rate * seconds)),
        window=window,
        hop=window // 2,
        mels=mels,
        high=rate / 2,
        normalise="none",
    )


def fitted(
    known: Preparation, recipe: Recipe, train: Pictures, architecture: Architecture
) -> Spectrograms:
    """Complete the preprocessing with what it takes from the training sounds, and only those."""
    del architecture
    assert isinstance(known, Spectrograms)
    if recipe.normalise == "dataset":
        return spectrograms.fitted(known, (batch.pixels for batch in train.all(256)))
    return dataclasses.replace(known, normalise=recipe.normalise)


class Augmented:
    """The random changes of training sounds that a recipe asks for."""

    def __init__(self, recipe: Recipe) -> None:
        self.how = Distortion(recipe.shift, recipe.speed, recipe.tilt, recipe.noise)

    def __call__(self, pixels: Tensor, rows: Tensor, *, seed: int, epoch: int) -> Tensor:
        return distort(pixels, rows, self.how, seed=seed, epoch=epoch)


def _header(split: Split, row: int) -> Header | None:
    """Return a sound's rate and length; None for one that is reported when it is read."""
    try:
        sound = split.pictures[row]
    except PictureError:
        return None
    if isinstance(sound, Sound):
        return Header(sound.rate, len(sound.samples) / sound.rate)
    return sounds.header(sound) if isinstance(sound, Path | bytes | Stored) else None


def _epochs(count: int) -> int:
    return min(60, max(15, default_epochs(20 * count)))
