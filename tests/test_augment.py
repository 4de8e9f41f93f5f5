"""Random changes against torchvision and brute force, and their independence of the batch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from striate import devices
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.augmenting.chance import CHANGES as DRAWS
from striate.data.augmenting.chance import uniform
from striate.errors import UsageError

law = settings(deadline=None, derandomize=True, max_examples=40)
ALL = Augmentation(
    crop_padding=3,
    flip=True,
    brightness=0.4,
    contrast=0.5,
    saturation=0.6,
    hue=0.3,
    rotate=20,
    translate=0.1,
    zoom=0.2,
    alternate_flip=True,
    resized_crop=0.5,
    policy="trivial-wide",
    cutout=0.2,
    erase=0.5,
)
EACH = {
    "crop": Augmentation(crop_padding=3),
    "flip": Augmentation(flip=True),
    "brightness": Augmentation(brightness=0.4),
    "contrast": Augmentation(contrast=0.5),
    "saturation": Augmentation(saturation=0.6),
    "hue": Augmentation(hue=0.3),
    "rotate": Augmentation(rotate=20),
    "translate": Augmentation(translate=0.2),
    "zoom": Augmentation(zoom=0.3),
    "alternate flip": Augmentation(flip=True, alternate_flip=True),
    "resized crop": Augmentation(resized_crop=0.2),
    "trivial-wide": Augmentation(policy="trivial-wide"),
    "rand-augment": Augmentation(policy="rand-augment", policy_operations=3),
    "cutout": Augmentation(cutout=0.4),
    "erase": Augmentation(erase=0.9),
    "all": ALL,
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def smooth(count: int, channels: int, height: int, width: int) -> Tensor:
    """Draw waves, so that a shift by a little changes little."""
    y, x = torch.arange(height).view(-1, 1) / 9, torch.arange(width) / 11
    phases = torch.arange(count * channels).view(count, channels, 1, 1)
    return (127.5 + 127 * torch.sin(y * 1.3 + x + phases)).round().to(torch.uint8)


def draws(count: int, seed: int = 3, epoch: int = 5) -> dict[str, Tensor]:
    drawn = uniform(seed, epoch, torch.arange(count), len(DRAWS))
    return dict(zip(DRAWS, drawn.unbind(1), strict=True))


def changed(images: Tensor, how: Augmentation, seed: int = 3, epoch: int = 5) -> Tensor:
    return augment(images, torch.arange(len(images)), how, seed=seed, epoch=epoch)


def mixed(state: int) -> int:
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6), index=st.integers(0, 2**40))
@law
def test_draws_are_splitmix64_of_seed_epoch_and_index(seed: int, epoch: int, index: int) -> None:
    golden = 0x9E3779B97F4A7C15
    stream = mixed(devices.seed_of(seed, epoch) ^ mixed((index + 1) * golden % 2**64))
    expected = [(mixed((stream + (i + 1) * golden) % 2**64) >> 11) / 2**53 for i in range(4)]
    found = uniform(seed, epoch, torch.tensor([9, index]), 4)
    assert found.dtype == torch.float64
    assert found[1].tolist() == expected
    assert uniform(seed, epoch, torch.tensor([index]), 2)[0].tolist() == expected[:2]


def test_draws_are_uniform_and_unrelated() -> None:
    count = 20_000
    columns = [uniform(0, 0, torch.arange(count), 3), uniform(0, 1, torch.arange(count), 1)]
    columns += [uniform(1, 0, torch.arange(count), 1), columns[0][:, :1].roll(1, 0)]
    table = torch.cat(columns, 1).numpy()
    assert table.min() >= 0
    assert table.max() < 1
    even = (np.arange(count) + 0.5) / count
    # Kolmogorov and Smirnov: above 1.95 / sqrt(n) once in a thousand.
    assert np.abs(np.sort(table, 0) - even[:, None]).max() < 1.95 / math.sqrt(count)
    related = np.corrcoef(table.T) - np.eye(table.shape[1])
    assert np.abs(related).max() < 4 / math.sqrt(count)


def test_with_everything_off_the_images_come_back() -> None:
    images = noise(2, 3, 8, 8)
    assert changed(images, Augmentation()) is images


@pytest.mark.parametrize("name", EACH)
def test_each_change_changes_colours_and_repeats_itself(name: str) -> None:
    images = noise(8, 3, 20, 24)
    before = images.clone()
    found = changed(images, EACH[name])
    assert (found.shape, found.dtype) == (images.shape, torch.uint8)
    assert not torch.equal(found, images)
    assert torch.equal(images, before)
    assert torch.equal(changed(images, EACH[name]), found)
    assert not torch.equal(changed(images, EACH[name], seed=4), found)
    assert not torch.equal(changed(images, EACH[name], epoch=6), found)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("channels", [1, 3])
@given(
    count=st.integers(1, 128),
    size=st.tuples(st.integers(4, 13), st.integers(4, 13)),
    seed=st.integers(0, 10**9),
)
@settings(deadline=None, derandomize=True, max_examples=8)
def test_a_picture_does_not_depend_on_its_batch(
    name: str, channels: int, count: int, size: Any, seed: int
) -> None:
    images, indices = noise(count, channels, *size, seed=seed), torch.arange(count) * 7
    how, chance = EACH[name], {"seed": seed, "epoch": 2}
    together = augment(images, indices, how, **chance)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(augment(images[order], indices[order], how, **chance), together[order])
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(last, indices, how, **chance), together)
    for place in {0, count // 2, count - 1}:
        one = slice(place, place + 1)
        assert torch.equal(augment(images[one], indices[one], how, **chance), together[one])


def test_the_number_of_threads_does_not_matter() -> None:
    images, threads = noise(64, 3, 32, 32), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = changed(images, ALL)
        torch.set_num_threads(3)
        assert torch.equal(changed(images, ALL), one)
    finally:
        torch.set_num_threads(threads)


@given(
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    padding=st.integers(0, 11),
    flip=st.booleans(),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 10**6),
)
@law
def test_a_crop_is_cut_from_the_reflected_picture(
    size: tuple[int, int], padding: int, flip: bool, channels: int, seed: int
) -> None:
    padding = min(padding, min(size) - 1)
    images, drawn = noise(5, channels, *size), draws(5, seed)
    found = changed(images, Augmentation(crop_padding=padding, flip=flip), seed)
    wide = F.pad(images.float(), [padding] * 4, mode="reflect").to(torch.uint8)
    for i in range(5):
        top, left = (int(drawn[k][i] * (2 * padding + 1)) for k in ("crop_y", "crop_x"))
        cut = wide[i, :, top : top + size[0], left : left + size[1]]
        expected = cut.flip(2) if flip and drawn["flip"][i] < 0.5 else cut
        assert torch.equal(found[i], expected)


def test_alternating_flips_show_each_picture_both_ways_in_two_epochs() -> None:
    images, how = noise(200, 1, 3, 4), Augmentation(flip=True, alternate_flip=True)
    mirrored = images.flip(3)
    flips = []
    for epoch in range(4):
        found = changed(images, how, epoch=epoch)
        flipped = (found == mirrored).flatten(1).all(1)
        assert torch.equal(torch.where(flipped.view(-1, 1, 1, 1), mirrored, images), found)
        flips.append(flipped)
    assert torch.equal(flips[0], draws(200, epoch=0)["flip"] < 0.5)
    assert torch.equal(flips[1], ~flips[0])
    assert torch.equal(flips[2], flips[0])
    assert torch.equal(flips[3], flips[1])
    assert 60 < int(flips[0].sum()) < 140


def test_every_shift_and_flip_is_as_likely() -> None:
    count, places = 9000, torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5)
    images = places.expand(count, 1, 5, 5)
    found = changed(images, Augmentation(crop_padding=1, flip=True))
    centres = torch.stack([found[:, 0, 2, 2], found[:, 0, 2, 3]], 1)
    kinds, counts = centres.unique(dim=0, return_counts=True)
    assert len(kinds) == 9 * 2
    # A binomial of 9000 draws at 1 / 18: mean 500, standard deviation 22.
    assert (counts - 500).abs().max() < 5 * 22


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_as_in_torchvision(name: str, strength: float) -> None:
    strength = min(strength, 0.5) if name == "hue" else strength
    images = torch.cat([noise(30, 3, 9, 7), noise(2, 3, 1, 1).expand(2, 3, 9, 7)])
    setting: dict[str, Any] = {name: strength}
    found = changed(images, Augmentation(**setting)).float() / 255
    adjust = getattr(vision, f"adjust_{name}")
    low = -strength if name == "hue" else max(0.0, 1 - strength)
    high = strength if name == "hue" else 1 + strength
    factors = (low + draws(32)[name] * (high - low)).tolist()
    expected = [adjust(x / 255, factor) for x, factor in zip(images, factors, strict=True)]
    assert (found - torch.stack(expected)).abs().max() <= 0.5 / 255 + 1e-5
    assert strength == 0 or max(factors) - min(factors) > (high - low) * 0.8


def test_colours_change_in_a_fixed_order() -> None:
    images, how = noise(16, 3, 8, 8), Augmentation(0, False, 0.4, 0.5, 0.6, 0.3)
    x, drawn = images / 255, draws(16)
    expected = []
    for i, picture in enumerate(x):
        for name in ("brightness", "contrast", "saturation"):
            factor = 1 + getattr(how, name) * (2 * float(drawn[name][i]) - 1)
            picture = getattr(vision, f"adjust_{name}")(picture, factor)
        expected.append(vision.adjust_hue(picture, 0.3 * (2 * float(drawn["hue"][i]) - 1)))
    found = changed(images, how).float() / 255
    assert (found - torch.stack(expected)).abs().max() <= 0.5 / 255 + 1e-4


def test_grey_pictures_have_neither_saturation_nor_hue() -> None:
    images = noise(8, 1, 6, 6)
    assert changed(images, Augmentation(saturation=0.5, hue=0.5)) is images
    both = changed(images, Augmentation(contrast=0.5, saturation=0.5, hue=0.5))
    assert torch.equal(both, changed(images, Augmentation(contrast=0.5)))
    colour = changed(images.expand(-1, 3, -1, -1), Augmentation(contrast=0.5))
    assert (colour[:, :1].int() - both.int()).abs().max() <= 1


@given(
    rotate=st.floats(0, 180),
    translate=st.floats(0, 0.2),
    zoom=st.floats(0, 0.4),
    size=st.tuples(st.integers(30, 50), st.integers(30, 50)),
    channels=st.sampled_from([1, 3]),
)
@law
def test_a_moved_picture_is_torchvisions_affine(
    rotate: float, translate: float, zoom: float, size: tuple[int, int], channels: int
) -> None:
    images, drawn = smooth(4, channels, *size), draws(4)
    found = changed(images, Augmentation(rotate=rotate, translate=translate, zoom=zoom))
    for i in range(4):
        turn, grow, right, down = (
            2 * float(drawn[k][i]) - 1 for k in ("rotate", "zoom", "translate_x", "translate_y")
        )
        options: dict[str, Any] = {
            "angle": turn * rotate,
            "translate": [right * translate * size[1], down * translate * size[0]],
            "scale": 1 + grow * zoom,
            "shear": [0.0, 0.0],
            "interpolation": InterpolationMode.BILINEAR,
        }
        expected = vision.affine(images[i].float(), **options)
        inside = vision.affine(torch.ones(1, *size), **options)[0] > 1 - 1e-6
        apart = (found[i].float() - expected).abs()[:, inside]
        # Rounding takes half a level, torchvision's float32 matrix the rest.
        assert apart.max() <= 0.6
        assert inside.float().mean() > 0.2


def test_beyond_the_border_a_moved_picture_is_reflected() -> None:
    images = torch.full((16, 3, 12, 12), 200, dtype=torch.uint8)
    how = Augmentation(rotate=45, translate=0.5, zoom=0.5)
    assert torch.equal(changed(images, how), images)
    slope = torch.arange(0, 240, 20, dtype=torch.uint8).expand(64, 1, 12, 12)
    found = changed(slope, Augmentation(translate=0.25)).float()
    shift = (2 * draws(64)["translate_x"] - 1) * 3
    source = (torch.arange(12) - shift[:, None]).float()  # (N, W)
    mirrored = 12 - (12 - (source + 0.5).abs()).abs() - 0.5
    expected = 20 * mirrored.clamp(0, 11)
    assert (found[:, 0, 6] - expected).abs().max() <= 0.51


def test_one_setting_does_not_move_what_another_draws() -> None:
    images = noise(16, 3, 12, 12)
    steps = changed(images, Augmentation(crop_padding=3, flip=True))
    steps = changed(steps, Augmentation(brightness=0.4, hue=0.2))
    how = Augmentation(crop_padding=3, flip=True, brightness=0.4, hue=0.2)
    assert torch.equal(changed(images, how), steps)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("crop_padding", [-1, 1.5]),
        ("brightness", [-0.1, math.inf, math.nan]),
        ("contrast", [-0.1, math.inf, math.nan]),
        ("saturation", [-0.1, math.inf, math.nan]),
        ("hue", [-0.1, 0.51, math.nan]),
        ("rotate", [-1, 181, math.nan]),
        ("translate", [-0.1, 1.1, math.nan]),
        ("zoom", [-0.1, 1, math.nan]),
        ("resized_crop", [-0.1, 1.1, math.nan]),
        ("cutout", [-0.1, 1.1, math.nan]),
        ("erase", [-0.1, 1.1, math.nan]),
    ],
)
def test_values_out_of_range_are_named(field: str, bad: list[Any]) -> None:
    for value in bad:
        with pytest.raises(UsageError, match=rf"{field} is .*not {value}"):
            Augmentation(**{field: value})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"policy": "rand"}, "unknown policy 'rand': choose one of none, trivial-wide"),
        ({"policy_operations": 9}, "policy_operations lies in 1 to 8, not 9"),
        ({"policy_magnitude": 31}, "policy_magnitude lies in 0 to 30, not 31"),
        ({"alternate_flip": True}, "alternate_flip says when pictures are mirrored"),
    ],
)
def test_choices_that_mean_nothing_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Augmentation(**given)


@pytest.mark.parametrize("size", [(4, 9), (9, 4)])
def test_a_crop_moves_less_than_the_picture_is_wide(size: tuple[int, int]) -> None:
    changed(noise(2, 1, *size), Augmentation(crop_padding=3))
    with pytest.raises(UsageError, match=r"crop_padding 4 is not below the side of (4 x 9|9 x 4)"):
        changed(noise(2, 1, *size), Augmentation(crop_padding=4))
