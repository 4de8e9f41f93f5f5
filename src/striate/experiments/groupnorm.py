"""Batch norm suffers at small batches, group norm does not (Wu & He 2018)."""

import math
from collections.abc import Iterable

from striate.figures import Lines, Panel
from striate.layers import NORMS
from striate.training.step import DivergedError

from .chart import line
from .claim import (
    Cell,
    Experiment,
    Form,
    Lab,
    Row,
    Rows,
    Settings,
    Verdict,
    concluded,
)
from .intervals import above, gap, over, select
from .material import part
from .teaching import prepared, score, taught

LARGE = 128  # the batch that rates are of: others have so much less as they are smaller
RATE = 0.1


def cells(settings: Settings) -> list[Cell]:
    """List every norm at every batch size."""
    return [{"norm": norm, "batch": size} for norm in NORMS for size in settings["batches"]]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train the same number of epochs at a rate in proportion to the batch."""
    rate = RATE * cell["batch"] / LARGE * (0.1 if cell["norm"] == "none" else 1)
    made = prepared(
        part(settings["data"], **settings["pictures"]),
        lab,
        model="convnet",
        seed=cell["seed"],
        size=settings["size"],
        batch_size=cell["batch"],
        epochs=settings["epochs"],
        rate=rate,
        arguments={"width": settings["width"], "stages": 3, "norm": cell["norm"]},
    )
    try:
        yield {**score(taught(made, lab), lab), "diverged": False}
    except DivergedError:
        classes = len(made.data.classes)
        guessed = {"accuracy": 1 / classes, "error": 1 - 1 / classes, "loss": math.log(classes)}
        yield {**guessed, "n": len(made.pictures["test"]), "diverged": True}


def verdict(rows: Rows) -> Verdict:
    """Ask whether batch norm loses more by small batches than group norm, and is worse there.

    Small batches also mean more steps in the same epochs, which both norms have alike.
    """
    sizes = sorted({row["batch"] for row in rows})
    small, large = sizes[0], sizes[-1]

    def at(norm: str, size: int) -> dict[str, object]:
        return {"norm": norm, "batch": size}

    grows = {n: gap(rows, "error", at(n, large), at(n, small)) for n in ("batch", "group")}
    worse = gap(rows, "error", at("group", small), at("batch", small))
    extra = over(
        _growth(rows, "batch", seed, small, large) - _growth(rows, "group", seed, small, large)
        for seed in sorted({row["seed"] for row in rows})
    )
    text = (
        f"Error at batches of {small} less that at {large}: batch norm {grows['batch'].text()}, "
        f"group norm {grows['group'].text()}, the first less the second {extra.text()}. At batches "
        f"of {small}, batch norm less group norm: {worse.text()}."
    )
    numbers = {"batch": grows["batch"]._asdict(), "group": grows["group"]._asdict()}
    numbers |= {"worse": worse._asdict(), "extra": extra._asdict()}
    return Verdict(concluded([above(extra), above(worse)]), text, numbers)


def _growth(rows: Rows, norm: str, seed: int, small: int, large: int) -> float:
    found = [select(rows, norm=norm, batch=s, seed=seed)[0]["error"] for s in (small, large)]
    return float(found[0] - found[1])


def panels(rows: Rows) -> list[Panel]:
    """Draw error against the batch."""
    sizes = sorted({row["batch"] for row in rows})
    named = {norm: f"{norm} norm" if norm != "none" else "no norm" for norm in NORMS}
    lines = {
        name: line(select(rows, norm=norm), "batch", "error", scale=100)
        for norm, name in named.items()
    }
    title = "Error after the same number of epochs"
    return [Lines(title, "pictures in a batch", "test error (%)", lines, "x", ticks=sizes)]


EXPERIMENT = Experiment(
    claim=(
        "Batch norm suffers when batches are small, as its statistics become noisy; group norm, "
        "whose statistics are of one picture, does not."
    ),
    measured=(
        "Test error of one network with batch, group, layer, instance and no norm, trained for the "
        "same number of epochs at several batch sizes, with rates in proportion to the batch (a "
        "tenth without a norm)."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "digits",
                "pictures": {"train": 64},
                "size": 8,
                "width": 4,
                "epochs": 1,
                "batches": [8, 32],
            },
            "64 digits of 8x8 pixels, 1 epoch",
        ),
        "short": Form(
            1.9,
            3,
            {
                "data": "mnist",
                "pictures": {"train": 300, "test": 1000},
                "size": 14,
                "width": 8,
                "epochs": 3,
                "batches": [2, 16, 128],
            },
            "300 pictures of MNIST at 14 pixels to train on, 1,000 to test, 3 epochs",
        ),
        "long": Form(
            12,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 1600, "test": 2000},
                "size": 16,
                "width": 16,
                "epochs": 6,
                "batches": [2, 16, 128],
            },
            "1,600 pictures of CIFAR-10 at 16 pixels to train on, 2,000 to test, 6 epochs",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
