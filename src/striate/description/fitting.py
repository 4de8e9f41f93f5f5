"""The largest batch whose training step fits into memory, as it is predicted."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from striate.errors import UsageError

from . import describe
from .numbers import size as bytes_as


class Batch(NamedTuple):
    """A number of examples, and the bytes that a step on them is predicted to take."""

    size: int
    bytes: int

    def line(self, room: int) -> str:
        """Say what it takes of the room that there is."""
        return f"predicted to take {bytes_as(self.bytes)} of the {bytes_as(room)} that may be used"


def largest_batch(
    model: nn.Module, shape: Sequence[int], optimiser: str, *, most: int, room: int
) -> Batch:
    """Return the largest power of two, up to `most`, whose step in float32 takes `room` bytes.

    UsageError where not even two examples fit: fewer teach no batch norm.
    """
    size = 1 << (max(most, 2).bit_length() - 1)
    while True:
        found = describe(model, size=shape, batch=size, optimiser=optimiser)
        needed = found.memory["float32"].training
        if needed is None:
            raise UsageError(f"--batch-size auto: {found.untrainable}")
        if needed <= room:
            return Batch(size, needed)
        if size == 2:
            raise UsageError(
                f"--batch-size auto: a step of 2 is predicted to take {bytes_as(needed)}, and "
                f"{bytes_as(room)} may be used: choose a smaller --size or --model"
            )
        size //= 2
