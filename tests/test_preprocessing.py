"""Geometry against Pillow and torchvision, normalisation against NumPy's float64, and exactness."""

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from striate.data.preparation.preprocessing import (
    NORMALISATIONS,
    Moments,
    Preprocessing,
    Zca,
)
from striate.errors import DataError, UsageError
from striate.images import PictureError
from striate.images.fitting import FILTERS, FITS, QUICK

law = settings(deadline=None, derandomize=True, max_examples=60)
sides = st.integers(1, 40)
MODES = {
    "nearest": v2.InterpolationMode.NEAREST,
    "box": v2.InterpolationMode.BOX,
    "bilinear": v2.InterpolationMode.BILINEAR,
    "hamming": v2.InterpolationMode.HAMMING,
    "bicubic": v2.InterpolationMode.BICUBIC,
    "lanczos": v2.InterpolationMode.LANCZOS,
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    # Half the contrast: bicubic's overshoots are not clipped, which torch does at another moment.
    return Image.fromarray(noise(height, width, 3, seed=seed).numpy() // 2 + 64)


def same(found: Tensor, expected: Tensor, name: str) -> bool:
    """Tell whether pixels are those of Pillow: to two roundings where torch resizes."""
    apart = (found.int() - expected.int()).abs()
    return bool(apart.max() <= (2 if name in QUICK else 0))


def planes(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def whitening(size: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> Zca:
    # Neighbours alike, as in photographs, so that there is something to whiten.
    rough = noise(200, *size, seed=seed).double()
    smooth = (rough + rough.roll(1, 3) + rough.roll(1, 2)) / 3
    return Zca.fit(smooth.to(torch.uint8).split(70))


def normalising(name: str, size: tuple[int, int] = (4, 5)) -> Preprocessing:
    return Preprocessing(
        size,
        normalise=name,
        mean=(0.47, 0.45, 0.4),
        std=(0.28, 0.27, 0.29),
        zca=whitening((3, *size)) if name == "zca" else None,
    )


@given(height=sides, width=sides, out=st.tuples(sides, sides), name=st.sampled_from(list(FILTERS)))
@law
def test_stretch_is_torchvisions_resize(height: int, width: int, out: Any, name: str) -> None:
    found = Preprocessing(out, fit="stretch", filter=name).pixels(picture(height, width))
    expected = v2.Resize(out, MODES[name])(picture(height, width))
    assert same(found, planes(expected), name)


@given(half=st.integers(2, 12), side=st.integers(2, 60), name=st.sampled_from(list(FILTERS)))
@law
def test_a_square_crop_is_torchvisions_resize_and_crop(half: int, side: int, name: str) -> None:
    # Of the resized picture 8 n pixels wide, the middle 6 n: whole numbers, so no shift.
    square = picture(side, side)
    found = Preprocessing((6 * half, 6 * half), share=0.75, filter=name).pixels(square)
    expected = v2.CenterCrop(6 * half)(v2.Resize(8 * half, MODES[name])(square))
    apart = (found.int() - planes(expected).int()).abs()
    if name in QUICK:  # the filter ends at the crop's border
        reach = math.ceil(2 * max(1, 8 * half / side))
        apart = apart[:, reach:-reach, reach:-reach]
    # Pillow computes the box in float32, which may move a nearest pixel that lies on an edge.
    near = name in ("nearest", "box") and apart.ne(0).float().mean() < 0.2
    assert near or not apart.numel() or apart.max() <= 2


@given(
    height=sides,
    width=sides,
    out=st.tuples(sides, sides),
    share=st.floats(0.2, 1),
    name=st.sampled_from(list(FILTERS)),
)
@law
def test_a_crop_is_the_centre_at_the_right_scale(
    height: int, width: int, out: Any, share: float, name: str
) -> None:
    # On a slope every filter is right, so each output pixel tells where it was taken.
    y, x = np.mgrid[:height, :width]
    slopes = np.stack([4 * x, 4 * y, 0 * x], 2).astype(np.uint8)
    found = Preprocessing(out, share=share, filter=name).pixels(slopes).double().numpy()
    step = min(height / out[0], width / out[1]) * share
    rows = (height - 1) / 2 + (np.arange(out[0]) - (out[0] - 1) / 2) * step
    columns = (width - 1) / 2 + (np.arange(out[1]) - (out[1] - 1) / 2) * step
    # Beyond the border and where a filter meets it, a slope is no longer one.
    reach = max(step, 1) * 3 + 1
    inner_rows = (rows >= reach) & (rows <= height - 1 - reach)
    inner_columns = (columns >= reach) & (columns <= width - 1 - reach)
    error = 4 * 0.5 * max(step, 1) + 1 if name in ("nearest", "box") else 1.5
    assert np.abs(found[1] - 4 * rows[:, None])[inner_rows].max(initial=0) <= error
    assert np.abs(found[0] - 4 * columns)[:, inner_columns].max(initial=0) <= error
    # Whatever lies at the border, left and right, top and bottom are treated alike.
    assert abs(found[0].mean() - 4 * (width - 1) / 2) <= error + 1
    assert abs(found[1].mean() - 4 * (height - 1) / 2) <= error + 1


@given(height=sides, width=sides, out=st.tuples(sides, sides), name=st.sampled_from(list(FILTERS)))
@law
def test_padding_keeps_the_shape_in_a_black_frame(
    height: int, width: int, out: Any, name: str
) -> None:
    found = Preprocessing(out, fit="pad", filter=name).pixels(picture(height, width))
    scale = min(out[0] / height, out[1] / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    assert out[0] == inner[0] or out[1] == inner[1]
    top, left = (out[0] - inner[0]) // 2, (out[1] - inner[1]) // 2
    expected = torch.zeros(3, *out, dtype=torch.uint8)
    middle = planes(v2.Resize(inner, MODES[name])(picture(height, width)))
    expected[:, top : top + inner[0], left : left + inner[1]] = middle
    assert same(found, expected, name)


@given(height=sides, width=sides, fit=st.sampled_from(FITS), name=st.sampled_from(list(FILTERS)))
@law
def test_a_picture_of_the_right_size_stays_as_it_is(
    height: int, width: int, fit: str, name: str
) -> None:
    step = Preprocessing((height, width), fit=fit, filter=name)
    assert torch.equal(step.pixels(picture(height, width)), planes(picture(height, width)))


@given(
    height=sides,
    width=sides,
    out=st.tuples(sides, sides),
    fit=st.sampled_from(FITS),
    grey=st.booleans(),
    channels=st.sampled_from([1, 3]),
)
@law
def test_the_kind_of_input_does_not_matter(
    height: int, width: int, out: Any, fit: str, grey: bool, channels: int
) -> None:
    step = Preprocessing(out, fit=fit, channels=channels)
    image = picture(height, width).convert("L" if grey else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    values = np.array(image)
    tensor = torch.from_numpy(values.reshape(height, width, -1)).permute(2, 0, 1)
    expected = step.pixels(image)
    assert expected.shape == (channels, *out)
    assert expected.dtype == torch.uint8
    assert expected.is_contiguous()
    others: list[Any] = [buffer.getvalue(), values, values.reshape(height, width, -1), tensor]
    others += [tensor.float() / 255, (tensor.double() - 0.4).clamp(min=0) / 255]
    assert all(torch.equal(step.pixels(other), expected) for other in others)


def test_a_file_is_its_bytes(tmp_path: Path) -> None:
    picture(9, 7).save(tmp_path / "a.png")
    step = Preprocessing((4, 4))
    found = step.pixels(tmp_path / "a.png")
    assert torch.equal(found, step.pixels((tmp_path / "a.png").read_bytes()))
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"b\.png: not a picture"):
        step.pixels(tmp_path / "b.png")


def test_colours_are_weighed_and_grey_is_repeated() -> None:
    colour = Image.new("RGB", (2, 2), (200, 100, 50))
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    assert Preprocessing((2, 2), channels=1).pixels(colour).unique().tolist() == [124]
    assert Preprocessing((2, 2)).pixels(colour)[:, 0, 0].tolist() == [200, 100, 50]
    grey = Preprocessing((2, 2)).pixels(noise(1, 2, 2))
    assert all(torch.equal(plane, noise(2, 2)) for plane in grey)
    assert Preprocessing((1, 1), channels=1).pixels(Image.new("I;16", (1, 1), 257 * 99)) == 99


def test_more_pixels_than_allowed_are_refused() -> None:
    step = Preprocessing((4, 4), max_pixels=80)
    buffer = io.BytesIO()
    picture(9, 9).save(buffer, "PNG")
    with pytest.raises(PictureError, match="9 x 9 pixels, more than 80"):
        step.pixels(buffer.getvalue())
    with pytest.raises(PictureError, match="9 x 9 pixels, more than 80"):
        step.pixels(picture(9, 9))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a.jpg", "a str is no picture: give a Path"),
        (np.zeros((4, 4), np.int64), r"int64 is no picture.* give uint8, uint16, bool or floats"),
        (np.zeros((3, 5, 5), np.uint8), r"\(3, 5, 5\) is no picture: give \(H, W\) or \(H, W, C"),
        (np.zeros((2, 4, 4, 3), np.uint8), "is no picture"),
        (np.zeros((4, 4, 5), np.uint8), "is no picture"),
        (np.zeros(4, np.uint8), "is no picture"),
        (np.full((4, 4), 255.0), r"lie in \[0, 1\], these in \[255, 255\]"),
        (np.zeros((4, 4), complex), "complex128 is no picture"),
        (np.zeros((0, 4), np.uint8), "is no picture"),
        (torch.zeros(4), "is no picture"),
        (torch.zeros(5, 4, 4), r"\(5, 4, 4\) is no picture: give \(H, W\) or \(C, H, W\)"),
        (torch.zeros(1, 4, 0), "is no picture"),
        (torch.zeros(1, 4, 4, dtype=torch.int64), "is no picture"),
        (torch.full((1, 4, 4), 1.01), r"lie in \[0, 1\]"),
        (torch.full((1, 4, 4), -0.01), r"lie in \[0, 1\]"),
        (torch.full((1, 4, 4), math.nan), r"lie in \[0, 1\]"),
    ],
)
def test_what_is_no_picture_is_named(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Preprocessing((4, 4)).pixels(given)


def test_normalisations_agree_with_float64() -> None:
    batch = noise(6, 3, 4, 5)
    x = batch.double().numpy()
    mean, std = np.array([0.47, 0.45, 0.4]), np.array([0.28, 0.27, 0.29])
    expected = {
        "none": x / 255,
        "dataset": (x / 255 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1),
        "picture": (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True),
    }
    for name, values in expected.items():
        found = normalising(name).values(batch)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.from_numpy(values).float(), rtol=1e-6, atol=1e-6)


def test_the_sums_of_large_pictures_are_exact() -> None:
    batch = noise(2, 3, 301, 301) | 1
    found = Preprocessing((301, 301), normalise="picture").values(batch)
    for x, values in zip(batch, found, strict=True):
        levels = x.flatten().tolist()
        mean = sum(levels) / len(levels)
        std = math.sqrt(sum(v * v for v in levels) / len(levels) - mean * mean)
        assert torch.equal(values, ((x.double() - mean) / std).float())


def test_one_mean_serves_all_channels() -> None:
    step = Preprocessing((2, 2), mean=(0.5,), std=(0.25,))
    torch.testing.assert_close(step(torch.ones(3, 2, 2)), torch.full((3, 2, 2), 2.0))


def test_constant_pictures_become_zero_and_not_infinite() -> None:
    assert not normalising("picture").values(torch.full((2, 3, 4, 5), 77, dtype=torch.uint8)).any()
    step = Preprocessing((2, 2), mean=(1.0,), std=(0.0,))
    assert not step(torch.ones(3, 2, 2)).any()
    assert step(torch.zeros(3, 2, 2)).unique().tolist() == [-1.0]


def test_nearly_constant_pictures_are_divided_by_the_least_std() -> None:
    batch = torch.zeros(1, 1, 10, 10, dtype=torch.uint8)
    batch[0, 0, 3, 4] = 1
    found = Preprocessing((10, 10), channels=1, normalise="picture").values(batch)
    # Its std is 0.0995 levels; the least is 1 / sqrt(100) = 0.1.
    assert found[0, 0, 3, 4].item() == pytest.approx(0.99 / 0.1, rel=1e-6)


@given(
    name=st.sampled_from(NORMALISATIONS),
    count=st.integers(1, 40),
    place=st.integers(0, 39),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 9),
)
@law
def test_a_pictures_values_do_not_depend_on_its_batch(
    name: str, count: int, place: int, size: Any, seed: int
) -> None:
    assume(place < count)
    step = normalising(name, size)
    batch = noise(count, 3, *size, seed=seed)
    alone = step.values(batch[place : place + 1])[0]
    assert torch.equal(step.values(batch)[place], alone)
    assert torch.equal(step(batch[place]), alone)
    assert torch.equal(step.values(batch.flip(0))[count - 1 - place], alone)
    last = batch.contiguous(memory_format=torch.channels_last)
    assert torch.equal(step.values(last)[place], alone)
    wide = torch.cat([batch, batch], 3)[:, :, :, : size[1]]
    assert torch.equal(step.values(wide)[place], alone)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_values_do_not_depend_on_the_number_of_threads(name: str) -> None:
    step, batch = normalising(name, (16, 16)), noise(300, 3, 16, 16)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = step.values(batch)
        torch.set_num_threads(3)
        assert torch.equal(step.values(batch), one)
    finally:
        torch.set_num_threads(threads)


def test_the_largest_whitening_is_exact() -> None:
    # Mantissas and pixels as large as they get: an inexact sum would depend on its order.
    generator = torch.Generator().manual_seed(0)
    wide = torch.randint(-(2**31), 2**31, (3072,), generator=generator)
    mantissas = torch.stack([wide.roll(i) for i in range(3)]).repeat(1024, 1).T.to(torch.int32)
    zca = Zca(mantissas, -31, torch.zeros(3072, dtype=torch.float64))
    pixels = torch.randint(250, 256, (3072,), generator=generator)
    pixels[wide < 0] = 0
    found = zca(pixels.to(torch.uint8).view(1, 3, 32, 32)).flatten()[:3]
    exact = [
        sum(a * b for a, b in zip(wide.roll(i).tolist(), pixels.tolist(), strict=True))
        for i in range(3)
    ]
    assert found.tolist() == [torch.tensor(e * 2.0**-31 / 255).item() for e in exact]


def test_whitening_takes_out_what_pixels_share() -> None:
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(12, 12, generator=generator, dtype=torch.float64) / 4
    plain = torch.randn(4000, 12, generator=generator, dtype=torch.float64)
    batch = (128 + 25 * plain @ mixing).clamp(0, 255).to(torch.uint8).view(-1, 3, 2, 2)
    eps = 1e-3
    zca = Zca.fit(iter(batch.split(700)), eps=eps)
    x = batch.flatten(1).double().numpy() / 255
    spread, axes = np.linalg.eigh(np.cov(x.T, bias=True))
    matrix = axes @ np.diag((spread + eps) ** -0.5) @ axes.T
    white = zca(batch).flatten(1).double().numpy()
    assert np.abs(white - (x - x.mean(0)) @ matrix).max() < 1e-5
    expected = axes @ np.diag(spread / (spread + eps)) @ axes.T
    assert np.abs(np.cov(white.T, bias=True) - expected).max() < 1e-5
    assert (Zca.fit([batch])(batch) - zca(batch)).abs().max() > 0.01  # eps is 0.01 by default


def test_whitening_sums_batches_exactly() -> None:
    batch = noise(600, 1, 3, 3) | 224  # bright: 600 products go beyond float32's whole numbers
    assert Zca.fit([batch]) == Zca.fit(batch.split(1)) == Zca.fit(batch.flip(0).split(257))
    assert Zca.fit([batch]) != Zca.fit([batch[1:]])
    assert hash(Zca.fit([batch])) == hash(Zca.fit(batch.split(1)))


def test_a_whitening_survives_its_bytes() -> None:
    zca = whitening()
    again = Zca.from_bytes(zca.to_bytes())
    assert again == zca
    assert torch.equal(again(noise(2, 3, 4, 5)), zca(noise(2, 3, 4, 5)))


def test_damaged_whitenings_are_refused() -> None:
    content = whitening().to_bytes()
    for damaged in (b"", content[:-8], content[:40], b"\xff" * 100):
        with pytest.raises(DataError, match="the whitening is damaged"):
            Zca.from_bytes(damaged)
    good = whitening()
    for other in (
        dataclasses.replace(good, offset=good.offset[1:]),
        dataclasses.replace(good, offset=good.offset.float()),
        dataclasses.replace(good, offset=good.offset * math.nan),
        dataclasses.replace(good, exponent=5000),
        dataclasses.replace(good, mantissas=good.mantissas.double()),
    ):
        with pytest.raises(DataError, match="the whitening is damaged"):
            Zca.from_bytes(other.to_bytes())


def test_whitening_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(UsageError, match=r"3 x 33 x 33 = 3267: choose a smaller size"):
        Zca.fit([noise(2, 3, 33, 33)])
    with pytest.raises(UsageError, match="not 0 and"):
        Zca.fit([])
    for eps in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="eps above 0"):
            Zca.fit([noise(2, 1, 2, 2)], eps=eps)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=4), channels=st.sampled_from([1, 3]))
