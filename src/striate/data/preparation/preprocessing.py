"""The one object that turns a picture into what a network sees; it is saved with the network.

Each number of the result depends on its own picture only, to the last bit: on no batch size, batch
neighbour, number of threads or memory format. So every sum here is of whole numbers, hence exact in
any order, and all other arithmetic is elementwise, one rounding an operation.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from striate import devices, images, ranks
from striate.errors import DataError, UsageError, choose
from striate.images import fitting
from striate.images.fitting import FILTERS, FITS, Array, Box, Fitting

from .whitening import Zca as Zca

Picture = Image.Image | np.ndarray | Tensor | Path | bytes | images.Stored

NORMALISATIONS = ("dataset", "picture", "zca", "none")


_TOGETHER = 1 << 17  # pixels that are added up at once


def _added(totals: list[int], more: Tensor) -> list[int]:
    """Add whole numbers (C,) to those before; Python's have no limit."""
    numbers = [int(number) for number in more.tolist()]
    return [a + b for a, b in zip(totals or [0] * len(numbers), numbers, strict=True)]


class Moments:
    """Mean and standard deviation of each channel, of any number of pictures in one pass."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[int] = []
        self._squares: list[int] = []

    def add(self, batch: Tensor) -> None:
        """Count pixels (N, C, H, W), uint8.

        The sums are whole numbers, and exact in float64, in which they take a fifth of the time;
        some pictures at once, as fit into a processor's cache.
        """
        channels = batch.shape[1]
        self._count += batch.numel() // channels
        for some in batch.cpu().split(max(1, _TOGETHER // max(1, batch.shape[1:].numel()))):
            values = some.transpose(0, 1).flatten(1).double()  # (C, N * H * W)
            self._sums = _added(self._sums, values.sum(1))
            self._squares = _added(self._squares, torch.linalg.vecdot(values, values))

    def share(self) -> None:
        """Count what other processes have counted, too."""
        every = ranks.each((self._count, self._sums, self._squares))
        self._count = sum(count for count, _, _ in every)
        self._sums = [sum(column) for column in zip(*(s for _, s, _ in every if s), strict=True)]
        self._squares = [sum(column) for column in zip(*(s for *_, s in every if s), strict=True)]

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel, as a share of white."""
        self._check()
        return tuple(total / (255 * self._count) for total in self._sums)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over all pixels (not n - 1), as a share of white."""
        self._check()
        n = self._count
        pairs = zip(self._sums, self._squares, strict=True)
        return tuple(math.sqrt(n * square - total**2) / (255 * n) for total, square in pairs)

    def _check(self) -> None:
        if not self._count:
            raise DataError("there are no pictures to take the mean of")


@dataclass(frozen=True)
class Preprocessing:
    """Size, colour and normalisation: a picture -> pixels uint8 (C, H, W) -> values float32."""

    kind: ClassVar[str] = "pictures"
    dtype: ClassVar[torch.dtype] = torch.uint8

    size: tuple[int, int]  # height and width, in pixels
    channels: int = 3  # 1 is grey, 3 is RGB
    fit: str = "crop"  # crop the longer side, stretch to the size, or pad with black
    share: float = 1.0  # of each side of the resized picture that a crop keeps
    filter: str = "bilinear"  # each is antialiased, but for nearest
    normalise: str = "dataset"
    mean: tuple[float, ...] = (0.0,)  # of each channel, or of all, as shares of white
    std: tuple[float, ...] = (1.0,)  # a constant channel's 0 divides as 1
    zca: Zca | None = None
    max_pixels: int = images.MAX_PIXELS  # of a file, before it is resized

    def __post_init__(self) -> None:
        choose("fit", str(self.fit), FITS)
        choose("filter", str(self.filter), FILTERS)
        choose("normalisation", str(self.normalise), NORMALISATIONS)
        _check_numbers(self)
        _check_zca(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the network's input: channels, height, width."""
        return self.channels, *self.size

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of what `pixels` gives."""
        return self.shape

    def __call__(self, picture: Picture) -> Tensor:
        """Return the values (C, H, W) of one picture."""
        return self.values(self.pixels(picture)[None])[0]

    def pixels(self, picture: Picture) -> Tensor:
        """Return a picture in the network's size and colours, uint8 (C, H, W).

        Arrays are (H, W) or (H, W, 1 to 4), tensors (H, W) or (1 to 4, H, W); `images.from_array`
        says which numbers they hold.
        """
        array = as_array(picture, self.max_pixels, least=self.fitting.least)
        if self.channels == 1 and array.ndim == 3:
            array = fitting.grey(array)
        planes = self._fitted(array).expand(self.channels, -1, -1)
        # Copied by NumPy in half of torch's time.
        return torch.from_numpy(np.ascontiguousarray(planes.numpy()))

    def values(self, batch: Tensor) -> Tensor:
        """Normalise pixels (N, C, H, W), uint8 -> float32, on their device."""
        if self.normalise in ("picture", "zca") and batch.device.type == "mps":
            return self.values(batch.cpu()).to(batch.device)  # MPS has no float64
        if self.normalise == "picture":
            return _standardised(batch)
        if self.zca is not None:
            return self.zca(batch)
        return self._scaled(batch)

    def image(self, pixels: Tensor) -> NDArray[np.uint8]:
        """Return pixels (C, H, W) as people draw them: (H, W) or (H, W, 3)."""
        array: NDArray[np.uint8] = pixels.permute(1, 2, 0).numpy()
        return array[:, :, 0] if array.shape[2] == 1 else array

    def to_json(self) -> dict[str, Any]:
        """Return all but the whitening, which is too large, as JSON can hold it."""
        document = {key: getattr(self, key) for key in _KEYS}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in document.items()}

    @classmethod
    def from_json(cls, document: dict[str, Any], zca: Zca | None = None) -> Self:
        """Read what `to_json` gave; every key must be there and no other."""
        if set(document) != set(_KEYS):
            odd = ", ".join(sorted(map(str, set(document) ^ set(_KEYS))))
            raise DataError(f"the preprocessing has unknown or missing keys: {odd}")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items()
        }
        try:
            return cls(**fields, zca=zca)
        except UsageError as error:
            raise DataError(f"the preprocessing cannot be used: {error}") from error

    def describe(self) -> str:
        """Say in one line what happens to a picture."""
        height, width = self.size
        share = "" if self.share == 1 else f" {self.share:g}"
        colour = "grey" if self.channels == 1 else "RGB"
        mean, std = (" ".join(f"{x:.2f}" for x in numbers) for numbers in (self.mean, self.std))
        normalised = {
            "dataset": f"dataset mean {mean}, std {std}",
            "picture": "each picture to mean 0, std 1",
            "zca": "ZCA-whitened",
            "none": "values in [0, 1]",
        }[self.normalise]
        return f"{self.fit}{share} to {height}x{width} ({self.filter}), {colour}, {normalised}"

    @property
    def fitting(self) -> Fitting:
        """How a picture is brought to the network's size and colours."""
        return Fitting(self.size, self.channels, self.fit, self.share, self.filter)

    def _fitted(self, array: Array) -> Tensor:
        height, width = given = array.shape[:2]
        if self.fit == "pad":
            top, left, down, across = fitting.inside(given, self.size)
            inner = _resized(array, (0, 0, height, width), (down, across), self.filter)
            canvas = inner.new_zeros(len(inner), *self.size)
            canvas[:, top : top + down, left : left + across] = inner
            return canvas
        whole = (0, 0, height, width)
        box = fitting.crop(given, self.size, self.share) if self.fit == "crop" else whole
        return _resized(array, box, self.size, self.filter)

    def _scaled(self, batch: Tensor) -> Tensor:
        known = self.normalise == "dataset"
        mean, std = (self.mean, self.std) if known else ((0.0,), (1.0,))
        # Divided by a tensor: CUDA multiplies by the rounded reciprocal of a plain number.
        shift = devices.numbers([255 * m for m in mean], batch.device, torch.float32)
        scale = devices.numbers([255 * (s or 1.0) for s in std], batch.device, torch.float32)
        # In place: to take new memory twice would take as long as the arithmetic.
        return batch.float().sub_(shift.view(-1, 1, 1)).div_(scale.view(-1, 1, 1))


