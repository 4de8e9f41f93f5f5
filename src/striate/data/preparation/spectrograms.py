"""Sounds as networks see them: log-mel spectrograms, computed the same in any batch.

The same to the last bit, as pictures are: the Fourier transform is a product of whole numbers whose
sums stay below 2**53, hence exact in any order; all that follows is elementwise, in a fixed order,
one rounding an operation, and the logarithm is made of such operations.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices, sounds
from striate.errors import DataError, UsageError, choose
from striate.images import Stored
from striate.sounds import Sound

NORMALISATIONS = ("dataset", "sound", "none")
# Of 1, what windowed sines are counted in. With 15 bits of a sample, and a Hann window that sums to
# 11 bits at most, sums stay within 52.
_FINE = 2**26
_LONGEST = 2**12  # samples in a window
# Power below which all is silence, of a full scale sine's 1/4: the noise of rounding to 16 bits.
FLOOR = 1e-9
_STEPS = 2**12  # a decibel's parts in sums over a data set


@dataclass(frozen=True)
class Spectrograms:
    """A sound -> waveform int16 (T,) -> values float32 (1, M, F): M mel bands in F frames.

    Bands are triangles with their peaks of height 1 equally spaced in HTK's mel,
    2595 log10(1 + f / 700 Hz), over a Hann window's power; values are decibels, normalised.
    """

    kind: ClassVar[str] = "sounds"
    dtype: ClassVar[torch.dtype] = torch.int16

    rate: int = 8000  # samples a second
    length: int = (
        8000  # samples that are heard: the loudest of a longer sound, silence round others
    )
    window: int = 256  # samples of a frame
    hop: int = 128  # samples from frame to frame
    mels: int = 40
    low: float = 50.0  # Hz, where the lowest band begins
    high: float = 4000.0  # Hz, where the highest ends
    depth: float = 50.0  # decibels below its loudest band where a sound's silence begins
    normalise: str = "sound"
    mean: tuple[float, ...] = (0.0,)  # of each band, or of all, in decibels
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        choose("normalisation of sounds", str(self.normalise), NORMALISATIONS)
        for name in ("rate", "length", "window", "hop", "mels"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise UsageError(f"{name} is a whole number above 0, not {getattr(self, name)!r}")
        if not self.window <= min(self.length, _LONGEST):
            raise UsageError(
                f"a frame has {self.window} samples: at most {min(self.length, _LONGEST)} here"
            )
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise UsageError(
                f"bands lie in 0 to {self.rate / 2:g} Hz, not from {self.low:g} to {self.high:g}"
            )
        if not 0 < self.depth <= 200:
            raise UsageError(f"depth lies in 0 to 200 decibels, above 0, not {self.depth!r}")
        _check_moments(self)
        filters(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the network's input: one channel, mel bands, frames."""
        return 1, self.mels, 1 + (self.length - self.window) // self.hop

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of what `pixels` gives."""
        return (self.length,)

    def __call__(self, sound: Sound | Path | bytes | Stored) -> Tensor:
        """Return the values (1, M, F) of one sound."""
        return self.values(self.pixels(sound)[None])[0]

    def pixels(self, sound: Sound | Path | bytes | Stored) -> Tensor:
        """Return a sound's waveform at the rate and in the length of the network, int16 (T,)."""
        if isinstance(sound, Sound):
            samples = sounds.waveform(sound, rate=self.rate)
        elif isinstance(sound, Path | bytes | Stored):
            samples = sounds.decode(sound, rate=self.rate)
        else:
            raise UsageError(
                f"a {type(sound).__name__} is no sound: give a Path, the bytes of a WAV file, or "
                "striate.sounds.Sound(samples, rate)"
            )
        return torch.from_numpy(sounds.placed(samples, self.length))

    def values(self, batch: Tensor) -> Tensor:
        """Return normalised decibels (N, 1, M, F), float32, of waveforms (N, T) on their device."""
        if batch.device.type == "mps":
            return self.values(batch.cpu()).to(batch.device)  # MPS has no float64
        levels = self.decibels(batch)
        if self.normalise == "sound":
            return _standardised(levels).float()[:, None]
        if self.normalise == "none":
            return levels.float()[:, None]
        mean, std = (
            devices.numbers(m, levels.device, levels.dtype).view(-1, 1)
            for m in (self.mean, self.std)
        )
        return ((levels - mean) / torch.where(std == 0, 1.0, std)).float()[:, None]

    def decibels(self, batch: Tensor) -> Tensor:
        """Return the levels (N, M, F), float64 decibels of full scale, of waveforms (N, T)."""
        frames = batch.unfold(1, self.window, self.hop)  # (N, F, window)
        real, imaginary = _products(frames, self).chunk(2, dim=2)
        power = (real * real + imaginary * imaginary) * _unit(self.window)
        total = torch.zeros_like(power[:, :, :1]).expand(-1, -1, self.mels)
        # A sum in a fixed order: a product of matrices would choose its own for each batch size.
        for weights, places in filters(self):
            total = total + power[:, :, places.to(batch.device, non_blocking=True)] * weights.to(
                batch.device, non_blocking=True
            )
        levels = _log2(total + FLOOR) * (10 * math.log10(2))
        loudest = levels.amax((1, 2), keepdim=True) if len(levels) else levels
        return torch.maximum(levels, loudest - self.depth).transpose(1, 2)

    def image(self, pixels: Tensor) -> NDArray[np.uint8]:
        """Draw a waveform's spectrogram, high notes on top and loud ones bright: (M, F, 3)."""
        from matplotlib import colormaps

        levels = self.decibels(pixels[None])[0].numpy()
        shares = (levels - levels.min()) / max(np.ptp(levels), 1.0)
        drawn = colormaps["magma"](shares[::-1], bytes=True)[:, :, :3]
        return np.ascontiguousarray(drawn)

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON can hold it."""
        document = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in document.items()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave; every key must be there and no other."""
        known = {f.name for f in dataclasses.fields(cls)}
        if set(document) != known:
            odd = ", ".join(sorted(map(str, set(document) ^ known)))
            raise DataError(f"the preprocessing of sounds has unknown or missing keys: {odd}")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items()
        }
        try:
            return cls(**fields)
        except UsageError as error:
            raise DataError(f"the preprocessing of sounds cannot be used: {error}") from error

    def describe(self) -> str:
        """Say in one line what happens to a sound."""
        normalised = {
            "dataset": "each band by the data set's mean and std",
            "sound": "each sound to mean 0, std 1",
            "none": "decibels",
        }[self.normalise]
        milliseconds = 1000 / self.rate
        return (
            f"{self.length / self.rate:g} s at {self.rate} Hz, {self.mels} mel bands of "
            f"{self.low:g} to {self.high:g} Hz, frames of {self.window * milliseconds:g} ms every "
            f"{self.hop * milliseconds:g} ms, {normalised}"
        )


