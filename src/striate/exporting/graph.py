"""A network with its preprocessing inside: from pixels, as files hold them, to logits."""

import math

import torch
from torch import Tensor, nn

from striate.data.preparation import spectrograms
from striate.data.preparation.clips import Clips
from striate.data.preparation.kinds import Preparation
from striate.data.preparation.preprocessing import Preprocessing, Zca
from striate.data.preparation.spectrograms import Spectrograms


class Whole(nn.Module):
    """Pixels -> logits (N, K) and probabilities (N, K).

    Pixels are uint8 (N, H, W, C), of clips (N, T, H, W, C), of sounds int16 (N, samples).
    """

    def __init__(
        self, model: nn.Module, preparation: Preparation, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.values = _values(preparation)
        self.model = model
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(self.values(pixels)).float()
        if self.temperature != 1:
            logits = logits / self.temperature
        return logits, logits.softmax(1)


def arranged(pixels: Tensor) -> Tensor:
    """Put pixels of a preprocessing, (N, C, ...), into the order of files: channels last."""
    return pixels.movedim(1, -1).contiguous() if pixels.ndim > 2 else pixels


def _values(preparation: Preparation) -> nn.Module:
    if isinstance(preparation, Spectrograms):
        return _Levels(preparation)
    picture = preparation.picture if isinstance(preparation, Clips) else preparation
    assert isinstance(picture, Preprocessing), "pictures, sounds and clips are all there are"
    return nn.Sequential(_ChannelsFirst(), _normalisation(picture))


def _normalisation(picture: Preprocessing) -> nn.Module:
    if picture.zca is not None:
        return _White(picture.zca)
    if picture.normalise == "picture":
        return _EachPicture(math.prod(picture.shape))
    known = picture.normalise == "dataset"
    return _Scaled(picture.mean if known else (0.0,), picture.std if known else (1.0,))


class _ChannelsFirst(nn.Module):
    """Pixels (N, ..., C) -> (N, C, ...)."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, pixels.ndim - 1, *range(1, pixels.ndim - 1))


class _Scaled(nn.Module):
    """Each channel to a mean and a standard deviation that are known, as shares of white."""

    shift: Tensor
    scale: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([255 * m for m in mean]))
        self.register_buffer("scale", torch.tensor([255 * (s or 1.0) for s in std]))

    def forward(self, pixels: Tensor) -> Tensor:
        shape = (-1, *[1] * (pixels.ndim - 2))
        return (pixels.float() - self.shift.view(shape)) / self.scale.view(shape)


class _EachPicture(nn.Module):
    """Each picture to mean 0 and std 1 over all its D pixels, std at least 1 / sqrt(D) levels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.least = size**-0.5

    def forward(self, pixels: Tensor) -> Tensor:
        axes = tuple(range(1, pixels.ndim))
        values = pixels.double()  # sums of whole numbers, exact in any order
        mean = values.mean(axes, keepdim=True)
        spread = (values * values).mean(axes, keepdim=True) - mean * mean
        std = spread.clamp(min=0).sqrt().clamp(min=self.least)
        return ((values - mean) / std).float()


class _White(nn.Module):
    """ZCA whitening, its matrix in float32."""

    matrix: Tensor
    offset: Tensor

    def __init__(self, zca: Zca) -> None:
        super().__init__()
        matrix = zca.mantissas.double() * 2.0**zca.exponent / 255
        self.register_buffer("matrix", matrix.float())
        self.register_buffer("offset", zca.offset.float())

    def forward(self, pixels: Tensor) -> Tensor:
        white = pixels.flatten(1).float() @ self.matrix - self.offset
        return white.view(pixels.shape)


class _Levels(nn.Module):
    """Waveforms int16 (N, samples) -> normalised decibels (N, 1, M, F) of mel bands and frames."""

    places: Tensor
    waves: Tensor
    bands: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, given: Spectrograms) -> None:
        super().__init__()
        frames = given.shape[2]
        starts = torch.arange(frames)[:, None] * given.hop
        self.register_buffer("places", starts + torch.arange(given.window))  # (F, window)
        self.register_buffer("waves", spectrograms.waves(given))  # (window, 2 bins)
        # In units of the floor: 1e-9 more would be left out as nothing when ONNX is written.
        self.register_buffer("bands", spectrograms.bands(given) / spectrograms.FLOOR)  # (bins, M)
        self.given = given
        self.floor = 10 * math.log10(spectrograms.FLOOR)
        moments = (given.mean, given.std) if given.normalise == "dataset" else ((0.0,), (1.0,))
        mean, std = (torch.tensor(m, dtype=torch.float64).view(-1, 1) for m in moments)
        self.register_buffer("mean", mean)
        self.register_buffer("std", torch.where(std == 0, 1.0, std))

    def forward(self, samples: Tensor) -> Tensor:
        frames = samples.double()[:, self.places] / 2**15  # (N, F, window)
        real, imaginary = (frames @ self.waves).chunk(2, dim=2)
        power = real * real + imaginary * imaginary
        levels = (power @ self.bands + 1).log() * (10 / math.log(10)) + self.floor
        loudest = levels.amax((1, 2), keepdim=True)
        levels = torch.maximum(levels, loudest - self.given.depth).transpose(1, 2)
        if self.given.normalise == "sound":
            levels = _each_sound(levels)
        return ((levels - self.mean) / self.std).float()[:, None]


def _each_sound(levels: Tensor) -> Tensor:
    """Bring each sound's levels (N, M, F) to mean 0 and std 1, std at least a decibel."""
    mean = levels.mean((1, 2), keepdim=True)
    apart = levels - mean
    std = (apart * apart).mean((1, 2), keepdim=True).sqrt().clamp(min=1.0)
    return apart / std