_KEYS = tuple(f.name for f in dataclasses.fields(Preprocessing) if f.name != "zca")


def _resized(array: Array, box: Box, size: tuple[int, int], filter: str) -> Tensor:
    """Resize a part of a picture to planes (C, height, width): antialiased, but for nearest.

    Torch sees the part alone; for Pillow the pixels beside it still count in the filter.
    """
    part = fitting.whole_pixels(box, filter)
    if part is None:
        return _planes(fitting.by_pillow(array, box, size, filter))
    top, left, down, across = part
    # Copied by NumPy: torch would copy a part row by pixel.
    planes = _planes(np.ascontiguousarray(array[top : top + down, left : left + across]))
    if planes.shape[1:] == size:
        return planes
    return functional.interpolate(planes[None], size, mode=filter, antialias=True)[0]


def _planes(array: Array) -> Tensor:
    found = torch.from_numpy(array)
    return found.permute(2, 0, 1) if found.ndim == 3 else found[None]  # (C, H, W)


def _standardised(batch: Tensor) -> Tensor:
    """Each picture to mean 0 and std 1 over all its D pixels, std at least 1 / sqrt(D) levels.

    As TensorFlow's per_image_standardization on pixels in 0 to 255.
    """
    size = batch[0].numel() if len(batch) else 1
    total = batch.sum((1, 2, 3), dtype=torch.int64).double()
    squares = batch.int().square().sum((1, 2, 3), dtype=torch.int64).double()
    count = torch.full_like(total, size)
    mean = total / count
    std = (squares / count - mean * mean).clamp(min=0).sqrt()
    std = torch.maximum(std, 1 / count.sqrt())
    return ((batch.double() - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)).float()


