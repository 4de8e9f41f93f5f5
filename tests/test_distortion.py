"""Random changes of sounds: what they do, and that they are a function of seed, epoch and row."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.data.augmenting.distortion import Distortion, distort
from striate.errors import UsageError

ALL = Distortion(shift=0.2, speed=0.3, tilt=0.5, noise=0.5)


def tone(count: int = 3, length: int = 400, period: float = 40.0) -> Tensor:
    wave = 8000 * torch.sin(2 * np.pi * torch.arange(length) / period)
    return wave.round().to(torch.int16).expand(count, -1).contiguous()


@given(
    rows=st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 1000),
)
def test_a_sound_changes_alike_in_any_batch(rows: list[int], seed: int, epoch: int) -> None:
    sounds, places = tone(len(rows)), torch.tensor(rows)
    together = distort(sounds, places, ALL, seed=seed, epoch=epoch)
    order = torch.arange(len(rows)).flip(0)
    mixed = distort(sounds[order], places[order], ALL, seed=seed, epoch=epoch)
    alone = [
        distort(sounds[i : i + 1], places[i : i + 1], ALL, seed=seed, epoch=epoch)
        for i in range(len(rows))
    ]
    assert torch.equal(together, mixed[order])
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(together[0], together[1])


def test_seed_and_epoch_change_what_is_drawn_and_nothing_else_does() -> None:
    sounds, rows = tone(), torch.arange(3)
    one = distort(sounds, rows, ALL, seed=1, epoch=2)
    assert torch.equal(one, distort(sounds, rows, ALL, seed=1, epoch=2))
    assert not torch.equal(one, distort(sounds, rows, ALL, seed=2, epoch=2))
    assert not torch.equal(one, distort(sounds, rows, ALL, seed=1, epoch=3))


def test_with_everything_off_the_sounds_come_back() -> None:
    sounds = tone()
    assert distort(sounds, torch.arange(3), Distortion(), seed=0, epoch=0) is sounds


def test_a_shift_moves_a_click_by_at_most_its_share() -> None:
    sounds = torch.zeros(200, 101, dtype=torch.int16)
    sounds[:, 50] = 10_000
    found = distort(sounds, torch.arange(200), Distortion(shift=0.2), seed=0, epoch=0)
    where = (found.double() * torch.arange(101)).sum(1) / found.double().sum(1)
    assert where.min() == pytest.approx(50 - 0.2 * 101, abs=1)
    assert where.max() == pytest.approx(50 + 0.2 * 101, abs=1)
    assert where.mean() == pytest.approx(50, abs=2.5)
    # Between two samples a click is shared by them.
    assert (found.sum(1) - 10_000).abs().max() <= 1


def test_speed_changes_the_pitch_of_a_tone_by_its_factor() -> None:
    sounds = tone(100, 4000, period=20.0)
    found = distort(sounds, torch.arange(100), Distortion(speed=0.25), seed=0, epoch=0).double()
    spectrum = torch.fft.rfft(found * torch.hann_window(4000, dtype=torch.float64)).abs()
    pitch = spectrum.argmax(1) / 200  # of 200 periods
    assert pitch.min() == pytest.approx(0.75, abs=0.02)
    assert pitch.max() == pytest.approx(1.25, abs=0.02)


def test_a_tilt_is_the_filter_that_its_formula_says() -> None:
    random = np.random.default_rng(0)
    sounds = torch.from_numpy((random.normal(size=(300, 512)) * 4000).astype(np.int16))
    found = distort(sounds, torch.arange(300), Distortion(tilt=0.8), seed=0, epoch=0).double()
    x = sounds.double()
    before = torch.nn.functional.pad(x, (1, 0))[:, :-1]
    # y = (x + a x') / sqrt(1 + a^2): a by least squares of the two parts.
    parts = torch.stack([x, before], 2)  # (N, T, 2)
    both = torch.linalg.lstsq(parts, found[:, :, None]).solution[:, :, 0]
    share = both[:, 1] / both[:, 0]
    torch.testing.assert_close(both.square().sum(1), torch.ones(300).double(), atol=1e-3, rtol=0)
    assert share.min() == pytest.approx(-0.8, abs=0.03)
    assert share.max() == pytest.approx(0.8, abs=0.03)
    assert share.mean() == pytest.approx(0, abs=0.08)


def test_noise_has_at_most_its_share_of_the_loudness() -> None:
    sounds, rows = tone(200), torch.arange(200)
    found = distort(sounds, rows, Distortion(noise=0.3), seed=0, epoch=0)
    added = (found - sounds).double()
    share = added.square().mean(1).sqrt() / sounds.double().square().mean(1).sqrt()
    assert share.max() == pytest.approx(0.3, abs=0.02)
    assert share.mean() == pytest.approx(0.15, abs=0.02)
    assert added.mean().abs() < 20
    silence = torch.zeros(2, 50, dtype=torch.int16)
    assert not distort(silence, rows[:2], Distortion(noise=0.3), seed=0, epoch=0).any()


def test_one_setting_does_not_change_what_another_draws() -> None:
    sounds, rows = tone(), torch.arange(3)
    shifted = distort(sounds, rows, Distortion(shift=0.2), seed=0, epoch=0)
    faint = distort(sounds, rows, Distortion(shift=0.2, noise=1e-6), seed=0, epoch=0)
    assert (shifted - faint).abs().max() <= 1  # where a half is rounded


def test_loud_sounds_are_cut_off_and_do_not_wrap() -> None:
    sounds = torch.full((4, 100), 32767, dtype=torch.int16)
    found = distort(sounds, torch.arange(4), Distortion(noise=1.0), seed=0, epoch=0)
    assert found.min() > -32768
    assert found.max() == 32767


@pytest.mark.parametrize("changed", [{"shift": 1.5}, {"speed": -0.1}, {"noise": float("nan")}])
def test_nonsense_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="lies in 0 to"):
        Distortion(**changed)
