"""Convolutions over spectrograms hear what is said (chapter 7, other domains)."""

import functools
from collections.abc import Iterable

import numpy as np

from striate.data import Data, Origin, Split
from striate.data.sources.speech import spoken_digits
from striate.figures import Bars, Panel
from striate.sounds import Sound

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
from .intervals import above, gap, level, select
from .material import taken
from .teaching import prepared, score, taught

KINDS = {"audio-convnet": "convolutional", "mlp": "fully connected"}
HEARD = 0.9  # of the digits, at least
TONES = 4
RATE = 8000


def cells(settings: Settings) -> list[Cell]:
    """List both networks, for known voices and for a voice that training lacks."""
    return [{"model": m, "held_out": v} for v in settings["voices"] for m in KINDS]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Train on spectrograms of sounds."""
    own = {"arguments": {"width": settings["width"]}} if cell["model"] == "audio-convnet" else {}
    made = prepared(
        taken(_data(settings["data"], cell["held_out"]), settings["sounds"]),
        lab,
        model=cell["model"],
        seed=cell["seed"],
        epochs=settings["epochs"],
        batch_size=32,
        **own,
    )
    yield {**score(taught(made, lab), lab), "classes": len(made.data.classes)}


@functools.cache
def _data(name: str, held_out: str) -> Data:
    return _tones() if name == "tones" else spoken_digits(held_out=held_out)


def _tones() -> Data:
    """Make sounds of four pitches, for the smallest form."""
    time = np.arange(RATE // 4) / RATE
    random = np.random.default_rng(0)
    splits = {}
    for name, count in {"train": 32, "test": 32}.items():
        labels = np.arange(count) % TONES
        pitches = 400 * 2 ** (labels + random.uniform(-0.1, 0.1, count))
        sounds = [Sound(np.sin(2 * np.pi * pitch * time) * 0.5, RATE) for pitch in pitches]
        names = [f"{name}/{number}" for number in range(count)]
        splits[name] = Split(sounds, labels, names, "sounds")
    classes = tuple(f"tone {number}" for number in range(TONES))
    return Data("tones", Origin("named", "tones"), classes, splits, "tones of four pitches")


def verdict(rows: Rows) -> Verdict:
    """Ask whether nine in ten of the known voices' digits are heard, and more than without maps."""
    known = select(rows, held_out="")
    found = gap(known, "accuracy", {"model": "mlp"}, {"model": "audio-convnet"})
    heard = level(select(known, model="audio-convnet"), "accuracy")
    text = (
        f"Of voices that training has, {heard.level()} of the digits are heard; convolutional less "
        f"fully connected {found.text()}."
    )
    for voice in sorted({row["held_out"] for row in rows} - {""}):
        both = [level(select(rows, held_out=voice, model=m), "accuracy") for m in KINDS]
        text += (
            f" Of {voice}'s, who is held out: {both[0].level()}, fully connected {both[1].level()}."
        )
    outcome = concluded([above(heard, HEARD), above(found)])
    return Verdict(outcome, text, {"gap": found._asdict(), "heard": heard._asdict()})


def panels(rows: Rows) -> list[Panel]:
    """Draw the accuracies, a panel for known voices and one for each that is held out."""
    drawn: list[Panel] = []
    for voice in sorted({row["held_out"] for row in rows}):
        groups = grouped(select(rows, held_out=voice), KINDS, "model")
        title = f"Voice held out: {voice}" if voice else "Voices that training has"
        goals = {"chance": 100 / rows[0]["classes"]}
        drawn.append(Bars(title, "test accuracy (%)", bars(groups, "accuracy"), goals))
    return drawn


EXPERIMENT = Experiment(
    claim="Convolutions over spectrograms of speech tell what is said (here: spoken digits).",
    measured=(
        "Accuracy on spoken digits of a convolutional network over log-mel spectrograms and of a "
        "fully connected one on the same, for voices that training has and for one held out."
    ),
    forms={
        "smoke": Form(
            0.05,
            1,
            {"data": "tones", "sounds": {}, "width": 2, "epochs": 1, "voices": [""]},
            "64 tones of four pitches, 1 epoch",
        ),
        "short": Form(
            1.9,
            2,
            {
                "data": "spoken-digits",
                "sounds": {"train": 1200, "test": 300},
                "width": 8,
                "epochs": 6,
                "voices": ["", "theo"],
            },
            "1,200 recordings of the Free Spoken Digit Dataset to train on, 300 to test, 6 epochs",
        ),
        "long": Form(
            12,
            3,
            {
                "data": "spoken-digits",
                "sounds": {},
                "width": 16,
                "epochs": 12,
                "voices": ["", "theo", "nicolas"],
            },
            "all 3,000 recordings of the Free Spoken Digit Dataset, 12 epochs",
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
