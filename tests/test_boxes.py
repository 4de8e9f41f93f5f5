"""Random crops and covered boxes against torchvision's, picture by picture."""

import math
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from striate.data.augmenting import boxes
from striate.data.augmenting.boxes import Box
from striate.data.augmenting.chance import ATTEMPTS, CUTOUT, ERASED, RESIZED, Chance

law = settings(deadline=None, derandomize=True, max_examples=40)
sides = st.tuples(st.integers(1, 40), st.integers(1, 40))
COUNT = 24


def noise(channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    shape = (COUNT, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def drawn(seed: int, names: tuple[str, ...]) -> list[dict[str, float]]:
    found = Chance(seed, 2, torch.arange(COUNT)).draw(names)
    return [{name: float(values[i]) for name, values in found.items()} for i in range(COUNT)]


def parts(box: Box) -> list[list[int]]:
    return torch.stack(list(box), 1).tolist()


def place(draw: float, extent: int, side: int) -> int:
    return int(draw * (side - extent + 1))


def crop(draws: dict[str, float], height: int, width: int, least: float) -> list[int]:
    """Choose a box as torchvision's RandomResizedCrop does, one attempt after the other."""
    low, high = math.log(3 / 4), math.log(4 / 3)
    for i in range(ATTEMPTS):
        area = (least + draws[f"resized_area_{i}"] * (1 - least)) * height * width
        aspect = math.exp(low + draws[f"resized_aspect_{i}"] * (high - low))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return [place(draws["resized_y"], h, height), place(draws["resized_x"], w, width), h, w]
    w, h = width, height
    if width / height < 3 / 4:
        h = round(w / (3 / 4))
    elif width / height > 4 / 3:
        w = round(h * (4 / 3))
    return [(height - h) // 2, (width - w) // 2, h, w]


@given(size=sides, least=st.floats(0.01, 1), seed=st.integers(0, 1000))
@law
def test_a_crop_is_chosen_as_torchvision_does(
    size: tuple[int, int], least: float, seed: int
) -> None:
    found = boxes.crop_box(Chance(seed, 2, torch.arange(COUNT)), *size, least=least)
    expected = [crop(draws, *size, least) for draws in drawn(seed, RESIZED)]
    assert parts(found) == expected


@given(size=sides, channels=st.sampled_from([1, 3, 6]), seed=st.integers(0, 1000))
@law
def test_a_crop_is_resized_as_torchvision_does(
    size: tuple[int, int], channels: int, seed: int
) -> None:
    images, chance = noise(channels, *size), Chance(seed, 2, torch.arange(COUNT))
    box = boxes.crop_box(chance, *size, least=0.1)
    found = boxes.crop_and_resize(images, chance, least=0.1).int()
    # Nothing is made smaller, so antialiasing has no part in it (and fails for a width of 1).
    expected = [
        vision.resized_crop(image.double(), *part, list(size), antialias=False)
        for image, part in zip(images, parts(box), strict=True)
    ]
    apart = found - torch.stack(expected)
    assert apart.abs().max() <= 1.001  # two passes in whole numbers, each rounded
    assert (found - torch.stack(expected).round()).abs().max() <= 1
    assert apart.square().mean().sqrt() <= 0.5


def erased(draws: dict[str, float], height: int, width: int, share: float) -> list[int] | None:
    """Choose a box as torchvision's RandomErasing does."""
    low, high = math.log(0.3), math.log(3.3)
    for i in range(ATTEMPTS if draws["erase"] < share else 0):
        area = (0.02 + draws[f"erase_area_{i}"] * (0.33 - 0.02)) * height * width
        aspect = math.exp(low + draws[f"erase_aspect_{i}"] * (high - low))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h < height and w < width:
            return [place(draws["erase_y"], h, height), place(draws["erase_x"], w, width), h, w]
    return None


def mean_colour(image: Tensor) -> Tensor:
    return (image.double().mean((1, 2), keepdim=True) + 1e-9).round()


@given(size=sides, channels=st.sampled_from([1, 3]), share=st.floats(0, 1), seed=st.integers(0, 99))
@law
def test_a_box_is_erased_as_torchvision_does(
    size: tuple[int, int], channels: int, share: float, seed: int
) -> None:
    images = noise(channels, *size)
    found = boxes.erase(images, Chance(seed, 2, torch.arange(COUNT)), share=share)
    for image, draws, own in zip(images, drawn(seed, ERASED), found, strict=True):
        part = erased(draws, *size, share)
        expected = image if part is None else vision.erase(image, *part, mean_colour(image))
        assert torch.equal(own, expected.to(torch.uint8))


@given(size=sides, side=st.floats(0.01, 1), seed=st.integers(0, 99))
@law
def test_a_cutout_is_a_square_about_a_pixel(size: tuple[int, int], side: float, seed: int) -> None:
    images, (height, width) = noise(3, *size), size
    found = boxes.cut_out(images, Chance(seed, 2, torch.arange(COUNT)), side=side)
    high, wide = max(1, round(side * height)), max(1, round(side * width))
    for image, draws, own in zip(images, drawn(seed, CUTOUT), found, strict=True):
        y, x = int(draws["cutout_y"] * height), int(draws["cutout_x"] * width)
        top, left = y - high // 2, x - wide // 2
        rows = slice(max(top, 0), max(top + high, 0))
        columns = slice(max(left, 0), max(left + wide, 0))
        expected: Any = image.clone()
        expected[:, rows, columns] = mean_colour(image).to(torch.uint8)
        assert torch.equal(own, expected)
        assert rows.start <= y < rows.stop
