"""Deeper plain networks train worse, residual ones do not (He et al. 2015, figures 1 and 6)."""

from collections.abc import Iterable

from striate.figures import Lines, Panel

from .chart import curve, line
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
from .intervals import above, gap, over, select
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

    The residual one may be worse by chance, but not by an interval that leaves out 0; and depth
    must surely cost it less than it costs the plain one. Otherwise the claim holds in part.
    """
    depths = sorted({row["depth"] for row in rows})
    ends = [{"depth": depths[0]}, {"depth": depths[-1]}]
    plain, residual = (
        gap(rows, "train_error", *({"kind": kind, **end} for end in ends)) for kind in KINDS
    )
    extra = over(
        _growth(rows, "plain", seed, depths) - _growth(rows, "resnet", seed, depths)
        for seed in sorted({row["seed"] for row in rows})
    )
    beside = gap(rows, "train_error", {"kind": "resnet", **ends[1]}, {"kind": "plain", **ends[1]})
    text = (
        f"Training error at {depths[-1]} layers less that at {depths[0]}: plain {plain.text()}, "
        f"residual {residual.text()}, the first less the second {extra.text()}. At {depths[-1]} "
        f"layers, plain less residual: {beside.text()}."
    )
    spared = extra.low > 0 and not above(residual)
    outcomes = {True: HOLDS if spared else IN_PART, False: FAILS, None: UNDECIDED}
    found = {"plain": plain, "residual": residual, "extra": extra, "beside": beside}
    numbers = {name: one._asdict() for name, one in found.items()}
    return Verdict(outcomes[above(plain)], text, numbers)


def _growth(rows: Rows, kind: str, seed: int, depths: list[int]) -> float:
    """Return the training error at the largest depth less that at the smallest."""
    ends = (depths[0], depths[-1])
    found = [select(rows, kind=kind, depth=d, seed=seed)[0]["train_error"] for d in ends]
    return float(found[1] - found[0])


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
            10,
            3,
            {
                "data": "cifar10",
                "pictures": {"train": 3000, "test": 2000},
                "size": 16,
                "width": 8,
                "depths": [20, 32, 56],
                "epochs": 10,
                "changes": {"flip": True, "crop_padding": 2, "batch_size": 64},
            },
            "3,000 pictures of CIFAR-10 at 16 pixels to train on, 10 epochs in batches of 64, 8 "
            "channels in the first stage instead of 16",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
