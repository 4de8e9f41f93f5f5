"""The chapter's claims, tried: an experiment a file, a literal table, and a front to run one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.errors import UsageError, choose
from striate.stopping import Poll, unheard

from . import (
    audio,
    batchnorm,
    degradation,
    dense,
    faces,
    filters,
    groupnorm,
    listing,
    pooling,
    preprocessing,
    style,
    tsne,
    video,
)
from .claim import Experiment, Row, Verdict
from .conductor import Begun, Finished, Left, Measured, Order, conduct

__all__ = ["EXPERIMENTS", "Result", "carried_out", "experiment", "order", "summary"]

EXPERIMENTS: dict[str, Experiment] = {
    "dense-vs-conv": dense.EXPERIMENT,
    "listing-vs-mended": listing.EXPERIMENT,
    "pooling": pooling.EXPERIMENT,
    "preprocessing": preprocessing.EXPERIMENT,
    "batchnorm": batchnorm.EXPERIMENT,
    "groupnorm": groupnorm.EXPERIMENT,
    "degradation": degradation.EXPERIMENT,
    "small-filters": filters.EXPERIMENT,
    "tsne": tsne.EXPERIMENT,
    "viola-jones": faces.EXPERIMENT,
    "style": style.EXPERIMENT,
    "video": video.EXPERIMENT,
    "audio": audio.EXPERIMENT,
}


def _finite(numbers: Any) -> Any:
    """Put null in the place of what JSON cannot hold."""
    if isinstance(numbers, Mapping):
        return {key: _finite(value) for key, value in numbers.items()}
    return None if isinstance(numbers, float) and not math.isfinite(numbers) else numbers


PARENT = Path("experiments")  # of the folders, where none is named

Event = Begun | Measured | Left | Finished


@dataclass(frozen=True)
class Result:
    """What an experiment found, and where its rows, figure and page are."""

    name: str
    claim: str
    form: str
    verdict: Verdict
    rows: list[Row]
    left: int  # cells that the time did not allow
    seconds: float  # of all cells
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return the document that `striate experiment --json` prints."""
        return {
            "experiment": self.name,
            "form": self.form,
            "claim": self.claim,
            "verdict": self.verdict.outcome,
            "line": self.verdict.line,
            "numbers": _finite(self.verdict.numbers),
            "rows": len(self.rows),
            "cells_left": self.left,
            "seconds": round(self.seconds, 1),
            "folder": str(self.folder),
        }


def experiment(
    name: str,
    *,
    short: bool = False,
    seeds: int | None = None,
    seconds: float | None = None,
    device: str = "auto",
    out: Path | str | None = None,
    poll: Poll = unheard,
    show: Callable[[Event], None] = lambda _: None,
) -> Result:
    """Try a claim of the chapter: measure what is missing in its folder, judge, draw, write a page.

    `short` takes two minutes at most on two cores; `seconds` bounds either form, and the next call
    goes on. The folder is `out`, else experiments/NAME or experiments/NAME-short. `show` is given
    what happens.
    """
    given = order(name, short=short, seeds=seeds, out=out)
    return carried_out(given, device=device, limit=seconds, poll=poll, show=show)


def carried_out(
    given: Order,
    *,
    device: str = "auto",
    limit: float | None = None,
    poll: Poll = unheard,
    show: Callable[[Event], None] = lambda _: None,
) -> Result:
    """Do what is to be done."""
    for event in conduct(given, device=device, limit=limit, poll=poll):
        show(event)
        if isinstance(event, Finished):
            return _result(given, event)
    raise AssertionError  # conduct ends with Finished, or raises


def order(
    name: str,
    *,
    short: bool = False,
    seeds: int | None = None,
    out: Path | str | None = None,
    form: str | None = None,
) -> Order:
    """Resolve what is to be done; UsageError for an unknown experiment."""
    found = EXPERIMENTS[choose("experiment", name, EXPERIMENTS)]
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds is 1 or more, not {seeds}")
    chosen = form or ("short" if short else "long")
    ending = "" if chosen == "long" else f"-{chosen}"
    folder = Path(out).expanduser() if out else PARENT / f"{name}{ending}"
    words = f"striate experiment {name}{' --short' if chosen == 'short' else ''}"
    words += f" --seeds {seeds}" if seeds is not None else ""
    return Order(name, found, chosen, seeds or found.forms[chosen].seeds, words, folder)


def _result(given: Order, done: Finished) -> Result:
    """Put together what was found."""
    claim = given.experiment.claim
    return Result(
        given.name,
        claim,
        given.form,
        done.verdict,
        list(done.rows),
        done.left,
        done.seconds,
        done.folder,
    )


def summary() -> list[dict[str, Any]]:
    """List the experiments: name, claim, and minutes of the short and the long form."""
    return [
        {
            "experiment": name,
            "claim": found.claim,
            "short_minutes": found.forms["short"].minutes,
            "long_minutes": found.forms["long"].minutes,
        }
        for name, found in EXPERIMENTS.items()
    ]
