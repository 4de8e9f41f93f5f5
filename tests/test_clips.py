"""Clips: decoding, frames over time, values as of pictures, and changes alike in all frames."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from striate import videos
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.preparation.clips import Clips
from striate.data.preparation.kinds import read_preparation
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError, UsageError
from striate.images import PictureError
from striate.training import clips as training
from striate.training.recipe import Recipe


def frames(count: int, side: int = 16) -> list[NDArray[np.uint8]]:
    """Grey frames, each of one level that says which it is."""
    return [np.full((side, side + 8), 20 * number, np.uint8) for number in range(count)]


def animation(given: list[NDArray[np.uint8]], format: str = "GIF") -> bytes:
    images = [Image.fromarray(frame) for frame in given]
    content = io.BytesIO()
    extra: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    images[0].save(content, format, save_all=True, append_images=images[1:], **extra)
    return content.getvalue()


def video(given: list[NDArray[np.uint8]], path: Path, codec: str = "mpeg4") -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *given[0].shape[:2], "yuv420p"
        for frame in given:
            rgb = np.repeat(frame[:, :, None], 3, 2)
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def levels(found: list[NDArray[np.uint8]]) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in found]


@given(count=st.integers(1, 300), wanted=st.integers(1, 40))
def test_frames_are_the_middles_of_equal_stretches(count: int, wanted: int) -> None:
    found = videos.places(count, wanted)
    assert found == [int((i + 0.5) * count / wanted) for i in range(wanted)]
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] < count
    assert videos.places(count, count) == list(range(count))
    assert videos.places(count, 1) == [count // 2]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_frames(format: str) -> None:
    content = animation(frames(9), format)
    assert levels(videos.decode(content, frames=9)) == list(range(9))
    assert levels(videos.decode(content, frames=3)) == [1, 4, 7]
    assert videos.header(content) == (9, 16, 24)


def test_a_grey_gif_is_read_whose_next_frame_has_another_palette() -> None:
    random = np.random.default_rng(0)
    every, few = np.arange(256, dtype=np.uint8), np.arange(3, 200, 2, dtype=np.uint8)
    given = [random.choice(shades, (96, 80)) for shades in (every, few, every)]
    found = videos.decode(animation(given), frames=3)
    for frame, other in zip(given, found, strict=True):
        grey = other if other.ndim == 2 else other[:, :, 0]
        assert np.abs(grey.astype(int) - frame).max() <= 1


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_videos_give_their_frames(suffix: str, tmp_path: Path) -> None:
    path = video(frames(12), tmp_path / f"clip{suffix}")
    assert levels(videos.decode(path, frames=12)) == list(range(12))
    assert levels(videos.decode(path, frames=4)) == [1, 4, 7, 10]
    assert levels(videos.decode(path.read_bytes(), frames=1)) == [6]
    assert videos.header(path) == (12, 16, 24)


def test_what_is_no_clip_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "odd.mp4"
    path.write_bytes(b"no video at all" * 100)
    for source in (path, animation(frames(5))[:60]):
        with pytest.raises(PictureError, match="no clip, or a damaged one") as caught:
            videos.decode(source, frames=4)
        assert len(str(caught.value).splitlines()) == 1


def test_a_missing_decoder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install av"):
        videos.decode(b"\0\0\0\x18ftypmp42", frames=1)


def test_large_frames_are_refused() -> None:
    with pytest.raises(PictureError, match="24 x 16 pixels, more than 100 are refused"):
        videos.decode(animation(frames(3)), frames=2, max_pixels=100)


def sense(count: int, **fields: Any) -> Clips:
    known = {"channels": 1, "normalise": "none", "fit": "stretch"}
    return Clips(count, Preprocessing(**{"size": (8, 8), **known, **fields}))


def test_each_frame_is_prepared_as_a_picture() -> None:
    random = np.random.default_rng(0)
    clip = random.integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
    prepared = sense(3, channels=3)
    assert prepared.shape == prepared.pixel_shape == (3, 3, 8, 8)
    pixels = prepared.pixels(clip)
    for place, frame in enumerate((1, 3, 5)):
        assert torch.equal(pixels[:, place], prepared.picture.pixels(clip[frame]))
    alone = sense(1, channels=3)
    assert alone.shape == (3, 8, 8)
    assert torch.equal(alone.pixels(clip), alone.picture.pixels(clip[3]))


@pytest.mark.parametrize("normalise", ["dataset", "none"])
def test_values_are_those_of_the_frames(normalise: str) -> None:
    moments = {"mean": (0.3, 0.4, 0.5), "std": (0.2, 0.1, 0.3)}
    prepared = sense(4, channels=3, normalise=normalise, **moments)
    batch = torch.randint(256, (5, 3, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    batch = batch.to(torch.uint8)
    values = prepared.values(batch)
    for place in range(4):
        assert torch.equal(values[:, :, place], prepared.picture.values(batch[:, :, place]))
    assert torch.equal(values[2:3], prepared.values(batch[2:3]))


def test_a_clip_of_mean_0_and_std_1_is_so_as_a_whole() -> None:
    batch = torch.randint(256, (2, 1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    values = sense(4, normalise="picture").values(batch.to(torch.uint8))
    torch.testing.assert_close(values.mean((1, 2, 3, 4)), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(values.std((1, 2, 3, 4), correction=0), torch.ones(2))


def test_it_is_read_back_as_it_was_and_whitening_is_refused() -> None:
    prepared = sense(4, normalise="dataset", mean=(0.5,), std=(0.25,))
    document = json.loads(json.dumps({"kind": "clips", **prepared.to_json()}))
    assert read_preparation(document) == prepared
    with pytest.raises(DataError, match="unknown or missing keys"):
        Clips.from_json({"frames": 3})
    with pytest.raises(DataError, match="a newer striate"):
        read_preparation({"kind": "smells"})
    with pytest.raises(UsageError, match="1 frame or more"):
        Clips(0, prepared.picture)


def test_a_drawing_shows_nine_frames_in_their_order() -> None:
    pixels = torch.arange(16).view(1, 16, 1, 1).expand(1, 16, 8, 8).to(torch.uint8) * 10
    drawn = sense(16).image(pixels)
    assert drawn.shape == (27, 27)
    cells = drawn.reshape(3, 9, 3, 9)[:, 0, :, 0].flatten() // 10
    assert cells.tolist() == videos.places(16, 9)
    colour = Clips(2, Preprocessing((8, 8), normalise="none"))
    assert colour.image(torch.zeros(3, 2, 8, 8, dtype=torch.uint8)).shape == (9, 18, 3)


MOVED = {"crop_padding": 2, "flip": True, "rotate": 20.0, "zoom": 0.2, "translate": 0.1}


@pytest.mark.parametrize("channels", [1, 3])
def test_all_frames_are_moved_alike_and_as_pictures_are(channels: int) -> None:
    change = training.Augmented(Recipe(**MOVED))  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(0)
    batch = torch.randint(256, (6, channels, 5, 12, 12), generator=random).to(torch.uint8)
    rows = torch.arange(6)
    found = change(batch, rows, seed=3, epoch=1)
    for place in range(5):
        alone = augment(batch[:, :, place], rows, Augmentation(**MOVED), seed=3, epoch=1)  # type: ignore[arg-type]
        assert torch.equal(found[:, :, place], alone)


def test_all_frames_are_coloured_alike() -> None:
    change = training.Augmented(Recipe(brightness=0.5, hue=0.3, saturation=0.5))
    frame = torch.randint(256, (4, 3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    batch = frame.to(torch.uint8).expand(-1, -1, 3, -1, -1).contiguous()
    found = change(batch, torch.arange(4), seed=0, epoch=0)
    assert torch.equal(found[:, :, 0], found[:, :, 2])
    assert not torch.equal(found, batch)
    still = training.Augmented(Recipe())
    assert torch.equal(still(batch, torch.arange(4), seed=0, epoch=0), batch)
