"""Clips: the choices that follow from them, their preprocessing, and their augmentation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from striate import videos
from striate.data import Split
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.batches import Pictures
from striate.data.preparation import clips
from striate.data.preparation.clips import Clips
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.survey import Survey
from striate.data.splits import is_stored
from striate.decoding import Failed, ahead
from striate.errors import UsageError
from striate.models import Architecture

from . import pictures
from .recipe import Recipe

LOOKED_AT = 32  # in each, a frame is decoded
FRAMES = 16
LARGEST = 112  # pixels a side, as in Tran et al. 2018


def facts(train: Split, given: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """Return the choices that the training clips suggest: frames, size and colour."""
    frames, seen = _survey(train)
    found = pictures.suggested(seen, len(train), given, architecture)
    still = {"flip": False, "crop_padding": 0, "rotate": 0.0, "zoom": 0.0}
    # What moves to the left, mirrored moves to the right: nothing that changes a motion by default.
    size = found["size"] if given.get("size") else min(found["size"], LARGEST)
    return {**found, **still, "size": size, "frames": min(frames, FRAMES), "epochs": _epochs(train)}


def unfitted(recipe: Recipe, architecture: Architecture) -> Clips:
    """Return the part of preprocessing that is known before a clip is read."""
    if recipe.frames is None:
        raise UsageError("clips need a number of frames")
    return Clips(recipe.frames, pictures.unfitted(recipe, architecture))


def fitted(
    known: Preparation, recipe: Recipe, train: Pictures, architecture: Architecture
) -> Clips:
    """Complete the preprocessing with what it takes from the training clips, and only those."""
    assert isinstance(known, Clips)
    if recipe.normalise == "zca":
        raise UsageError(
            "clips are not whitened: --normalise is dataset, picture, imagenet or none"
        )
    fields = pictures.normalisation(known.picture, recipe, train, architecture)
    return clips.fitted(known, **fields)


class Augmented:
    """The random changes of training clips that a recipe asks for: the same in all their frames."""

    def __init__(self, recipe: Recipe) -> None:
        whole = pictures.augmentation(recipe)
        names = ("brightness", "contrast", "saturation", "hue")
        self.colours = Augmentation(**{name: getattr(whole, name) for name in names})
        off: dict[str, Any] = dict.fromkeys(names, 0.0) | {"policy": "none"}
        self.places = dataclasses.replace(whole, **off)

    def __call__(self, pixels: Tensor, rows: Tensor, *, seed: int, epoch: int) -> Tensor:
        shape, how = pixels.shape, {"seed": seed, "epoch": epoch}
        # Frames as so many channels are moved together; as one high picture they are coloured so.
        moved = augment(pixels.flatten(1, -3), rows, self.places, **how).view(shape)
        return augment(moved.flatten(2, -2), rows, self.colours, **how).view(shape)


def _survey(train: Split) -> tuple[int, Survey]:
    """Return the usual number of frames, and their size and colour."""
    given = train.pictures
    if isinstance(given, np.ndarray):  # (N, T, H, W) or (N, T, H, W, C)
        grey = given.ndim == 4 or given.shape[4] == 1
        return given.shape[1], Survey(given.shape[2], given.shape[3], grey)
    rows = np.linspace(0, len(train) - 1, min(LOOKED_AT, len(train))).astype(int).tolist()
    # In a guarded process, as foreign bytes are always read.
    (found,) = ahead(_look, given, [rows], 1, guarded=is_stored(given))
    seen = np.array([looks for looks in found if not isinstance(looks, Failed)])
    if not len(seen):
        return FRAMES, Survey(64, 64, False)
    frames, height, width = np.median(seen[:, :3], axis=0).astype(int).tolist()
    return frames, Survey(height, width, bool(seen[:, 3].all()))


def _look(clip: Any) -> tuple[int, int, int, int]:
    """Return the number of frames, height, width, and whether the middle frame is grey."""
    if isinstance(clip, np.ndarray):
        count, middle = len(clip), clip[len(clip) // 2]
    else:
        count, middle = videos.header(clip).frames, videos.decode(clip, frames=1)[0]
    grey = middle.ndim == 2 or bool((middle == middle[:, :, :1]).all())
    return count, middle.shape[0], middle.shape[1], grey


def _epochs(train: Split) -> int:
    return min(60, max(4, 15_000 // len(train)))
