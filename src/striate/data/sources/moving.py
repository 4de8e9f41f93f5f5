"""Moving digits: clips made of MNIST, labelled with the direction in which a digit moves.

The picture is a torus: what leaves it on one side comes in on the other. A digit starts anywhere on
it with equal odds, so at any one time it may be anywhere with equal odds, whatever its direction: a
single frame says nothing about the label. Only the order of frames does.
"""

import numpy as np
from numpy.typing import NDArray

from striate.data.splits import Data, Origin, Split
from striate.errors import UsageError

from . import named

FRAMES = 16
SIDE = 32  # pixels; a digit has 28, with a border of 4 at least
FASTEST = 2  # pixels from frame to frame, along each axis that it moves on
# Steps down and to the right.
DIRECTIONS = {
    "right": (0, 1),
    "left": (0, -1),
    "down": (1, 0),
    "up": (-1, 0),
    "down-right": (1, 1),
    "down-left": (1, -1),
    "up-right": (-1, 1),
    "up-left": (-1, -1),
}
COUNTS = {"train": 4000, "test": 2000}


def moving_digits(*, directions: int = 8) -> Data:
    """Make clips (16, 32, 32) of digits that move in 4 or 8 directions, the same ones each time."""
    if directions not in (4, 8):
        raise UsageError(f"digits move in 4 or 8 directions, not {directions}")
    mnist = named.listed("mnist")
    names = tuple(DIRECTIONS)[:directions]
    splits = {
        part: _split(np.asarray(mnist.splits[part].pictures), part, directions) for part in COUNTS
    }
    sizes = " + ".join(f"{count:,}" for count in COUNTS.values())
    layout = (
        f"moving-digits: {sizes} clips of {FRAMES} frames, {SIDE}x{SIDE} grey, made of MNIST; the "
        f"class is the direction of motion, one of {directions}"
    )
    option = "" if directions == 8 else f":directions={directions}"
    origin = Origin("named", f"moving-digits{option}")
    return Data("moving-digits", origin, names, splits, layout)


def clips(
    digits: NDArray[np.uint8], starts: NDArray[np.int64], steps: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Move digits (N, H, W) over a torus: starts and steps (N, 2), down and right, in pixels."""
    count, height, width = digits.shape
    canvas = np.zeros((count, SIDE, SIDE), np.uint8)
    canvas[:, :height, :width] = digits
    times = np.arange(FRAMES)[:, None]
    y, x = (starts[:, axis, None, None] + times * steps[:, axis, None, None] for axis in (0, 1))
    places = np.arange(SIDE)
    rows = (places - y) % SIDE  # (N, T, SIDE)
    columns = (places - x) % SIDE
    # Row by row, then column by column: (N, T, SIDE, SIDE).
    moved: NDArray[np.uint8] = canvas[
        np.arange(count)[:, None, None, None], rows[:, :, :, None], columns[:, :, None, :]
    ]
    return moved


def _split(digits: NDArray[np.uint8], part: str, directions: int) -> Split:
    random = np.random.default_rng([directions, list(COUNTS).index(part)])
    count = COUNTS[part]
    chosen = digits[random.permutation(len(digits))[:count]]
    labels = np.arange(count) % directions
    pace = random.integers(1, FASTEST + 1, (count, 1))
    steps = np.array(list(DIRECTIONS.values()))[labels] * pace
    starts = random.integers(0, SIDE, (count, 2))
    names = [f"{part}/{number:05d}" for number in range(count)]
    return Split(clips(chosen, starts, steps), labels, names, "clips")
