"""Networks trained without a folder, and measured between their steps."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from striate import evaluation
from striate.data import Data
from striate.data.batches import Pictures
from striate.data.preparation.kinds import Preparation
from striate.stopping import Halt, Reading
from striate.training import start
from striate.training.loop import Progress, epoch, steps_an_epoch
from striate.training.networks import architecture
from striate.training.start import Means, Prepared

from .claim import Lab

# Nothing is chosen by validation here, and no random change is made unless it is asked for.
PLAIN: dict[str, Any] = {
    "validation_share": 0.0,
    "label_smoothing": 0.0,
    "crop_padding": 0,
    "flip": False,
    "rotate": 0.0,
    "zoom": 0.0,
}


def prepared(data: Data, lab: Lab, *, model: str, **choices: Any) -> Prepared:
    """Make a learner of a network by name, with its pictures; `choices` are those of a recipe."""
    kept = PLAIN if data.kind == "pictures" else {"validation_share": 0.0}
    given = {**kept, **choices}
    named = architecture(model, given, data)[0]
    means = Means(device=str(lab.device))
    return start.prepare(data, given, named, means=means, halt=Halt(watch=lab.poll))


def teach(made: Prepared, lab: Lab, *, every: int = 0) -> Iterator[Progress]:
    """Take all steps of the recipe; yield after each epoch, or after each `every` steps.

    Raises DivergedError where a number is not finite.
    """
    learner, pictures = made.learner, made.pictures["train"]
    progress, epochs = Progress(), learner.recipe.epochs
    total = epochs * steps_an_epoch(len(pictures), learner.recipe)
    for _ in range(epochs):
        for steps in epoch(learner, pictures, progress, window=1 if every else None):
            for step in steps:
                progress.count(step)
            lab.poll(Reading(progress.step, total, "steps"))
            if every and (progress.step % every == 0 or progress.step == total):
                yield progress
        if not every:
            yield progress
        progress.close_epoch({})


def taught(made: Prepared, lab: Lab) -> Prepared:
    """Take all steps of the recipe."""
    for _ in teach(made, lab):
        pass
    return made


def score(made: Prepared, lab: Lab, split: str = "test") -> dict[str, Any]:
    """Measure the network on a split: accuracy, error, loss and the number of examples."""
    return measured(made, lab, made.pictures[split])


def measured(
    made: Prepared, lab: Lab, pictures: Pictures, preprocessing: Preparation | None = None
) -> dict[str, Any]:
    """Measure the network on pictures, with its own preprocessing or another."""
    learner = made.learner
    logits = evaluation.logits(
        learner.model,
        preprocessing or learner.preprocessing,
        pictures,
        device=learner.device,
        poll=lab.poll,
    )
    accuracy = float((logits.argmax(1) == pictures.labels).double().mean())
    loss = float(F.cross_entropy(logits.double(), pictures.labels))
    return {
        "accuracy": accuracy,
        "error": 1 - accuracy,
        "loss": loss if math.isfinite(loss) else None,
        "n": len(pictures),
    }


def parameters(made: Prepared) -> int:
    """Count the weights of the network."""
    return sum(p.numel() for p in made.learner.model.parameters())


def device_name(device: torch.device) -> str:
    """Name the kind of device, as rows have it."""
    return device.type
