"""Fully connected layers do not scale with the picture; convolutions do (chapter 7, beginning)."""

from collections.abc import Iterable
from typing import Any

from striate import models
from striate.figures import Bars, ChartLine, Lines, Panel
from striate.tracing.building import built

from .chart import bars, line
from .claim import (
    HOLDS,
    IN_PART,
    Cell,
    Experiment,
    Form,
    Lab,
    Row,
    Rows,
    Settings,
    Shown,
    Verdict,
    concluded,
    every,
)
from .intervals import Interval, above, gap, level, select
from .material import part
from .teaching import parameters, prepared, score, taught

DENSE, CONVOLUTIONAL = "mlp", "convnet"
STAGES = 3  # at every size: so the convolutional network keeps its weights
GOALS = {"mlp": 0.982, "mnist-convnet": 0.994}  # the chapter's figures on all of MNIST


def cells(settings: Settings) -> list[Cell]:
    """List the sizes that weights are counted at and trained at, and the chapter's two networks."""
    pair = (DENSE, CONVOLUTIONAL)
    counted = [{"part": "count", "model": m, "side": s} for m in pair for s in settings["counted"]]
    trained = [{"part": "size", "model": m, "side": s} for m in pair for s in settings["sides"]]
    whole = [{"part": "mnist", "model": m, "side": 28} for m in GOALS if settings["mnist"]]
    return [*counted, *trained, *whole]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Count weights, and train where it is asked for."""
    if cell["part"] == "count":
        yield {"parameters": _count(cell["model"], cell["side"], settings["width"])}
        return
    whole = cell["part"] == "mnist"
    data = part(settings["data"]) if whole else part(settings["data"], **settings["pictures"])
    own = cell["model"] == CONVOLUTIONAL
    made = prepared(
        data,
        lab,
        model=cell["model"],
        size=cell["side"],
        seed=cell["seed"],
        epochs=settings["mnist"][cell["model"]] if whole else settings["epochs"],
        arguments={"width": settings["width"], "stages": STAGES} if own else {},
        **({"crop_padding": 2} if whole else {}),
    )
    yield {"parameters": parameters(made), **score(taught(made, lab), lab)}


def _count(model: str, side: int, width: int) -> int:
    own: dict[str, Any] = {"width": width, "stages": STAGES} if model == CONVOLUTIONAL else {}
    net = built(lambda: models.build(model, 10, channels=1, size=side, **own))
    return sum(p.numel() for p in net.parameters())


def verdict(rows: Rows) -> Verdict:
    """Ask whether weights grow with the pixels, and the convolutional network is the better one."""
    counts = {m: _counts(rows, m) for m in (DENSE, CONVOLUTIONAL)}
    growth = {m: max(c.values()) / min(c.values()) for m, c in counts.items()}
    grows = growth[DENSE] > 2 and growth[CONVOLUTIONAL] < 1.01
    gaps = {side: _gap(rows, side) for side in sorted({r["side"] for r in _sizes(rows)})}
    better = every(above(found) for found in gaps.values())
    goals = {m: level(found, "accuracy") for m in GOALS if (found := _whole(rows, m))}
    reached = every(_reached(found, GOALS[m]) for m, found in goals.items())
    sides = sorted(counts[DENSE])
    text = (
        f"From {sides[0]} to {sides[-1]} pixels a side the dense network's weights grow "
        f"{growth[DENSE]:.1f} times, the convolutional one's {growth[CONVOLUTIONAL]:.2f} times. "
        f"Convolutional less dense accuracy: "
        + "; ".join(f"at {side} pixels {found.text()}" for side, found in gaps.items())
        + "."
    )
    for m, reach in goals.items():
        text += f" All of MNIST, {m}: {reach.level(digits=2)}, the chapter has {100 * GOALS[m]} %."
    outcome = concluded([grows, better])
    if outcome == HOLDS and not reached:
        outcome = IN_PART
    numbers = {"growth": growth, "gaps": {str(s): g._asdict() for s, g in gaps.items()}}
    return Verdict(outcome, text, numbers)


def _reached(found: Interval, goal: float) -> Shown:
    """Return whether a figure of the chapter, which has three digits, is reached."""
    return True if round(found.mean, 3) >= goal else False if found.high < goal else None


def _gap(rows: Rows, side: int) -> Interval:
    return gap(_sizes(rows), "accuracy", _at(DENSE, side), _at(CONVOLUTIONAL, side))


def _at(model: str, side: int) -> dict[str, object]:
    return {"model": model, "side": side}


def _sizes(rows: Rows) -> list[Row]:
    return select(rows, part="size")


def _whole(rows: Rows, model: str) -> list[Row]:
    return select(rows, part="mnist", model=model)


def _counts(rows: Rows, model: str) -> dict[int, int]:
    return {r["side"]: r["parameters"] for r in select(rows, part="count", model=model)}


def panels(rows: Rows) -> list[Panel]:
    """Draw weights and accuracy against the side; and the chapter's two networks where trained."""
    names = {DENSE: "fully connected", CONVOLUTIONAL: "convolutional"}
    weights, accuracy = {}, {}
    for model, name in names.items():
        counts = sorted(_counts(rows, model).items())
        weights[name] = ChartLine([s for s, _ in counts], [c / 1e6 for _, c in counts])
        accuracy[name] = line(_sized(rows, model), "side", "accuracy", scale=100)
    x = "side of the picture (pixels)"
    counted, sides = (sorted({r["side"] for r in select(rows, part=p)}) for p in ("count", "size"))
    drawn: list[Panel] = [
        Lines("Weights", x, "millions", weights, "xy", ticks=counted),
        Lines("Accuracy", x, "% of the test", accuracy, "x", ticks=sides),
    ]
    if any(_whole(rows, m) for m in GOALS):
        errors = bars({m: _whole(rows, m) for m in GOALS}, "error")
        goals = {f"chapter {100 - 100 * goal:.1f}": 100 - 100 * goal for goal in GOALS.values()}
        drawn.append(Bars("Error on all of MNIST", "% of 10,000", errors, goals, 2))
    return drawn