def fitted(preprocessing: Spectrograms, batches: Iterable[Tensor]) -> Spectrograms:
    """Complete the normalisation with each band's moments over waveforms, (N, T) a batch."""
    count = 0
    sums, squares = [0] * preprocessing.mels, [0] * preprocessing.mels
    for batch in batches:
        steps = (preprocessing.decibels(batch) * _STEPS).round().long()  # (N, M, F)
        count += steps.shape[0] * steps.shape[2]
        sums = [a + b for a, b in zip(sums, steps.sum((0, 2)).tolist(), strict=True)]
        more = steps.square().sum((0, 2)).tolist()
        squares = [a + b for a, b in zip(squares, more, strict=True)]
    if not count:
        raise DataError("there are no sounds to take the mean of")
    pairs = list(zip(sums, squares, strict=True))
    mean = tuple(sum / (count * _STEPS) for sum, _ in pairs)
    std = tuple(math.sqrt(count * square - sum**2) / (count * _STEPS) for sum, square in pairs)
    return dataclasses.replace(preprocessing, normalise="dataset", mean=mean, std=std)


def hertz(mels: float) -> float:
    """Return the frequency of a place on HTK's mel scale.

    >>> round(hertz(1000), 1)
    1000.0
    """
    return 700.0 * (10 ** (mels / 2595.0) - 1)


def mels_of(frequency: float) -> float:
    """Return the place of a frequency on HTK's mel scale.

    >>> round(mels_of(1000), 1)
    1000.0
    """
    return 2595.0 * math.log10(1 + frequency / 700.0)


