"""Sounds: every width against whole numbers, channels, rates, and bytes that are no sound."""

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import sounds
from striate.errors import UsageError
from striate.images import PictureError
from striate.sounds import Sound


def wav(frames: list[list[int]], *, width: int, rate: int) -> bytes:
    """A WAV file of whole numbers, written sample by sample: frames of one number a channel."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(len(frames[0]))
        file.setsampwidth(width)
        file.setframerate(rate)
        for frame in frames:
            for number in frame:
                unsigned = number + 128 if width == 1 else number % 2 ** (8 * width)
                file.writeframesraw(unsigned.to_bytes(width, "little"))
    return content.getvalue()


@given(
    width=st.sampled_from([1, 2, 3, 4]),
    channels=st.integers(1, 3),
    rate=st.sampled_from([8000, 11025, 48000]),
    data=st.data(),
)
def test_every_width_is_the_mean_of_its_channels_in_sixteen_bits(
    width: int, channels: int, rate: int, data: st.DataObject
) -> None:
    top = 2 ** (8 * width - 1)
    numbers = st.lists(st.integers(-top, top - 1), min_size=channels, max_size=channels)
    frames = data.draw(st.lists(numbers, min_size=1, max_size=20))
    found = sounds.decode(wav(frames, width=width, rate=rate), rate=rate)
    expected = [sum(frame) / channels / top * 32768 for frame in frames]
    assert found.dtype == np.int16
    # Halves may be rounded either way; the largest is cut off.
    assert np.abs(found - np.clip(expected, -32768, 32767)).max() <= 0.5 + 1e-6


def test_sixteen_bits_of_one_channel_come_as_they_are() -> None:
    frames = [[n] for n in (-32768, -1, 0, 1, 32767)]
    content = wav(frames, width=2, rate=8000)
    assert sounds.decode(content, rate=8000).tolist() == [-32768, -1, 0, 1, 32767]
    assert sounds.header(content) == (8000, 5 / 8000)


@pytest.mark.parametrize(("given_rate", "wanted"), [(44100, 8000), (8000, 16000), (22050, 48000)])
def test_a_tone_at_another_rate_is_the_same_tone(given_rate: int, wanted: int) -> None:
    def tone(rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)

    found = sounds.waveform(Sound(tone(given_rate), given_rate), rate=wanted) / 32768
    assert abs(len(found) - wanted) <= 1
    inner = slice(wanted // 10, -wanted // 10)  # a filter rings where a tone begins
    assert np.abs(found[:wanted] - tone(wanted)[: len(found)])[inner].max() < 0.01


def test_odd_rates_are_met_to_a_thousandth() -> None:
    for given_rate, wanted in ((11027, 8000), (44101, 8000), (8001, 16000)):
        length = len(sounds.waveform(Sound(np.zeros(given_rate * 4), given_rate), rate=wanted))
        assert length == pytest.approx(4 * wanted, rel=1e-3)


@given(samples=st.lists(st.integers(-32768, 32767), min_size=1), rate=st.integers(1, 96000))
def test_what_is_encoded_is_decoded(samples: list[int], rate: int) -> None:
    sound = Sound(np.array(samples, dtype=np.int16), rate)
    assert sounds.decode(sounds.encode(sound), rate=rate).tolist() == samples


def test_a_sound_in_memory_is_checked() -> None:
    for samples in (np.zeros((2, 2, 2)), np.zeros(0), np.zeros(3, dtype=np.uint8)):
        with pytest.raises(UsageError, match="are no sound"):
            Sound(samples, 8000)
    with pytest.raises(UsageError, match="rate is a whole number"):
        Sound(np.zeros(3), 0)
    with pytest.raises(PictureError, match="not finite"):
        sounds.waveform(Sound(np.array([0.0, np.nan]), 8000), rate=8000)


GOOD = wav([[n * 100] for n in range(100)], width=2, rate=8000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"GIF89a", "no WAV file"),
        (GOOD[:-40], "truncated: 160 bytes of 200"),
        (GOOD[:30], "no WAV file"),
        (wav([[0]], width=2, rate=8000)[:-2], "truncated|no samples"),
        (GOOD.replace(struct.pack("<H", 1), struct.pack("<H", 3), 1), "unknown format"),
    ],
)
def test_what_is_no_sound_is_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason) as caught:
        sounds.decode(path, rate=8000)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


@given(cut=st.integers(0, len(GOOD)), place=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_damage_is_a_picture_error_or_samples(cut: int, place: int, bit: int) -> None:
    content = bytearray(GOOD)
    content[place] ^= 1 << bit
    try:
        found = sounds.decode(bytes(content[:cut]), rate=8000)
    except PictureError:
        return
    assert found.dtype == np.int16
    assert found.ndim == 1


def test_what_claims_to_be_huge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "MAX_SAMPLES", 99)
    with pytest.raises(PictureError, match="100 samples, more than 99 are refused"):
        sounds.decode(GOOD, rate=8000)