def _sized(rows: Rows, model: str) -> list[Row]:
    return select(rows, part="size", model=model)


_SIDES = [14, 28]
_COUNTED = [28, 56, 112, 224]
EXPERIMENT = Experiment(
    claim=(
        "Fully connected layers do not scale: their weights grow with the pixels of the picture. "
        "Convolutional layers keep their weights and are more accurate. On MNIST the chapter has "
        "98.2 % for a feed-forward network and 99.4 % for a convolutional one."
    ),
    measured=(
        "Weights of a fully connected network (two layers of 512) and of a convolutional one at "
        "several picture sizes, and their accuracy on digits scaled to each size, trained alike."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "digits",
                "pictures": {"train": 200},
                "width": 4,
                "sides": [8],
                "counted": [8, 16],
                "epochs": 1,
                "mnist": {},
            },
            "200 digits of 8x8 pixels, 1 epoch",
        ),
        "short": Form(
            1.5,
            3,
            {
                "data": "mnist",
                "pictures": {"train": 4000, "test": 2000},
                "width": 12,
                "sides": _SIDES,
                "counted": _COUNTED,
                "epochs": 3,
                "mnist": {},
            },
            "4,000 pictures of MNIST to train on, 2,000 to test, 3 epochs",
        ),
        "long": Form(
            15,
            3,
            {
                "data": "mnist",
                "pictures": {"train": 12_000, "test": 10_000},
                "width": 16,
                "sides": [*_SIDES, 56],
                "counted": _COUNTED,
                "epochs": 4,
                "mnist": {"mlp": 10, "mnist-convnet": 4},
            },
            "12,000 pictures of MNIST at each size, 4 epochs; and all 60,000 for the chapter's two "
            "networks (10 and 4 epochs)",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