def as_array(
    picture: Picture, max_pixels: int = images.MAX_PIXELS, *, least: int | None = None
) -> Array:
    """Return any picture, decoded and upright, as `images.decode` does: (H, W) or (H, W, 3) RGB."""
    if isinstance(picture, Path | bytes | images.Stored):
        return _of_file(picture, max_pixels, least)
    if isinstance(picture, Image.Image):
        return np.array(images.upright(picture, max_pixels=max_pixels))
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        return images.from_array(picture)
    raise UsageError(
        f"a {type(picture).__name__} is no picture: give a Path, the bytes of a file, "
        "a Pillow image, a NumPy array or a tensor"
    )


def _of_file(picture: Path | bytes | images.Stored, max_pixels: int, least: int | None) -> Array:
    try:
        return images.decode(picture, max_pixels=max_pixels, least=least)
    except images.TooLargeError as error:
        reason = f"{error.reason} (--max-megapixels sets the limit)"
        raise images.TooLargeError(error.path, reason) from error


def _from_tensor(picture: Tensor) -> Array:
    """Return a tensor (H, W) or (C, H, W) as the array of its pixels would be."""
    if not (picture.ndim == 2 or (picture.ndim == 3 and 1 <= picture.shape[0] <= 4)):
        raise UsageError(
            f"a tensor {tuple(picture.shape)} is no picture: give (H, W) or (C, H, W) with 1 to 4 "
            "channels (arrays are (H, W, C))"
        )
    plain = picture.detach().cpu()
    if plain.is_floating_point():
        plain = plain.double()  # NumPy has no bfloat16
    return images.from_array((plain.permute(1, 2, 0) if plain.ndim == 3 else plain).numpy())


def _check_numbers(given: Preprocessing) -> None:
    sides = given.size if isinstance(given.size, tuple) else ()
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise UsageError(f"size is (height, width) in pixels, not {given.size!r}")
    if type(given.max_pixels) is not int or not sides[0] * sides[1] <= given.max_pixels:
        raise UsageError(f"{sides[0]} x {sides[1]} pixels are more than {given.max_pixels!r}")
    if given.channels not in (1, 3) or type(given.channels) is not int:
        raise UsageError(f"channels is 1 (grey) or 3 (RGB), not {given.channels!r}")
    if (
        not _numbers((given.share,))
        or not 0 < given.share <= 1
        or not (given.fit == "crop" or given.share == 1)
    ):
        raise UsageError(f"share is above 0 and at most 1, and 1 but for crop, not {given.share!r}")
    for name, numbers in (("mean", given.mean), ("std", given.std)):
        if not _numbers(numbers) or len(numbers) not in (1, given.channels):
            raise UsageError(f"{name} has 1 or {given.channels} finite numbers, not {numbers!r}")
    if min(given.std) < 0:
        raise UsageError(f"std is 0 or more, not {given.std!r}")


def _numbers(given: object) -> bool:
    return isinstance(given, tuple) and all(
        type(x) in (int, float) and math.isfinite(x) for x in given
    )


def _check_zca(given: Preprocessing) -> None:
    if (given.normalise == "zca") != (given.zca is not None):
        raise UsageError("a whitening is given with normalise='zca', and only then")
    features = given.channels * given.size[0] * given.size[1]
    if given.zca is not None and len(given.zca.offset) != features:
        raise UsageError(
            f"the whitening is for {len(given.zca.offset)} features, a picture has {features}"
        )
