"""What the page of a profile shows: a step as bars, its layers, the machine, what to change."""

from typing import Any

from striate.description.numbers import short, size
from striate.profiling import Profile
from striate.wording import counted, duration, percent

from .comparison import NO_PICTURES

SPOKEN = {
    "data wait": "waiting for data",
    "copy": "the copy to the device",
    "forward": "the forward pass",
    "backward": "the backward pass",
    "optimiser": "the optimiser's update",
}


def document(found: Profile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the page's document, and no arrays."""
    return {
        "title": f"Where a step of {found.model} goes",
        "kind": found.kind,
        "pictures": NO_PICTURES,
        "finding": _finding(found),
        "seconds": found.seconds,
        "fastest": found.fastest,
        "slowest": found.slowest,
        "steps": found.steps,
        "phases": [phase._asdict() for phase in found.phases],
        "layers": [layer._asdict() for layer in found.layers],
        "layerSteps": found.layer_steps,
        "passes": list(found.layer_passes),
        "advice": [advice._asdict() for advice in found.advice],
        "facts": _facts(found),
        "machine": _machine(found),
        "notes": list(found.notes),
    }, {}


def _finding(found: Profile) -> str:
    first = max(found.phases, key=lambda phase: phase.share)
    what = SPOKEN.get(first.name, first.name)
    return f"{percent(first.share, 0)} of a step is {what}".replace(" %", "\u00a0%")


def _facts(found: Profile) -> list[tuple[str, str]]:
    at_once = "" if found.batch_size == found.step_size else f", {found.batch_size} at once"
    return [
        ("Network", found.model),
        ("Data", found.data),
        ("Input", "x".join(map(str, found.shape))),
        ("A step", f"{counted(found.step_size, found.kind)}{at_once}"),
        ("Device", f"{found.device}; {found.precision}"),
        ("Decoding", counted(found.workers, "workers")),
        ("Rate", f"{found.rate:,.1f} {found.kind} a second"),
        ("Before", f"{duration(found.reading_seconds)} of reading, once a training"),
    ]


def _machine(found: Profile) -> list[tuple[str, str]]:
    rows = [
        (f"Product of matrices, {name}", f"{short(rate)}FLOP/s")
        for name, rate in found.peak.items()
    ]
    if found.flops is not None and found.of_peak is not None:
        said = f"{short(found.flops)}FLOP/s, {percent(found.of_peak, 0)} of {found.beside}"
        rows.append(("A whole step", said))
    memory = found.memory
    rows.append((f"Memory, {memory.how}", size(memory.peak)))
    if memory.step is not None:
        rows.append(("Of which network and step", size(memory.step)))
    if memory.predicted is not None:
        rows.append(("As predicted", size(memory.predicted)))
    if memory.ratio is not None:
        rows.append(("Measured over predicted", f"{memory.ratio:.2f}"))
    return rows
