"""Random changes of training sounds, a pure function of the seed, the epoch and the sound.

As `augment` changes pictures: what is drawn for a sound is a hash of (seed, epoch, place, which
draw), and every operation is elementwise or a sum of whole numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from striate.errors import UsageError

from .chance import uniform

# A draw keeps its place in the row; the noise's own numbers come after them.
DRAWS = ("shift", "speed", "tilt", "noise")


@dataclass(frozen=True)
class Distortion:
    """Which random changes are made, and how large; every one is off by default."""

    shift: float = 0.0  # share of the length, either way
    speed: float = 0.0  # s: a factor in [1 - s, 1 + s], of pace and pitch
    tilt: float = 0.0  # t: x(n) + a x(n - 1), a in [-t, t]: treble or bass, as by a microphone
    noise: float = 0.0  # white noise, at most this share of the sound's root mean square

    def __post_init__(self) -> None:
        for name, limit in (("shift", 1.0), ("speed", 0.9), ("tilt", 0.99), ("noise", 10.0)):
            if not 0 <= getattr(self, name) <= limit:
                raise UsageError(f"{name} lies in 0 to {limit:g}, not {getattr(self, name)!r}")


def distort(sounds: Tensor, indices: Tensor, how: Distortion, *, seed: int, epoch: int) -> Tensor:
    """Change waveforms (N, T), int16, of the data set's rows `indices` (N,).

    With everything off the waveforms themselves come back.
    """
    if how == Distortion():
        return sounds
    count = len(DRAWS) + (sounds.shape[1] if how.noise else 0)
    place = torch.device("cpu") if sounds.device.type == "mps" else sounds.device  # no float64
    drawn = uniform(seed, epoch, indices, count).to(place)
    draws = dict(zip(DRAWS, drawn[:, : len(DRAWS)].unbind(1), strict=True))
    values = sounds.to(place).double()
    if how.shift or how.speed:
        values = _moved(values, draws, how)
    if how.tilt:
        values = _tilted(values, draws["tilt"], how)
    if how.noise:
        values = values + _noise(values, draws["noise"], drawn[:, len(DRAWS) :], how)
    return values.round().clamp(-32768, 32767).to(torch.int16).to(sounds.device)


def _moved(values: Tensor, draws: dict[str, Tensor], how: Distortion) -> Tensor:
    """Play (N, T) faster or slower about the middle, and earlier or later; silence around."""
    length = values.shape[1]
    factor = 1 + (2 * draws["speed"] - 1) * how.speed
    shift = (2 * draws["shift"] - 1) * how.shift * length
    middle = (length - 1) / 2
    # Where each sample comes from, and the share of the one after it.
    times = torch.arange(length, device=values.device)
    source = (times - middle - shift[:, None]) * factor[:, None] + middle
    first = source.floor()
    part = source - first
    padded = torch.nn.functional.pad(values, (1, 1))
    places = (first.long() + 1).clamp(0, length)
    inside = (source > -1) & (source < length)
    one, other = padded.gather(1, places), padded.gather(1, places + 1)
    return torch.where(inside, one * (1 - part) + other * part, 0.0)


def _tilted(values: Tensor, drawn: Tensor, how: Distortion) -> Tensor:
    """Make the high notes of (N, T) louder and the low ones softer, or the other way round."""
    share = (2 * drawn - 1) * how.tilt
    before = torch.nn.functional.pad(values, (1, 0))[:, :-1]
    # As loud at its middle, a quarter of the rate, as it was.
    return (values + before * share[:, None]) / (1 + share * share).sqrt()[:, None]


def _noise(values: Tensor, level: Tensor, drawn: Tensor, how: Distortion) -> Tensor:
    """White noise with even odds in its range; its root mean square is `level` of how.noise."""
    squares = values.round().long().square().sum(1).double()  # whole numbers: exact
    amplitude = (squares / values.shape[1]).sqrt() * level * (how.noise * math.sqrt(3))
    return (2 * drawn - 1) * amplitude[:, None]
