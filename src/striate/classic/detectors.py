"""Filters made by hand: lines at any angle, edges, gratings, blobs; and filters from a file.

All but those from a file sum to zero, so that even ground gives nothing, and their positive
weights to one. Angles are in degrees, counter-clockwise from a horizontal line.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError, choose

from .filterfiles import SUFFIXES, read

Weights = NDArray[np.float64]
LARGEST = 99  # cells a side


class Detector(NamedTuple):
    """How to make a filter from the numbers behind its name."""

    make: Callable[..., Weights]
    numbers: tuple[str, ...] = ()  # what they mean, in order


class Filter(NamedTuple):
    """A filter and the name by which it was asked for."""

    name: str
    weights: Weights  # (e, e), or (C, e, e) with a slice for each channel


def line(angle: float = 90.0, size: int = 3) -> Weights:
    """Return a bright line through the middle, one cell thick, on dark ground: (size, size).

    >>> line(90) * 6
    array([[-1.,  2., -1.],
           [-1.,  2., -1.],
           [-1.,  2., -1.]])
    """
    _, across = _turned(size, angle)
    covered = np.clip(1 - np.abs(across), 0, 1)  # share of a cell that the line covers
    return _balanced(covered, 1 - covered)


def sobel(angle: float = 90.0) -> Weights:
    """Return an edge along a direction, bright on its right, or below where it lies flat: (3, 3).

    Between Sobel's own two (90 and 0 degrees) it is their mixture, as their gradient is.

    >>> sobel(90) * 4
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    upright, flat = np.outer(smooth, slope), np.outer(slope, smooth)
    radians = math.radians(angle)
    # Rounded, for the same reason as in _turned.
    weights = np.round(math.sin(radians) * upright + math.cos(radians) * flat, 12)
    return _balanced(np.maximum(weights, 0), np.maximum(-weights, 0))


def gabor(angle: float = 90.0, wavelength: float = 4.0) -> Weights:
    """Return bright and dark lines in turn, `wavelength` cells from bright to bright, under a bell.

    The bell is as wide as that of simple cells in the striate cortex: a bandwidth of one octave.
    """
    sigma = 0.56 * wavelength
    along, across = _turned(_odd(6 * sigma), angle)
    bell = np.exp(-(across**2 + along**2) / (2 * sigma**2))
    return _trimmed(bell * np.cos(2 * np.pi * across / wavelength))


def blob(sigma: float = 1.0) -> Weights:
    """Return a bright spot on dark ground, the negative Laplacian of a Gaussian of width `sigma`.

    It answers most to discs of radius sqrt(2) sigma.
    """
    x, y = _turned(_odd(8 * sigma), 0.0)
    square = (x**2 + y**2) / (2 * sigma**2)
    return _trimmed((1 - square) * np.exp(-square))


DETECTORS = {
    "vertical": Detector(lambda: line(90)),
    "horizontal": Detector(lambda: line(0)),
    "line": Detector(line, ("angle", "size")),
    "sobel": Detector(sobel, ("angle",)),
    "gabor": Detector(gabor, ("angle", "wavelength")),
    "blob": Detector(blob, ("sigma",)),
}


def find(text: str) -> Filter:
    """Make the filter that a text names: `vertical`, `line:30`, `line:30:7`, or a file.

    >>> find("sobel:0").weights.shape
    (3, 3)
    """
    name, *given = text.split(":")
    if name not in DETECTORS and (Path(text).suffix.lower() in SUFFIXES or Path(text).exists()):
        return Filter(Path(text).name, _checked(text, read(Path(text))))
    detector = DETECTORS[choose("filter", name, [*DETECTORS, *(f"FILE{s}" for s in SUFFIXES)])]
    if len(given) > len(detector.numbers):
        form = ":".join([name, *(number.upper() for number in detector.numbers)])
        raise UsageError(f"filter {text} has too many numbers: its form is {form}")
    named = zip(detector.numbers, given, strict=False)
    return Filter(text, detector.make(*(_number(text, name, value) for name, value in named)))


def named(texts: Sequence[str]) -> list[Filter]:
    """Make filters from texts, each of which is a file's name, or names with commas between."""
    many = [[text] if Path(text).exists() else text.split(",") for text in texts]
    found = [find(one.strip()) for some in many for one in some if one.strip()]
    if not found:
        raise UsageError(f"--filter names no filter: choose from {', '.join(DETECTORS)}, or a file")
    return found


def _number(text: str, argument: str, value: str) -> Any:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"filter {text}: {argument} is a number, not {value!r}")
    if argument == "size" and not (number % 2 == 1 and 3 <= number <= LARGEST):
        raise UsageError(f"filter {text}: size is odd, 3 to {LARGEST}, not {value}")
    if argument == "wavelength" and not 2 <= number <= 25:
        raise UsageError(f"filter {text}: a wavelength is 2 to 25 cells, not {value}")
    if argument == "sigma" and not 0.5 <= number <= 12:
        raise UsageError(f"filter {text}: sigma is 0.5 to 12 cells, not {value}")
    return int(number) if argument == "size" else number


def _checked(text: str, weights: Weights) -> Weights:
    if weights.ndim not in (2, 3) or weights.size == 0:
        raise UsageError(f"{text}: a filter is a matrix, or one for each of a picture's channels")
    if max(weights.shape) > LARGEST:
        raise UsageError(f"{text}: a filter has at most {LARGEST} cells a side")
    return weights


def _turned(size: int, angle: float) -> tuple[Weights, Weights]:
    """Return how far each cell (size, size) lies along a direction from the middle, and across."""
    half = size // 2
    y, x = np.mgrid[half : -half - 1 : -1, -half : half + 1].astype(np.float64)  # y grows upwards
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Rounded, as the cosine of 90 degrees is not quite 0, and cells must not tilt by that.
    return np.round(x * cos + y * sin, 12), np.round(x * sin - y * cos, 12)


def _balanced(bright: Weights, dark: Weights) -> Weights:
    """Weigh bright cells against dark ones: a sum of 0, and of 1 over the positive weights."""
    weights = bright / bright.sum() - dark / dark.sum()
    return np.asarray(weights / weights[weights > 0].sum())


def _trimmed(weights: Weights) -> Weights:
    """Balance weights without those under a hundredth of the greatest: ripples, and rounding."""
    kept = np.where(np.abs(weights) < 0.01 * np.abs(weights).max(), 0.0, weights)
    return _balanced(np.maximum(kept, 0), np.maximum(-kept, 0))


def _odd(cells: float) -> int:
    return 2 * math.ceil(cells / 2) + 1
