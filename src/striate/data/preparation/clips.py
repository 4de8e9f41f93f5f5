"""Clips as networks see them: frames spread evenly over time, each prepared as a picture is."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import videos
from striate.errors import DataError, UsageError
from striate.images import Stored

from .preprocessing import Preprocessing

SHOWN = 9  # frames in a drawing, three by three


@dataclass(frozen=True)
class Clips:
    """A clip -> frames uint8 (C, T, H, W) -> values float32; of one frame alone without T."""

    kind: ClassVar[str] = "clips"
    dtype: ClassVar[torch.dtype] = torch.uint8

    frames: int
    picture: Preprocessing  # of each frame

    def __post_init__(self) -> None:
        if type(self.frames) is not int or self.frames < 1:
            raise UsageError(f"a clip has 1 frame or more, not {self.frames!r}")
        if self.picture.normalise == "zca":
            raise UsageError("clips are not whitened: --normalise is dataset, picture or none")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the network's input: channels, frames where there are several, height, width."""
        channels, height, width = self.picture.shape
        return (channels, *([self.frames] if self.frames > 1 else []), height, width)

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of what `pixels` gives."""
        return self.shape

    def __call__(self, clip: Any) -> Tensor:
        """Return the values of one clip."""
        return self.values(self.pixels(clip)[None])[0]

    def pixels(self, clip: Any) -> Tensor:
        """Return a clip's frames in the network's size and colours, uint8 (C, T, H, W).

        A clip is a file, its bytes, or an array uint8 (T, H, W) or (T, H, W, 3).
        """
        if isinstance(clip, Path | bytes | Stored):
            found = videos.decode(clip, frames=self.frames, max_pixels=self.picture.max_pixels)
        else:
            array = _array(clip)
            found = [array[place] for place in videos.places(len(array), self.frames)]
        frames = [self.picture.pixels(np.ascontiguousarray(frame)) for frame in found]
        return torch.stack(frames, 1) if self.frames > 1 else frames[0]

    def values(self, batch: Tensor) -> Tensor:
        """Normalise frames (N, C, T, H, W), uint8 -> float32, on their device."""
        # A clip is normalised as one picture that is T times as high.
        return self.picture.values(batch.flatten(2, -2)).view(batch.shape)

    def image(self, pixels: Tensor) -> NDArray[np.uint8]:
        """Draw frames (C, T, H, W) row by row: nine where there are more, spread over the time."""
        if pixels.ndim == 3:
            return self.picture.image(pixels)
        chosen = videos.places(pixels.shape[1], min(SHOWN, pixels.shape[1]))
        drawn = [_edged(self.picture.image(pixels[:, place])) for place in chosen]
        columns = math.ceil(math.sqrt(len(drawn)))
        drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % columns)
        rows = [np.concatenate(drawn[i : i + columns], 1) for i in range(0, len(drawn), columns)]
        return np.concatenate(rows)

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON can hold it."""
        return {"frames": self.frames, "picture": self.picture.to_json()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave; every key must be there and no other."""
        if set(document) != {"frames", "picture"} or not isinstance(document["picture"], dict):
            raise DataError("the preprocessing of clips has unknown or missing keys")
        try:
            return cls(document["frames"], Preprocessing.from_json(document["picture"]))
        except UsageError as error:
            raise DataError(f"the preprocessing of clips cannot be used: {error}") from error

    def describe(self) -> str:
        """Say in one line what happens to a clip."""
        count = "the middle frame" if self.frames == 1 else f"{self.frames} frames over its time"
        return f"{count}, each: {self.picture.describe()}"


def fitted(preprocessing: Clips, **fields: Any) -> Clips:
    """Return the preprocessing with these fields of its pictures, mean and std say."""
    return dataclasses.replace(
        preprocessing, picture=dataclasses.replace(preprocessing.picture, **fields)
    )


def _edged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a line of grey, a pixel wide, to the right of a frame and below it."""
    widths = ((0, 1), (0, 1), (0, 0))[: frame.ndim]
    return np.pad(frame, widths, constant_values=128)


def _array(clip: Any) -> NDArray[np.uint8]:
    shape = np.shape(clip)
    plain = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if not isinstance(clip, np.ndarray) or clip.dtype != np.uint8 or not plain or 0 in shape:
        raise UsageError(
            f"a {type(clip).__name__} is no clip: give a Path, the bytes of a file, or an array "
            "uint8 (T, H, W) or (T, H, W, 3)"
        )
    return clip
