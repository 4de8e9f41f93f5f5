"""Moments of a step in their order, on the host's clock or on a GPU's own."""

import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch


class Part(NamedTuple):
    """What a stretch of time belongs to: a phase of the step, and a layer where it is known."""

    phase: str
    layer: str | None = None


# The phases, in the order of a step.
DATA, COPY, AUGMENTATION = "data wait", "copy", "augmentation"
FORWARD, BACKWARD, CHECKS, OPTIMISER, REST = "forward", "backward", "checks", "optimiser", "rest"
PHASES = (DATA, COPY, AUGMENTATION, FORWARD, BACKWARD, CHECKS, OPTIMISER, REST)
HOOKS = "hooks"  # the work of looking itself


class Span(NamedTuple):
    """A stretch of time."""

    part: Part
    seconds: float


class Timeline:
    """Marks of what begins when; the time up to the next mark belongs to it.

    On a GPU a mark is an event in its queue, and nothing waits: a stretch in which the GPU stood
    idle belongs to what the host was doing then. Elsewhere than on a CPU and on CUDA the device is
    waited for at each mark.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[Part, Any]] = []

    def mark(self, phase: str, layer: str | None = None) -> None:
        """Note that something begins."""
        self._marks.append((Part(phase, layer), self._now()))

    def spans(self) -> Iterator[Span]:
        """Yield what lay between the marks, which are forgotten."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        marks, self._marks = self._marks, []
        for (part, begun), (_, ended) in itertools.pairwise(marks):
            yield Span(part, self._between(begun, ended))

    def _now(self) -> Any:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    def _between(self, begun: Any, ended: Any) -> float:
        if self._device.type == "cuda":
            return float(begun.elapsed_time(ended)) / 1000  # of milliseconds
        return float(ended - begun)