@law
def test_moments_are_numpys(counts: list[int], channels: int) -> None:
    moments = Moments()
    batches = [noise(n, channels, 5, 4, seed=i) for i, n in enumerate(counts)]
    for batch in batches:
        moments.add(batch)
    x = torch.cat(batches).numpy() / 255
    assert moments.mean == pytest.approx(x.mean((0, 2, 3)), rel=1e-12)
    assert moments.std == pytest.approx(x.std((0, 2, 3)), rel=1e-12)
    whole = Moments()
    whole.add(torch.cat(batches))
    assert (whole.mean, whole.std) == (moments.mean, moments.std)


def test_moments_of_large_pictures_are_numpys() -> None:
    moments, batch = Moments(), noise(3, 3, 230, 200)
    batch[1] = 255
    moments.add(batch)
    x = batch.numpy() / 255
    assert moments.mean == pytest.approx(x.mean((0, 2, 3)), rel=1e-12)
    assert moments.std == pytest.approx(x.std((0, 2, 3)), rel=1e-12)


def test_moments_of_nothing_are_refused() -> None:
    for name in ("mean", "std"):
        with pytest.raises(DataError, match="no pictures"):
            getattr(Moments(), name)


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    channels, fit = draw(st.sampled_from([1, 3])), draw(st.sampled_from(FITS))
    numbers = st.lists(st.floats(0, 10), min_size=channels, max_size=channels).map(tuple)
    return Preprocessing(
        size=draw(st.tuples(sides, sides)),
        channels=channels,
        fit=fit,
        share=draw(st.floats(0.01, 1)) if fit == "crop" else 1.0,
        filter=draw(st.sampled_from(list(FILTERS))),
        normalise=draw(st.sampled_from([n for n in NORMALISATIONS if n != "zca"])),
        mean=draw(numbers),
        std=draw(numbers),
        max_pixels=draw(st.integers(1600, 10**9)),
    )


