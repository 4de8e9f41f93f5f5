"""Stacks of small filters are better than large ones (chapter 7; Simonyan & Zisserman 2014)."""

from collections.abc import Iterable

from striate.description import describe
from striate.figures import Bar, Bars, Panel
from striate.training.start import Prepared

from .chart import bars, grouped
from .claim import (
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    Cell,
    Experiment,
    Form,
    Lab,
    Row,
    Rows,
    Settings,
    Verdict,
)
from .intervals import above, gap, select
from .material import part
from .teaching import parameters, prepared, score, taught

# Convolutions of a stage: kernel and number; both see 13x13 pixels of the stage's input.
STACKS = {"7x7, twice": (7, 2), "3x3, six times": (3, 6)}
LARGE, SMALL = STACKS


def cells(_: Settings) -> list[Cell]:
    """List the two networks."""
    return [{"filters": name} for name in STACKS]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train, and count weights and multiplications."""
    kernel, layers = STACKS[cell["filters"]]
    made = prepared(
        part(settings["data"], **settings["pictures"]),
        lab,
        model="convnet",
        seed=cell["seed"],
        size=settings["size"],
        epochs=settings["epochs"],
        rate=0.05,
        arguments={"width": settings["width"], "stages": 2, "kernel": kernel, "layers": layers},
        **settings["changes"],
    )
    taught(made, lab)
    yield {**score(made, lab), "parameters": parameters(made), "multiply_adds": _cost(made)}


def _cost(made: Prepared) -> int:
    found = describe(made.learner.model, size=made.preparation.shape)
    return int(found.totals["multiply_adds"] or 0)


def verdict(rows: Rows) -> Verdict:
    """Ask whether small filters are more accurate with no more weights; with more is a part."""
    found = gap(rows, "accuracy", {"filters": LARGE}, {"filters": SMALL})
    large, small = (select(rows, filters=name)[0] for name in (LARGE, SMALL))
    fewer = small["parameters"] <= large["parameters"]
    text = (
        f"{SMALL} less {LARGE}, test accuracy: {found.text()}; with {small['parameters']:,} "
        f"weights instead of {large['parameters']:,}, and {small['multiply_adds'] / 1e6:.1f} "
        f"million multiply-adds a picture instead of {large['multiply_adds'] / 1e6:.1f}."
    )
    outcomes = {True: HOLDS if fewer else IN_PART, False: FAILS, None: UNDECIDED}
    outcome = outcomes[above(found)]
    return Verdict(outcome, text, {"accuracy": found._asdict()})


def panels(rows: Rows) -> list[Panel]:
    """Draw accuracy and weights."""
    groups = grouped(rows, {name: name for name in STACKS}, "filters")
    weights = {name: group[0]["parameters"] / 1e3 for name, group in groups.items()}
    work = {name: group[0]["multiply_adds"] / 1e6 for name, group in groups.items()}
    return [
        Bars("Test accuracy", "%", bars(groups, "accuracy")),
        Bars("Weights", "thousands", _plain(weights)),
        Bars("Multiply-adds", "millions a picture", _plain(work)),
    ]


def _plain(values: dict[str, float]) -> dict[str, Bar]:
    return {name: Bar(value, value, value) for name, value in values.items()}


EXPERIMENT = Experiment(
    claim=(
        "A stack of small filters is better than a large one of the same receptive field: more "
        "non-linearities and fewer weights."
    ),
    measured=(
        "Test accuracy, weights and multiply-adds of two networks of two stages: two 7x7 "
        "convolutions a stage, or six of 3x3, which see as far: three for each. Batch norm and "
        "ReLU follow each."
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
                "changes": {},
            },
            "100 digits of 8x8 pixels, 1 epoch",
        ),
        "short": Form(
            1.8,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 2000, "test": 1000},
                "size": 16,
                "width": 12,
                "epochs": 5,
                "changes": {"flip": True, "crop_padding": 2},
            },
            "2,000 pictures of CIFAR-10 at 16 pixels to train on, 1,000 to test, 5 epochs",
        ),
        "long": Form(
            12,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 4000, "test": 5000},
                "size": 24,
                "width": 16,
                "epochs": 15,
                "changes": {"flip": True, "crop_padding": 3, "batch_size": 64},
            },
            "4,000 pictures of CIFAR-10 at 24 pixels to train on, 5,000 to test, 15 epochs in "
            "batches of 64",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
