"""Where the time of a training step goes: by phase, by layer, beside what the machine can do."""

from striate import devices
from striate.errors import UsageError
from striate.stopping import Poll
from striate.training import stages
from striate.training.start import Prepared

from .found import Advice, LayerTime, Memory, Phase, Profile
from .gathering import Made, Reading, described, gathered, memory_watch
from .machine import product_rates
from .steps import WARM, Steps

__all__ = [
    "Advice",
    "LayerTime",
    "Memory",
    "Phase",
    "Profile",
    "Reading",
    "profile",
    "require_steps",
]

LEAST_STEPS = 3


def require_steps(steps: int) -> None:
    """Raise UsageError for too few steps."""
    if steps < LEAST_STEPS:
        raise UsageError(f"a profile takes {LEAST_STEPS} steps or more, not {steps}")


def profile(prepared: Prepared, *, steps: int, reading: Reading, poll: Poll) -> Profile:
    """Take steps as a training does, and half as many again by layer; no run is written.

    The learner has learnt from them.
    """
    require_steps(steps)
    own = prepared.learner
    stage = stages.stage_at(own.recipe, 0)
    teaching = stages.teaching(own, stage, prepared.pictures, poll)
    learner, pictures = teaching.learner, teaching.pictures["train"]
    with devices.deterministic(own.recipe.deterministic):
        looking = Steps(learner, pictures, poll)
        rates = product_rates(learner.device)
        looking.plain(WARM)
        watch = memory_watch(learner, pictures)
        plain = looking.plain(steps)
        taken = watch.taken()
        layered = looking.by_layer(max(LEAST_STEPS, steps // 2))
        again = product_rates(learner.device)
    found, why_not = described(learner, looking)
    notes = [line for line in (teaching.line, why_not) if line]
    peak = {name: max(rate, again[name]) for name, rate in rates.items()}
    made = Made(prepared, learner, pictures, looking, plain, layered, taken, peak, found, reading)
    return gathered(made, notes)
