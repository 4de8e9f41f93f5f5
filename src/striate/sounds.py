"""Files -> waveforms: the one place that decodes a sound."""

import contextlib
import math
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import PictureError, Stored, opened

SUFFIXES = frozenset({".wav", ".wave"})
# Of all channels together: 17 minutes in stereo at 48 kHz.
MAX_SAMPLES = 100_000_000
# The parts of a ratio of rates: 44.1 to 48 kHz is 147 to 160. Odder ones are met to a thousandth.
_LARGEST_FACTOR = 1000


@dataclass(frozen=True, eq=False)
class Sound:
    """A waveform in memory: samples (T,) or (T, channels), int16, or floats in [-1, 1]."""

    samples: NDArray[Any]
    rate: int  # samples a second, in Hz

    def __post_init__(self) -> None:
        shape, kind = np.shape(self.samples), np.asarray(self.samples).dtype
        if len(shape) not in (1, 2) or 0 in shape or not (kind == np.int16 or kind.kind == "f"):
            raise UsageError(
                f"samples of {kind} {shape} are no sound: give int16, or floats in [-1, 1], "
                "(T,) or (T, channels)"
            )
        if type(self.rate) is not int or self.rate < 1:
            raise UsageError(f"a sound's rate is a whole number of Hz, not {self.rate!r}")


class Header(NamedTuple):
    """What a file says of itself."""

    rate: int  # Hz
    seconds: float


def is_sound(path: Any) -> bool:
    """Tell by its name whether a file should be a sound; hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def decode(source: Path | bytes | Stored, *, rate: int) -> NDArray[np.int16]:
    """Return the waveform (T,) of a WAV file or of its bytes: one channel, `rate` samples a second.

    PCM of 8, 16, 24 or 32 bits and any number of channels, of which the mean is taken; 16 bits at
    the wanted rate come as they are. Every failure is one PictureError.
    """
    with _reading(source) as (file, name):
        sound = _samples(file, name)
        return waveform(sound, rate=rate)


def header(source: Path | bytes | Stored) -> Header | None:
    """Return rate and length of a WAV file, without its samples; None if it is bad."""
    with contextlib.suppress(PictureError), _reading(source) as (file, _):
        return Header(file.getframerate(), file.getnframes() / file.getframerate())
    return None


def waveform(sound: Sound, *, rate: int) -> NDArray[np.int16]:
    """Return a sound as one channel (T,) at `rate` samples a second, 16 bits."""
    samples = np.asarray(sound.samples)
    if samples.dtype == np.int16 and samples.ndim == 1 and sound.rate == rate:
        return np.ascontiguousarray(samples)
    scale = 1.0 if samples.dtype == np.int16 else 32768.0
    if not np.isfinite(samples).all():
        raise PictureError("sound", "some samples are not finite numbers")
    values = samples.astype(np.float64).reshape(len(samples), -1).mean(1) * scale
    return np.rint(_resampled(values, sound.rate, rate)).clip(-32768, 32767).astype(np.int16)


def encode(sound: Sound) -> bytes:
    """Return a sound as a WAV file of 16 bits; floats are rounded, and cut off at -1 and 1."""
    import io

    samples = np.asarray(sound.samples)
    if samples.dtype != np.int16:
        samples = np.rint(samples * 32768.0).clip(-32768, 32767).astype(np.int16)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


def _samples(file: wave.Wave_read, name: str) -> Sound:
    count, channels, width = file.getnframes(), file.getnchannels(), file.getsampwidth()
    if not count:
        raise PictureError(name, "no samples: nothing to hear")
    if count * channels > MAX_SAMPLES:
        raise PictureError(name, f"{count * channels} samples, more than {MAX_SAMPLES} are refused")
    content = file.readframes(count)
    if len(content) < count * channels * width:
        raise PictureError(name, f"truncated: {len(content)} bytes of {count * channels * width}")
    return Sound(_numbers(content, width).reshape(count, channels), file.getframerate())


def _numbers(content: bytes, width: int) -> NDArray[Any]:
    """Read samples of 1 to 4 bytes each: 16 bits as they are, others as shares of full scale."""
    if width == 2:
        return np.frombuffer(content, "<i2").astype(np.int16)
    if width == 1:  # the one that has no sign
        return (np.frombuffer(content, np.uint8).astype(np.float64) - 128) / 128
    if width == 3:  # as the upper three bytes of four
        four = np.zeros((len(content) // 3, 4), np.uint8)
        four[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return four.view("<i4")[:, 0] / 2**31
    return np.frombuffer(content, "<i4") / 2**31


def _resampled(values: NDArray[np.float64], given: int, wanted: int) -> NDArray[np.float64]:
    if given == wanted:
        return values
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, given).limit_denominator(_LARGEST_FACTOR)
    if not ratio or math.ceil(len(values) * ratio) > MAX_SAMPLES:
        raise PictureError("sound", f"a rate of {given} Hz cannot become {wanted} Hz")
    found: NDArray[np.float64] = resample_poly(values, ratio.numerator, ratio.denominator)
    return found


@contextlib.contextmanager
def _reading(source: Path | bytes | Stored) -> Iterator[tuple[wave.Wave_read, str]]:
    """Open a WAV file, and turn whatever goes wrong inside into one PictureError."""
    name = "sound" if isinstance(source, bytes) else str(source)
    try:
        with opened(source, name) as handle, wave.open(handle) as file:
            if not 1 <= file.getsampwidth() <= 4 or file.getframerate() < 1:
                raise wave.Error(f"{8 * file.getsampwidth()} bits at {file.getframerate()} Hz")
            yield file, name
    except PictureError as error:
        raise PictureError(name, error.reason) from error
    # Python's reader raises half a dozen unrelated kinds on bytes that are no WAV file.
    except Exception as error:
        raise PictureError(name, _reason(error)) from error


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return f"no WAV file of whole numbers (PCM), or a damaged one: {said or type(error).__name__}"


def placed(samples: NDArray[np.int16], length: int) -> NDArray[np.int16]:
    """Centre a waveform in `length` samples of silence, or take its loudest stretch of them."""
    if len(samples) > length:
        energy = np.cumsum(np.concatenate([[0], samples.astype(np.int64) ** 2]))
        start = int(np.argmax(energy[length:] - energy[:-length]))
        return samples[start : start + length].copy()
    before = (length - len(samples)) // 2
    return np.pad(samples, (before, length - len(samples) - before))
