"""Convolutions over time see motion, which no single frame shows (chapter 7, other domains)."""

import functools
from collections.abc import Iterable

import numpy as np

from striate.data import Data, Origin, Split
from striate.data.sources import named
from striate.data.sources.moving import DIRECTIONS, clips
from striate.figures import Bars, Panel

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
from .intervals import above, gap, level, select
from .material import part
from .teaching import prepared, score, taught

KINDS = {"clip": "3-D convolutions, all frames", "frame": "2-D convolutions, one frame"}


def cells(_: Settings) -> list[Cell]:
    """List the two networks."""
    return [{"sees": kind} for kind in KINDS]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train on clips, or on their middle frames."""
    own = cell["sees"] == "clip"
    made = prepared(
        _data(settings["data"], **settings["clips"]),
        lab,
        model="r3d" if own else "convnet",
        seed=cell["seed"],
        frames=settings["frames"] if own else 1,
        size=settings["size"],
        epochs=settings["epochs"],
        rate=0.05,
        batch_size=32,
        arguments={"width": settings["width"]}
        if own
        else {"width": settings["width"], "stages": 3},
    )
    yield {**score(taught(made, lab), lab), "classes": len(made.data.classes)}


def _data(name: str, train: int, test: int) -> Data:
    return _small(train, test) if name == "small-moving-digits" else part(name, train, test)


@functools.cache
def _small(train: int, test: int) -> Data:
    """Move scikit-learn's digits instead of MNIST's: for the smallest form."""
    digits = np.asarray(named.digits().splits["train"].pictures)
    splits = {}
    for place, (name, count) in enumerate({"train": train, "test": test}.items()):
        random = np.random.default_rng(place)
        labels = np.arange(count) % len(DIRECTIONS)
        steps = np.array(list(DIRECTIONS.values()))[labels]
        starts = random.integers(0, 32, (count, 2))
        chosen = digits[random.permutation(len(digits))[:count]]
        names = [f"{name}/{number}" for number in range(count)]
        splits[name] = Split(clips(chosen, starts, steps), labels, names, "clips")
    layout = "scikit-learn's digits, moved in eight directions"
    origin = Origin("named", "small-moving-digits")
    return Data("small-moving-digits", origin, tuple(DIRECTIONS), splits, layout)


def verdict(rows: Rows) -> Verdict:
    """Ask whether clips are told apart, and frames no better than by chance.

    A frame's accuracy is that of a guess where its interval has 1 / K in it or lies below.
    """
    found = gap(rows, "accuracy", {"sees": "frame"}, {"sees": "clip"})
    clip, frame = (level(select(rows, sees=kind), "accuracy") for kind in KINDS)
    chance = 1 / rows[0]["classes"]
    text = (
        f"All frames {clip.level()}, one frame {frame.level()}, chance {100 * chance:.1f} %: "
        f"3-D less one frame {found.text()}."
    )
    sure = clip.mean >= 0.9 and frame.low <= chance
    outcomes = {True: HOLDS if sure else IN_PART, False: FAILS, None: UNDECIDED}
    return Verdict(outcomes[above(found)], text, {"gap": found._asdict(), "chance": chance})


def panels(rows: Rows) -> list[Panel]:
    """Draw both accuracies."""
    chance = {"chance": 100 / rows[0]["classes"]}
    drawn = bars(grouped(rows, KINDS, "sees"), "accuracy")
    return [Bars("Direction of motion, told from", "test accuracy (%)", drawn, chance)]


EXPERIMENT = Experiment(
    claim=(
        "Convolutions work over video as well: with time as a third axis a network sees what no "
        "single frame shows."
    ),
    measured=(
        "Accuracy at telling the direction in which a digit moves (one of eight; any single frame "
        "is as likely in each), by 3-D convolutions over all frames and by 2-D ones over the "
        "middle frame."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {
                "data": "small-moving-digits",
                "clips": {"train": 32, "test": 32},
                "frames": 4,
                "size": 16,
                "width": 2,
                "epochs": 1,
            },
            "32 clips of scikit-learn's digits, 4 frames, 1 epoch",
        ),
        "short": Form(
            1.9,
            3,
            {
                "data": "moving-digits",
                "clips": {"train": 1200, "test": 500},
                "frames": 8,
                "size": 32,
                "width": 8,
                "epochs": 8,
            },
            "1,200 clips of MNIST's digits to train on, 500 to test, 8 frames, 8 epochs",
        ),
        "long": Form(
            10,
            3,
            {
                "data": "moving-digits",
                "clips": {"train": 4000, "test": 2000},
                "frames": 16,
                "size": 32,
                "width": 16,
                "epochs": 4,
            },
            "4,000 clips of MNIST's digits to train on, 2,000 to test, 16 frames, 4 epochs",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
