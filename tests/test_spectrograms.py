"""Spectrograms against torch.stft and a filterbank by formula, to the last bit in any batch."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.data.preparation import spectrograms
from striate.data.preparation.spectrograms import Spectrograms
from striate.errors import DataError, UsageError
from striate.sounds import Sound


def noise(count: int, length: int, *, seed: int = 0, loud: float = 0.3) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy((random.normal(0, loud, (count, length)) * 8192).astype(np.int16))


def expected(given: Spectrograms, batch: Tensor) -> Tensor:
    """The same by torch's own transform and triangles written down one by one."""
    window = torch.hann_window(given.window, dtype=torch.float64)
    bins = torch.stft(
        batch.double() / 2**15,
        given.window,
        given.hop,
        window=window,
        center=False,
        return_complex=True,
    )
    power = bins.abs().square() / window.sum() ** 2  # (N, bins, F)

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    low, high = mel(given.low), mel(given.high)
    step = (high - low) / (given.mels + 1)
    bands = []
    for band in range(given.mels):
        a, b, c = (700 * (10 ** ((low + (band + i) * step) / 2595) - 1) for i in range(3))
        total = torch.zeros_like(power[:, 0])
        for number in range(power.shape[1]):
            f = number * given.rate / given.window
            weight = max(0.0, min((f - a) / (b - a), (c - f) / (c - b)))
            total += weight * power[:, number]
        bands.append(10 * torch.log10(total + 1e-9))
    levels = torch.stack(bands, 1)
    return torch.maximum(levels, levels.amax((1, 2), keepdim=True) - given.depth)


@given(
    rate=st.sampled_from([8000, 11025, 16000]),
    window=st.sampled_from([128, 200, 257, 512]),
    hop=st.integers(20, 300),
    mels=st.integers(1, 12),
    depth=st.sampled_from([20.0, 50.0]),
    share=st.floats(0.5, 1.0),
)
def test_levels_are_those_of_torch(
    rate: int, window: int, hop: int, mels: int, depth: float, share: float
) -> None:
    sense = Spectrograms(
        rate=rate,
        length=1500,
        window=window,
        hop=hop,
        mels=mels,
        low=100.0,
        high=share * rate / 2,
        depth=depth,
    )
    batch = noise(2, 1500)
    found = sense.decibels(batch)
    assert sense.values(batch).shape == (2, *sense.shape)
    torch.testing.assert_close(found, expected(sense, batch), rtol=0, atol=1e-3)


@pytest.mark.parametrize("normalise", spectrograms.NORMALISATIONS)
def test_values_depend_on_no_batch_and_no_threads(normalise: str) -> None:
    sense = Spectrograms(normalise=normalise, mean=(-50.0,), std=(12.0,))
    batch = noise(37, sense.length)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = sense.values(batch)
        torch.set_num_threads(1)
        alone = torch.cat([sense.values(one[None]) for one in batch])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, alone)
    assert torch.equal(sense.values(batch.flip(0)).flip(0), together)


