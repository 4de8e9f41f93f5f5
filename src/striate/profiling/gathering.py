"""What was measured and described, put together to a profile."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import torch

from striate import devices
from striate.data.batches import Pictures
from striate.description import Description, describe
from striate.errors import UsageError
from striate.tracing.ledger import tensors
from striate.training.recipe import augmentations
from striate.training.start import Prepared
from striate.training.step import Learner
from striate.wording import counted

from .advice import HEADROOM, Facts, advised
from .found import LayerTime, Memory, Phase, Profile
from .machine import MemoryWatch, Taken
from .steps import Measured, Steps, gain_of_twice
from .timeline import BACKWARD, DATA, FORWARD, PHASES
from .watching import LOSS, Seen

UNDISTURBED = 0.85  # of the time without waiting for data, in which the thread had a processor


class Reading(NamedTuple):
    """What was done before the first step."""

    seconds: float
    workers: int


class Made(NamedTuple):
    """What a profile is put together from."""

    prepared: Prepared
    learner: Learner
    pictures: Pictures
    looking: Steps
    plain: Measured
    layered: Measured
    taken: Taken
    peak: Mapping[str, float]
    described: Description | None
    reading: Reading

    @property
    def beside(self) -> str:
        """The precision that convolutions are computed in."""
        if self.learner.recipe.precision == "bfloat16" and "bfloat16" in self.peak:
            return "bfloat16"
        if "tf32" not in self.peak:
            return "float32"
        return "tf32" if torch.backends.cudnn.allow_tf32 else "float32"


def gathered(made: Made, notes: list[str]) -> Profile:
    """Put a profile together."""
    plain, learner, recipe = made.plain, made.learner, made.learner.recipe
    values, _ = _last(made.looking)
    phases = [
        Phase(name, seconds / plain.steps, seconds / plain.total)
        for name in PHASES
        if (seconds := plain.of(name))
    ]
    layers = _layers(made)
    memory = Memory(
        made.taken.peak,
        made.taken.step,
        _predicted(made.described, recipe.precision),
        made.taken.how,
    )
    flop = sum(layer.flop for layer in layers) if made.described else None
    # The layers' steps may have had other numbers of examples than the plain ones.
    ratio = plain.pictures / plain.steps / (made.layered.pictures / made.layered.steps)
    flop = None if flop is None else flop * ratio
    facts = _facts(made, phases, layers, memory, flop)
    return Profile(
        made.prepared.architecture.name,
        made.prepared.data.name,
        made.prepared.data.kind,
        tuple(values.shape[1:]),
        step_size=len(values),
        batch_size=_at_once(made.looking, learner),
        device=devices.describe(learner.device),
        precision=recipe.precision,
        workers=made.reading.workers,
        reading_seconds=made.reading.seconds,
        steps=plain.steps,
        seconds=plain.total / plain.steps,
        fastest=min(plain.each),
        slowest=max(plain.each),
        rate=plain.pictures / plain.total,
        phases=phases,
        layers=layers,
        layer_steps=made.layered.steps,
        layer_passes=(
            made.layered.of(FORWARD) / made.layered.steps,
            made.layered.of(BACKWARD) / made.layered.steps,
        ),
        flop=flop,
        peak=dict(made.peak),
        beside=made.beside,
        memory=memory,
        advice=advised(facts),
        notes=[*notes, *_partial(plain, learner), *_disturbed(plain, learner)],
    )


def _last(looking: Steps) -> tuple[torch.Tensor, torch.Tensor]:
    assert looking.last is not None, "a step was taken"
    return looking.last


def _at_once(looking: Steps, learner: Learner) -> int:
    """Count the examples that go through the network together."""
    whole = len(_last(looking)[0])
    return math.ceil(whole / math.ceil(whole / learner.recipe.batch_size))


def memory_watch(learner: Learner, pictures: Pictures) -> MemoryWatch:
    """Begin to look at the memory that steps take, once some were taken.

    So what torch needs once, for its kernels, is not counted.
    """
    learner.optimiser.zero_grad(set_to_none=True)
    states = [value for state in learner.optimiser.state.values() for value in state.values()]
    kept = [*learner.model.parameters(), *learner.model.buffers(), *tensors(states)]
    held = pictures.pixels
    on_device = held.nbytes if held is not None and held.device.type != "cpu" else 0
    return MemoryWatch(learner.device, kept=sum(t.nbytes for t in kept), pixels=on_device)


def described(learner: Learner, looking: Steps) -> tuple[Description | None, str]:
    """Describe the network at the batch that was taken, or say why it cannot be."""
    values, _ = _last(looking)
    if values.ndim < 3:
        return None, "the head takes features, not pictures: its work is not counted"
    batch = _at_once(looking, learner)
    size, optimiser = tuple(values.shape[1:]), learner.recipe.optimiser
    try:
        return describe(learner.model, size=size, batch=batch, optimiser=optimiser), ""
    except UsageError as error:
        return None, f"the network's work is not counted: {error}"


def _partial(plain: Measured, learner: Learner) -> list[str]:
    whole = plain.steps * learner.recipe.step_size
    if plain.pictures == whole:
        return []
    return [
        f"not every step was whole: {counted(plain.pictures, 'examples')} in "
        f"{counted(plain.steps, 'steps')} of {learner.recipe.step_size} at most"
    ]


def _disturbed(plain: Measured, learner: Learner) -> list[str]:
    """Say that other programs had the processor meanwhile: then only shares can be compared."""
    spent = plain.total - plain.of(DATA)
    if learner.device.type != "cpu" or plain.computed > UNDISTURBED * spent:
        return []
    return [
        f"other programs ran on this machine: of {spent:.1f} s of steps this one had a processor "
        f"for {plain.computed:.1f} s, so trust shares more than times"
    ]


def _layers(made: Made) -> list[LayerTime]:
    """Return the layers, the longest first; FLOPs are of a step."""
    layered, seen = made.layered, made.looking.seen
    seconds: dict[str, dict[str, float]] = {}
    for part, spent in layered.seconds.items():
        if part.phase in (FORWARD, BACKWARD):
            name = LOSS if part.layer is None else part.layer
            seconds.setdefault(name, defaultdict(float))[part.phase] += spent / layered.steps
    work = _work(made.described)
    passes = sum(sum(one.values()) for one in seconds.values())
    examples = layered.pictures / layered.steps
    found = [
        _layer(path, one, seen.get(path), work.get(path, 0.0) * examples, passes, made)
        for path, one in seconds.items()
    ]
    return sorted(found, key=lambda layer: -layer.share)


def _layer(
    path: str,
    seconds: Mapping[str, float],
    seen: Seen | None,
    multiply_adds: float,
    passes: float,
    made: Made,
) -> LayerTime:
    # Two operations a multiply-add, and as many for each gradient of the backward pass.
    flop = 2 * multiply_adds * (1 + (seen.gradients if seen else 0))
    spent = seconds.get(FORWARD, 0.0) + seconds.get(BACKWARD, 0.0)
    rate = flop / spent if spent else 0.0
    return LayerTime(
        path or "(network)",
        "" if seen is None else seen.kind,
        seconds.get(FORWARD, 0.0),
        seconds.get(BACKWARD, 0.0),
        spent / passes,
        flop,
        rate,
        rate / made.peak[made.beside] if flop else None,
    )


def _work(described: Description | None) -> dict[str, float]:
    """Sum the multiply-adds of an example by the module that they belong to."""
    work: dict[str, float] = defaultdict(float)
    if described is not None:
        for row in described.layers:
            name = "" if row.name == "(network)" else row.name
            work[name] += row.multiply_adds / described.batch
    return work


def _predicted(described: Description | None, precision: str) -> int | None:
    """Return what `describe` predicts of a step.

    Where bfloat16 is computed in, weights, gradients and the optimiser stay float32, beside a copy
    of the weights.
    """
    if described is None or described.memory["float32"].training is None:
        return None
    full, half = described.memory["float32"], described.memory["bfloat16"]
    if precision == "float32":
        return full.training
    kept = full.weights + (full.gradients or 0) + (full.optimiser or 0)
    halved = half.weights + (half.gradients or 0) + (half.optimiser or 0)
    return (half.training or 0) + kept - halved + half.weights


def _facts(
    made: Made,
    phases: list[Phase],
    layers: list[LayerTime],
    memory: Memory,
    flop: float | None,
) -> Facts:
    learner, plain = made.learner, made.plain
    on_cpu = learner.device.type == "cpu"
    reordered = frozenset(path for path, seen in made.looking.seen.items() if seen.reordered)
    rate = None if flop is None else flop * plain.steps / plain.total
    passes = (plain.of(FORWARD) + plain.of(BACKWARD)) / plain.total
    return Facts(
        kind=made.prepared.data.kind,
        phases=phases,
        layers=layers,
        reordered=reordered,
        memory=memory,
        held=made.pictures.pixels is not None,
        workers=made.reading.workers,
        threads=torch.get_num_threads() if on_cpu else None,
        processors=devices.processors(),
        batch_size=_at_once(made.looking, learner),
        optimiser=learner.recipe.optimiser,
        changes=augmentations(learner.recipe, made.prepared.data.kind),
        gain=_gain(made, memory),
        free=devices.available_bytes(learner.device),
        of_peak=None if rate is None else rate / made.peak[made.beside],
        passes=passes,
        halved=_halved(made) if on_cpu else None,
    )


def _halved(made: Made) -> float | None:
    """Return how many times as fast products are in bfloat16, where a training has it not."""
    if made.learner.recipe.precision == "bfloat16" or "bfloat16" not in made.peak:
        return None
    return made.peak["bfloat16"] / made.peak["float32"]


def _gain(made: Made, memory: Memory) -> float | None:
    """Try twice the batch where that takes little of the memory that is free."""
    learner = made.learner
    needed = memory.predicted or memory.step
    values, targets = _last(made.looking)
    room = HEADROOM * devices.available_bytes(learner.device)
    if needed is None or 2 * needed > room or len(values) > learner.recipe.batch_size:
        return None
    return gain_of_twice(learner, values, targets)