@given(step=preprocessings())
@law
def test_json_gives_back_the_same_preprocessing(step: Preprocessing) -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(step.to_json()))) == step


def test_a_whitening_travels_beside_the_json() -> None:
    step = normalising("zca")
    document = json.loads(json.dumps(step.to_json()))
    assert Preprocessing.from_json(document, zca=whitening((3, 4, 5))) == step
    assert Preprocessing.from_json(document, zca=whitening((3, 4, 5), seed=1)) != step
    with pytest.raises(DataError, match="a whitening is given"):
        Preprocessing.from_json(document)


def test_every_field_is_in_the_json() -> None:
    names = {field.name for field in dataclasses.fields(Preprocessing)}
    assert set(Preprocessing((4, 4)).to_json()) == names - {"zca"}


@pytest.mark.parametrize(
    "change",
    [
        {"colour": 1},
        {"size": [0, 4]},
        {"size": [4]},
        {"size": 4},
        {"size": ["4", 4]},
        {"size": [4.0, 4]},
        {"size": [True, 4]},
        {"size": [10**6, 10**6]},
        {"channels": 2},
        {"channels": 3.0},
        {"fit": "crap"},
        {"fit": None},
        {"filter": ["box"]},
        {"normalise": "imagenet"},
        {"share": 0},
        {"share": 1.5},
        {"share": "1"},
        {"share": math.nan},
        {"share": 0.5, "fit": "pad"},
        {"mean": [0.1, 0.2]},
        {"mean": 0.1},
        {"mean": []},
        {"mean": [math.nan]},
        {"mean": ["0"]},
        {"std": [-0.1]},
        {"std": [math.inf]},
        {"std": []},
        {"max_pixels": 15},
        {"max_pixels": 1e9},
    ],
)
def test_bad_values_are_refused(change: dict[str, Any]) -> None:
    document = {**Preprocessing((4, 4)).to_json(), **change}
    with pytest.raises(DataError, match="the preprocessing"):
        Preprocessing.from_json(document)
    if "colour" not in change:
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items()
        }
        with pytest.raises(UsageError):
            Preprocessing(**fields)


