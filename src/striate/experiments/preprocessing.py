"""Normalisation and augmentation help, and prediction must prepare pictures as training did."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from striate.data.batches import Pictures, read
from striate.data.preparation.preprocessing import Preprocessing
from striate.figures import Bars, Panel
from striate.training.start import Prepared

from .chart import bars, grouped
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
from .intervals import Interval, above, below, gap, over, select
from .material import part
from .teaching import measured, prepared, score, taught

# What each training does, as choices of a recipe.
TRAININGS: dict[str, dict[str, Any]] = {
    "all": {"normalise": "dataset", "flip": True, "crop_padding": 2},
    "no normalisation": {"normalise": "none", "flip": True, "crop_padding": 2},
    "no augmentation": {"normalise": "dataset"},
    "neither": {"normalise": "none"},
}
MISMATCHES = {
    "none": "as in training",
    "filter": "resized by nearest instead of bilinear",
    "bgr": "blue and red exchanged",
    "unnormalised": "not normalised",
    "mnist": "normalised with MNIST's two numbers",
}
MNIST = (0.1307,), (0.3081,)


def cells(_: Settings) -> list[Cell]:
    """List the trainings."""
    return [{"training": name} for name in TRAININGS]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train one way; with the whole preprocessing, predict with others as well."""
    made = prepared(
        part(settings["data"], **settings["pictures"]),
        lab,
        model="convnet",
        seed=cell["seed"],
        size=settings["size"],
        epochs=settings["epochs"],
        rate=0.05,
        arguments={"width": settings["width"], "stages": 3, "norm": settings["norm"]},
        **TRAININGS[cell["training"]],
        **settings["changes"],
    )
    taught(made, lab)
    if cell["training"] == "all":
        yield from _mismatched(made, lab)
    else:
        yield {"mismatch": "none", **score(made, lab)}


def _mismatched(made: Prepared, lab: Lab) -> Iterator[Row]:
    own = made.learner.preprocessing
    assert isinstance(own, Preprocessing)
    test = made.pictures["test"]
    several: dict[str, Callable[[], tuple[Pictures, Preprocessing]]] = {
        "none": lambda: (test, own),
        "filter": lambda: (read(test.split, dataclasses.replace(own, filter="nearest"))[0], own),
        "bgr": lambda: (_exchanged(test, own), own),
        "unnormalised": lambda: (test, dataclasses.replace(own, normalise="none")),
        "mnist": lambda: (test, _mnist(own)),
    }
    for name, make in several.items():
        pictures, preprocessing = make()
        yield {"mismatch": name, **measured(made, lab, pictures, preprocessing)}


def _exchanged(pictures: Pictures, own: Preprocessing) -> Pictures:
    assert pictures.pixels is not None
    return Pictures(pictures.split, own, pixels=pictures.pixels.flip(1))


def _mnist(own: Preprocessing) -> Preprocessing:
    mean, std = (one * own.channels for one in MNIST)
    return dataclasses.replace(own, mean=mean, std=std)


def verdict(rows: Rows) -> Verdict:
    """Ask whether normalisation and augmentation each help, and whether mismatches do harm.

    Each by an interval that leaves out 0; the harm is the mean of all mismatches.
    """
    matched = select(rows, mismatch="none")
    helps = {
        name: gap(matched, "accuracy", {"training": f"no {name}"}, {"training": "all"})
        for name in ("normalisation", "augmentation")
    }
    whole = select(rows, training="all")
    damage = {
        name: gap(whole, "accuracy", {"mismatch": "none"}, {"mismatch": name})
        for name in MISMATCHES
        if name != "none"
    }
    harmed = harm(rows)
    text = "Accuracy that each brings: "
    text += "; ".join(f"{name} {found.text()}" for name, found in helps.items())
    text += ". What a mismatch at prediction costs: "
    text += "; ".join(f"{MISMATCHES[name]} {found.text()}" for name, found in damage.items())
    text += f"; the mean of these {harmed.text()}."
    numbers = {name: found._asdict() for name, found in (helps | damage | {"harm": harmed}).items()}
    parts = [*(above(found) for found in helps.values()), below(harmed)]
    return Verdict(concluded(parts), text, numbers)


def harm(rows: Rows) -> Interval:
    """Return the mean accuracy of all mismatches less that without one."""
    by_seed: dict[int, dict[str, float]] = {}
    for row in select(rows, training="all"):
        by_seed.setdefault(row["seed"], {})[row["mismatch"]] = float(row["accuracy"])
    return over(_mean_harm(found) for found in by_seed.values())


def _mean_harm(found: dict[str, float]) -> float:
    return sum(found[name] - found["none"] for name in MISMATCHES) / (len(MISMATCHES) - 1)


def panels(rows: Rows) -> list[Panel]:
    """Draw the accuracy of each training, and of each mismatch."""
    matched, whole = select(rows, mismatch="none"), select(rows, training="all")
    trained = grouped(matched, {name: name for name in TRAININGS}, "training")
    return [
        Bars("Trained with", "test accuracy (%)", bars(trained, "accuracy")),
        Bars(
            "Trained with all, predicted",
            "test accuracy (%)",
            bars(grouped(whole, MISMATCHES, "mismatch"), "accuracy"),
        ),
    ]


EXPERIMENT = Experiment(
    claim=(
        "Normalising the pictures and augmenting them (crops, flips) help a network; and the same "
        "preprocessing must run at prediction."
    ),
    measured=(
        "Test accuracy of one network trained with both, without each and with neither; and of the "
        "network trained with both when it is then shown pictures that were prepared otherwise."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "digits",
                "pictures": {"train": 100},
                "size": 8,
                "width": 4,
                "epochs": 1,
                "norm": "batch",
                "changes": {},
            },
            "100 digits of 8x8 pixels, 1 epoch",
        ),
        "short": Form(
            1.5,
            5,
            {
                "data": "cifar10",
                "pictures": {"train": 1000, "test": 1000},
                "size": 16,
                "width": 12,
                "epochs": 16,
                "norm": "none",
                "changes": {},
            },
            "1,000 pictures of CIFAR-10 at 16 pixels to train on, 1,000 to test, 16 epochs; a "
            "network without batch norm, which would normalise by itself",
        ),
        "long": Form(
            12,
            4,
            {
                "data": "cifar10",
                "pictures": {"train": 2500, "test": 5000},
                "size": 24,
                "width": 16,
                "epochs": 16,
                "norm": "none",
                "changes": {"batch_size": 32},
            },
            "2,500 pictures of CIFAR-10 at 24 pixels to train on, 5,000 to test, 16 epochs in "
            "batches of 32; a network without batch norm, which would normalise by itself",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