@pytest.mark.parametrize("window", [16, 200, 256, 4096])
def test_sums_of_the_transform_are_whole_numbers_that_a_double_holds(window: int) -> None:
    sense = Spectrograms(length=5000, window=window, mels=1, high=4000.0)
    table = spectrograms._table(sense)
    assert table.dtype == torch.float64
    assert torch.equal(table, table.round())
    assert table.abs().max() > 2**24  # and fine enough
    assert table.abs().sum(0).max() * 2**15 < 2**53
    some = table[:, :: max(1, window // 8)].numpy().astype(object)  # Python's own whole numbers
    exact = noise(1, window).numpy().astype(object) @ some
    found = spectrograms._products(noise(1, window)[:, None], sense)[0]
    assert found[:, :: max(1, window // 8)].tolist() == exact.tolist()


def test_the_logarithm_is_right_to_the_last_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 10 ** (20 * torch.rand(100_000, generator=generator, dtype=torch.float64) - 12)
    torch.testing.assert_close(spectrograms._log2(x), x.log2(), rtol=0, atol=2e-14)


def test_each_sound_gets_mean_0_and_std_1() -> None:
    values = Spectrograms(normalise="sound").values(noise(5, 8000))
    torch.testing.assert_close(values.mean((1, 2, 3)), torch.zeros(5), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        values.std((1, 2, 3), correction=0), torch.ones(5), rtol=1e-4, atol=0
    )
    silent = Spectrograms(normalise="sound").values(torch.zeros(2, 8000, dtype=torch.int16))
    assert not silent.any()


def test_the_normalisation_of_a_set_is_fitted_to_each_band() -> None:
    sense = Spectrograms(normalise="none", mels=7)
    batches = [noise(n, 8000, seed=n, loud=0.1 * n) for n in (1, 4, 2)]
    fitted = spectrograms.fitted(sense, batches)
    values = fitted.values(torch.cat(batches))[:, 0]  # (N, M, F)
    torch.testing.assert_close(values.mean((0, 2)), torch.zeros(7), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        values.transpose(0, 1).flatten(1).std(1, correction=0), torch.ones(7), rtol=1e-3, atol=0
    )
    assert fitted == spectrograms.fitted(sense, [torch.cat(batches)])


def test_short_sounds_are_centred_and_of_long_ones_the_loudest_part_is_heard() -> None:
    sense = Spectrograms(length=1000)
    short = np.full(200, 7, np.int16)
    placed = sense.pixels(Sound(short, 8000))
    assert placed[400:600].tolist() == short.tolist()
    assert placed.count_nonzero() == 200
    long = np.ones(5000, np.int16)
    long[2500:3300] = 99
    heard = sense.pixels(Sound(long, 8000))
    assert int((heard == 99).sum()) == 800


def test_a_pure_tone_lights_its_band() -> None:
    sense = Spectrograms(normalise="none")
    time = np.arange(8000) / 8000
    levels = sense(Sound(0.9 * np.sin(2 * np.pi * 1000 * time), 8000))[0]
    loudest = int(levels.mean(1).argmax())
    ends = np.linspace(spectrograms.mels_of(50), spectrograms.mels_of(4000), 42)
    assert abs(spectrograms.hertz(ends[loudest + 1]) - 1000) < 60
    # 0.9 of full scale: a power of 0.81 / 4, and the windowed bins beside it.
    assert levels.max().item() == pytest.approx(10 * math.log10(0.81 / 4), abs=2.5)
    drawn = sense.image(sense.pixels(Sound(0.9 * np.sin(2 * np.pi * 1000 * time), 8000)))
    assert drawn.shape == (40, 61, 3)
    assert int(drawn.sum((1, 2)).argmax()) == 39 - loudest


def test_it_is_read_back_as_it_was() -> None:
    sense = Spectrograms(rate=11025, mels=2, normalise="dataset", mean=(1.0, 2.5), std=(0.0, 3.0))
    again = Spectrograms.from_json(json.loads(json.dumps(sense.to_json())))
    assert again == sense
    assert torch.isfinite(again.values(noise(1, sense.length))).all()
    with pytest.raises(DataError, match="unknown or missing keys: odd"):
        Spectrograms.from_json({**sense.to_json(), "odd": 1})
    with pytest.raises(DataError, match="cannot be used"):
        Spectrograms.from_json({**sense.to_json(), "hop": 0})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hop": 0}, "hop is a whole number"),
        ({"window": 9000}, "at most"),
        ({"high": 5000.0}, "bands lie in 0 to 4000"),
        ({"mels": 500}, "too many for frames"),
        ({"normalise": "zca"}, "normalisation of sounds"),
        ({"mean": (1.0, 2.0)}, "1 or 40 finite numbers"),
        ({"std": (-1.0,)}, "std is 0 or more"),
        ({"depth": 0.0}, "depth"),
    ],
)
def test_nonsense_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(Spectrograms(), **changed)
    with pytest.raises(UsageError, match="is no sound"):
        Spectrograms().pixels(np.zeros(3))  # type: ignore[arg-type]