def test_a_missing_key_is_refused() -> None:
    document = Preprocessing((4, 4)).to_json()
    for key in document:
        with pytest.raises(DataError, match=f"missing keys: {key}"):
            Preprocessing.from_json({k: v for k, v in document.items() if k != key})


def test_a_whitening_must_fit_and_be_asked_for() -> None:
    with pytest.raises(UsageError, match="for 60 features, a picture has 48"):
        Preprocessing((4, 4), normalise="zca", zca=whitening((3, 4, 5)))
    with pytest.raises(UsageError, match="only then"):
        Preprocessing((4, 5), normalise="none", zca=whitening((3, 4, 5)))


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown filter 'biliner': did you mean bilinear"):
        Preprocessing((4, 4), filter="biliner")


def test_one_line_says_what_happens() -> None:
    step = dataclasses.replace(normalising("dataset"), size=(64, 48), share=0.875)
    assert step.describe() == (
        "crop 0.875 to 64x48 (bilinear), RGB, dataset mean 0.47 0.45 0.40, std 0.28 0.27 0.29"
    )
    plain = Preprocessing((8, 8), channels=1, fit="pad", filter="box", normalise="none")
    assert plain.describe() == "pad to 8x8 (box), grey, values in [0, 1]"
    for name in NORMALISATIONS:
        assert "\n" not in normalising(name).describe()
