"""Pooling is locally invariant, and fractional pooling regularises (chapter 7; Graham 2014)."""

from collections.abc import Iterable

import numpy as np

from striate.classic.invariance import POOLINGS, invariance, pictures_of
from striate.figures import Bars, Lines, Panel

from .chart import bar, bars, grouped, line
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
from .intervals import below, gap, over, select
from .material import part
from .teaching import prepared, score, taught

KINDS = {
    "max": "max (2, 2)",
    "overlapping": "max (3, 2)",
    "average": "average (2, 2)",
    "stride": "stride 2",
    "fractional": "fractional max (√2)",
}
MOST = 4  # pixels of a shift
SHARE = 2  # a seed looks at every second of the pictures, in an order of its own


def cells(_: Settings) -> list[Cell]:
    """List the shifts, which are one cell, and the trainings."""
    return [{"part": "shift"}, *({"part": "gap", "pooling": kind} for kind in KINDS)]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Shift pictures, or train with one kind of pooling."""
    if cell["part"] == "shift":
        pictures = pictures_of(settings["data"], SHARE * settings["shifted"])
        random = np.random.default_rng(cell["seed"])
        chosen = random.permutation(len(pictures))[: settings["shifted"]]
        yield from (row._asdict() for row in invariance(pictures[chosen], most=MOST))
        return
    made = prepared(
        part(settings["trained"], **settings["pictures"]),
        lab,
        model="convnet",
        seed=cell["seed"],
        size=settings["size"],
        epochs=settings["epochs"],
        rate=0.05,
        arguments={"width": settings["width"], "stages": 3, "pooling": cell["pooling"]},
        **settings["changes"],
    )
    taught(made, lab)
    test, train = score(made, lab), score(made, lab, "train")
    apart = train["accuracy"] - test["accuracy"]
    yield {**test, "train_accuracy": train["accuracy"], "gap": apart}


def verdict(rows: Rows) -> Verdict:
    """Ask whether max pooling changes less at a shift of one pixel, and fractional overfits less.

    Less than the unpooled maps, and than max pooling; each by an interval that leaves out 0.
    """
    shifted = select(rows, part="shift", shift=1)
    change = gap(shifted, "change", {"layer": "no pooling"}, {"layer": "max (2, 2)"})
    trained = select(rows, part="gap")
    apart, better = (
        gap(trained, key, {"pooling": "max"}, {"pooling": "fractional"})
        for key in ("gap", "accuracy")
    )
    text = (
        "At a shift of one pixel, the change of a max-pooled map less that of the unpooled one: "
        f"{change.text(1, 'of the distance to another picture', 3)}. Fractional less max pooling: "
        f"gap between training and test {apart.text()}, test accuracy {better.text()}."
    )
    outcome = concluded([below(change), below(apart)])
    numbers = {"change": change._asdict(), "gap": apart._asdict(), "accuracy": better._asdict()}
    return Verdict(outcome, text, numbers)


def panels(rows: Rows) -> list[Panel]:
    """Draw the change of shifted maps, the gaps and the test accuracies."""
    shifted, trained = select(rows, part="shift"), select(rows, part="gap")
    lines = {name: line(select(shifted, layer=name), "shift", "change") for name in POOLINGS}
    groups = grouped(trained, KINDS, "pooling")
    apart = {name: bar(over(row["gap"] for row in found)) for name, found in groups.items()}
    return [
        Lines(
            "Change of a shifted picture's maps", "shift (pixels)", "1: another picture's", lines
        ),
        Bars("Training less test accuracy", "points", apart),
        Bars("Test accuracy", "%", bars(groups, "accuracy")),
    ]


EXPERIMENT = Experiment(
    claim=(
        "Max pooling is locally invariant: a small shift of the picture leaves its output almost "
        "as it was. Fractional max pooling is a strong regulariser."
    ),
    measured=(
        "How far the maps of line detectors change as pictures shift by 1 to 4 pixels, under each "
        "kind of pooling; and training and test accuracy of one network with each kind. Fractional "
        "pooling shrinks by the root of two, so that its maps stay larger and cost more."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "digits",
                "shifted": 20,
                "trained": "digits",
                "pictures": {"train": 100},
                "size": 8,
                "width": 4,
                "epochs": 1,
                "changes": {},
            },
            "digits of 8x8 pixels, 1 epoch",
        ),
        "short": Form(
            1.8,
            3,
            {
                "data": "mnist",
                "shifted": 200,
                "trained": "cifar10",
                "pictures": {"train": 1000, "test": 1000},
                "size": 16,
                "width": 12,
                "epochs": 8,
                "changes": {},
            },
            "200 pictures of MNIST shifted; 1,000 of CIFAR-10 at 16 pixels to train on, 8 epochs",
        ),
        "long": Form(
            15,
            4,
            {
                "data": "mnist",
                "shifted": 1000,
                "trained": "cifar10",
                "pictures": {"train": 2000, "test": 4000},
                "size": 24,
                "width": 16,
                "epochs": 20,
                "changes": {"batch_size": 64},
            },
            "1,000 pictures of MNIST shifted; 2,000 of CIFAR-10 at 24 pixels to train on, 20 "
            "epochs in batches of 64",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