@functools.lru_cache(8)
def filters(given: Spectrograms) -> list[tuple[Tensor, Tensor]]:
    """Return the bands' triangles, as many terms as the widest has: weights (M,), bins (M,)."""
    ends = np.linspace(mels_of(given.low), mels_of(given.high), given.mels + 2)
    edges = np.array([hertz(m) for m in ends])
    bins = np.arange(given.window // 2 + 1) * (given.rate / given.window)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.minimum(rising, falling).clip(0)  # (M, bins)
    empty = np.flatnonzero(weights.max(1) == 0)
    if len(empty):
        raise UsageError(
            f"{given.mels} mel bands are too many for frames of {given.window} samples: no "
            f"frequency falls into band {empty[0] + 1} of them"
        )
    widest = int((weights > 0).sum(1).max())
    order = np.argsort(weights == 0, axis=1, kind="stable")[:, :widest]  # (M, widest)
    chosen = np.take_along_axis(weights, order, 1)
    return [(torch.from_numpy(chosen[:, i]), torch.from_numpy(order[:, i])) for i in range(widest)]


@functools.lru_cache(8)
def _table(given: Spectrograms) -> Tensor:
    """Return windowed cosines and sines as whole numbers in float64: (window, 2 * bins)."""
    times = np.arange(given.window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * times / given.window)
    angles = (2 * np.pi / given.window) * np.outer(times, np.arange(given.window // 2 + 1))
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return torch.from_numpy(np.rint(hann[:, None] * waves * _FINE))


def waves(given: Spectrograms) -> Tensor:
    """Return windowed cosines and sines, float64 (window, 2 * bins): a full sine's power is 1/4."""
    return _table(given) / (_FINE * (given.window / 2))


def bands(given: Spectrograms) -> Tensor:
    """Return the bands' triangles as one matrix, float64 (bins, M)."""
    found = torch.zeros(given.window // 2 + 1, given.mels, dtype=torch.float64)
    for weights, places in filters(given):
        found[places, torch.arange(given.mels)] += weights
    return found


def _products(frames: Tensor, given: Spectrograms) -> Tensor:
    """Return real and imaginary parts (N, F, 2 * bins) of frames (N, F, window), exactly."""
    return frames.double() @ _table(given).to(frames.device, non_blocking=True)


def _unit(window: int) -> float:
    """Return what power is counted in: a sine of full scale has 1/4; a Hann window sums to half."""
    return float((1 / (2**15 * _FINE * (window / 2))) ** 2)


def _log2(x: Tensor) -> Tensor:
    """Return the base-2 logarithm of positive float64 numbers, of operations that round once each.

    torch.log's vector code and its code for remainders may differ in the last bit. With
    s = (m - 1) / (m + 1), ln m = 2 (s + s^3 / 3 + s^5 / 5 + ...), here for m in [0.7, 1.42).
    """
    mantissa, exponent = torch.frexp(x)  # x = mantissa * 2**exponent, mantissa in [0.5, 1)
    small = mantissa < math.sqrt(0.5)
    mantissa = torch.where(small, mantissa * 2, mantissa)
    exponent = torch.where(small, exponent - 1, exponent)
    s = (mantissa - 1) / (mantissa + 1)
    square = s * s
    series = torch.full_like(s, 1 / 17)
    for k in (15, 13, 11, 9, 7, 5, 3, 1):
        series = series * square + 1 / k
    return exponent + series * s * (2 / math.log(2))


def _standardised(levels: Tensor) -> Tensor:
    """Each sound's levels (N, M, F) to mean 0 and std 1, std at least a decibel; sums are exact."""
    steps = (levels * _STEPS).round().long()
    count = steps[0].numel() if len(steps) else 1
    total = steps.sum((1, 2), keepdim=True).double()
    squares = steps.square().sum((1, 2), keepdim=True).double()
    mean = total / count
    variance = (squares / count - mean * mean).clamp(min=0)
    std = variance.sqrt().clamp(min=_STEPS)
    return (steps.double() - mean) / std


def _check_moments(given: Spectrograms) -> None:
    for name in ("mean", "std"):
        numbers = getattr(given, name)
        whole = isinstance(numbers, tuple) and len(numbers) in (1, given.mels)
        if not whole or not all(type(x) in (int, float) and math.isfinite(x) for x in numbers):
            raise UsageError(f"{name} has 1 or {given.mels} finite numbers, not {numbers!r}")
    if min(given.std) < 0:
        raise UsageError(f"std is 0 or more, not {given.std!r}")
