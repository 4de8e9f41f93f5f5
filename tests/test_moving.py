"""Moving digits: the label is the motion, one frame says nothing, and the clips stay the same."""

from pathlib import Path

import numpy as np
import pytest

from striate.data import find
from striate.data.sources.moving import DIRECTIONS, SIDE, clips
from striate.errors import UsageError

# A step down, and a step to the right.
WORDS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


def test_each_frame_is_the_last_one_rolled_by_the_step() -> None:
    random = np.random.default_rng(0)
    digits = random.integers(0, 256, (4, 28, 28), dtype=np.uint8)
    starts = random.integers(0, SIDE, (4, 2))
    steps = np.array([[0, 1], [-2, 2], [1, 0], [-1, -1]])
    found = clips(digits, starts, steps)
    assert found.shape == (4, 16, SIDE, SIDE)
    for clip, start, step, digit in zip(found, starts, steps, digits, strict=True):
        canvas = np.zeros((SIDE, SIDE), np.uint8)
        canvas[:28, :28] = digit
        for time, frame in enumerate(clip):
            np.testing.assert_array_equal(frame, np.roll(canvas, start + time * step, (0, 1)))


@pytest.mark.parametrize("directions", [4, 8])
def test_labels_are_directions_and_every_start_is_as_likely(
    directions: int, shared_data: Path
) -> None:
    if not (shared_data / "MNIST").is_dir():
        pytest.skip("STRIATE_DATA has no MNIST")
    found = find(f"moving-digits:directions={directions}")
    assert found.kind == "clips"
    assert found.classes == tuple(DIRECTIONS)[:directions]
    test = found.splits["test"]
    assert np.ptp(np.bincount(test.labels)) <= 1
    pictures = np.asarray(test.pictures)
    for clip, label in zip(pictures[:64], test.labels[:64], strict=True):
        words = found.classes[label].split("-")
        y, x = (sum(WORDS[word][axis] for word in words) for axis in (0, 1))
        paces = [
            pace
            for pace in (1, 2)
            if (np.roll(clip[0], (y * pace, x * pace), (0, 1)) == clip[1]).all()
        ]
        assert len(paces) == 1
    # Over all clips each pixel is as bright as any other, in the first frame and in the last.
    for time in (0, 15):
        mean = pictures[:, time].mean((0, 1)), pictures[:, time].mean((0, 2))
        for along in mean:
            assert np.ptp(along) < 0.2 * along.mean()
    again = find(f"moving-digits:directions={directions}")
    np.testing.assert_array_equal(np.asarray(again.splits["test"].pictures), pictures)


def test_other_numbers_of_directions_are_refused() -> None:
    with pytest.raises(UsageError, match="4 or 8 directions, not 5"):
        find("moving-digits:directions=5")
    with pytest.raises(UsageError, match="a whole number"):
        find("moving-digits:directions=all")
