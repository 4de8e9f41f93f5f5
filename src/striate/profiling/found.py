"""What a profile says: where a step's time goes by phase and by layer, what to change first."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Phase(NamedTuple):
    """A part of a step."""

    name: str
    seconds: float  # a step
    share: float  # of the step


class LayerTime(NamedTuple):
    """What a layer took of a step: a module's own operations, those of its parts left out."""

    name: str
    kind: str
    forward: float  # seconds a step
    backward: float
    share: float  # of the forward and backward passes
    flop: float  # floating-point operations of both passes, a step; 0 where nothing is multiplied
    rate: float  # FLOP/s
    of_peak: float | None  # that rate beside the machine's; None where nothing is multiplied


class Memory(NamedTuple):
    """Bytes that steps took, beside those that were predicted."""

    peak: int  # of the process or the device, whatever it is for
    step: int | None  # of it weights, activations, gradients and the optimiser; None: unknown
    predicted: int | None  # by `describe`
    how: str

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        return self.step / self.predicted if self.step is not None and self.predicted else None


class Advice(NamedTuple):
    """Something to change, with the number that says so."""

    what: str  # a word: data, batch, layer, ...
    line: str
    share: float  # of a step's time that it is about


@dataclass(frozen=True)
class Profile:
    """Where the time of a training step goes."""

    model: str
    data: str
    kind: str  # pictures, sounds or clips
    shape: tuple[int, ...]  # of what the network is given
    step_size: int  # examples a step
    batch_size: int  # of them at once in the network
    device: str
    precision: str
    workers: int
    reading_seconds: float  # before the first step, once a training
    steps: int
    seconds: float  # a step, the mean
    fastest: float
    slowest: float
    rate: float  # examples a second
    phases: Sequence[Phase]
    layers: Sequence[LayerTime]  # the longest first
    layer_steps: int
    layer_passes: tuple[float, float]  # seconds of a step's passes while layers were marked
    flop: float | None  # of a step
    peak: dict[str, float]  # FLOP/s of a product of matrices, by precision
    beside: str  # the precision whose peak the rates are set beside
    memory: Memory
    advice: Sequence[Advice]
    notes: Sequence[str]

    @property
    def flops(self) -> float | None:
        """FLOP/s of the whole step."""
        return None if self.flop is None else self.flop / self.seconds

    @property
    def of_peak(self) -> float | None:
        """Return the share of the machine's peak that the whole step reaches."""
        return None if self.flops is None else self.flops / self.peak[self.beside]

    @property
    def passes(self) -> float:
        """Seconds of the forward and backward passes of a step, without marks at layers."""
        return sum(phase.seconds for phase in self.phases if phase.name in ("forward", "backward"))

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("phases", "layers", "advice"):
            plain[name] = [one._asdict() for one in plain[name]]
        memory = {**self.memory._asdict(), "ratio": self.memory.ratio}
        return {**plain, "memory": memory, "flops": self.flops, "of_peak": self.of_peak}
