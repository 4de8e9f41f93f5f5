"""Deeper plain networks train worse, residual ones do not (He et al. 2015, figures 1 and 6)."""

from collections.abc import Iterable

from striate.figures import Lines, Panel

from .chart import curve, line
from .claim import FAILS, HOLDS, IN_PART, Cell, Experiment, Form, Lab, Row, Rows, Settings, Verdict
from .intervals import gap, select
from .material import part
from .teaching import prepared, score, teach

KINDS = {"plain": "plain", "resnet": "residual"}


def cells(settings: Settings) -> list[Cell]:
    """List both kinds at every depth."""
    return [{"kind": kind, "depth": depth} for kind in KINDS for depth in settings["depths"]]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train, and note the training error of each epoch."""
    made = prepared(
        part(settings["data"], **settings["pictures"]),
        lab,
        model=f"{cell['kind']}{cell['depth']}",
        seed=cell["seed"],
        size=settings["size"],
        epochs=settings["epochs"],
        rate=0.05,
        arguments={"width": settings["width"]},
        **settings["changes"],
    )
    points = [
        [progress.epochs + 1, round(1 - progress.correct / progress.pictures, 4)]
        for progress in teach(made, lab)
    ]
    # As in the paper's figures: over the last epoch, of pictures as they are shown in training.
    yield {**score(made, lab), "train_error": points[-1][1], "curve": points}


def verdict(rows: Rows) -> Verdict:
    """Ask whether the deepest plain network trains worse than the shallowest, and the residual not.

    The residual one may be worse by chance, but not by an interval that leaves out 0.
    """
    depths = sorted({row["depth"] for row in rows})
    ends = [{"depth": depths[0]}, {"depth": depths[-1]}]
    plain, residual = (
        gap(rows, "train_error", *({"kind": kind, **end} for end in ends)) for kind in KINDS
    )
    beside = gap(rows, "train_error", {"kind": "resnet", **ends[1]}, {"kind": "plain", **ends[1]})
    text = (
        f"Training error at {depths[-1]} layers less that at {depths[0]}: plain {plain.text()}, "
        f"residual {residual.text()}. At {depths[-1]} layers, plain less residual: {beside.text()}."
    )
    outcome = FAILS if plain.low <= 0 else HOLDS if residual.low <= 0 else IN_PART
    numbers = {"plain": plain._asdict(), "residual": residual._asdict()}
    return Verdict(outcome, text, {**numbers, "beside": beside._asdict()})


def panels(rows: Rows) -> list[Panel]:
    """Draw the training error by epoch, plain beside residual as the paper does, and by depth."""
    depths = sorted({row["depth"] for row in rows})
    drawn: list[Panel] = []
    for kind, name in KINDS.items():
        lines = {
            f"{depth} layers": curve(select(rows, kind=kind, depth=depth), scale=100)
            for depth in depths
        }
        drawn.append(Lines(f"{name.capitalize()}", "epoch", "training error (%)", lines))
    ends = {
        name: line(select(rows, kind=kind), "depth", "train_error", scale=100)
        for kind, name in KINDS.items()
    }
    drawn.append(Lines("Last epoch", "layers", "training error (%)", ends, ticks=depths))
    return drawn


EXPERIMENT = Experiment(
    claim=(
        "Deeper plain networks get worse on the very pictures that they are trained on; residual "
        "networks do not."
    ),
    measured=(
        "Training error by epoch of plain and residual networks for CIFAR-10 with the same "
        "convolutions, batch norm included, at several depths."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "digits",
                "pictures": {"train": 64},
                "size": 8,
                "width": 2,
                "depths": [20, 32],
                "epochs": 1,
                "changes": {},
            },
            "64 digits of 8x8 pixels, 1 epoch, width 2",
        ),
        "short": Form(
            1.9,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 1280, "test": 500},
                "size": 16,
                "width": 4,
                "depths": [20, 32, 56],
                "epochs": 5,
                "changes": {},
            },
            "1,280 pictures of CIFAR-10 at 16 pixels to train on, 5 epochs, 4 channels in the "
            "first stage instead of 16",
        ),
        "long": Form(
            40,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 10_000, "test": 2000},
                "size": 24,
                "width": 8,
                "depths": [20, 32, 56],
                "epochs": 10,
                "changes": {"flip": True, "crop_padding": 3},
            },
            "10,000 pictures of CIFAR-10 at 24 pixels to train on, 10 epochs, 8 channels in the "
            "first stage instead of 16",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
