"""From folders of pictures to a cascade's file, stage by stage; and its features, drawn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import figures
from striate.errors import DataError, Stopped, UsageError
from striate.wording import counted

from . import cascadefile, sources
from .cascade import Cascade
from .haar import KINDS, cells
from .sources import Examples
from .training import Event, Grown, Settings, grow


class Noted(NamedTuple):
    """What was left out, as a line for people."""

    text: str


class Plan(NamedTuple):
    """All that a training needs."""

    begun: Cascade | None
    examples: Examples
    settings: Settings


Show = Callable[[Event | Noted], None]


def train_cascade(
    faces: str | Path | None = None,
    others: Sequence[str | Path] = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    side: int | None = None,
    show: Show | None = None,
    poll: Callable[[], None] = lambda: None,
    **choices: Any,
) -> Cascade:
    """Train a cascade of Haar-like features, as Viola and Jones do.

    `faces` is a folder, an .npz file or cbcl; `others` folders of pictures without faces, of any
    size; `choices` the fields of Settings. Each stage is written to `out` as soon as it is done;
    `resume` goes on with such a file, where only `stages` may change.
    """
    if resume is not None:
        path: Path | None = Path(resume).expanduser()
        plan = _begun(Path(resume).expanduser(), faces, others, choices)
    else:
        path = Path(out).expanduser() if out else None
        plan = _planned(path, faces, others, side, choices)
    cascade = plan.begun
    tell = show or (lambda _: None)
    for note in plan.examples.notes:
        tell(Noted(note))
    try:
        for event in grow(plan.examples, plan.settings, plan.begun, poll=poll):
            if isinstance(event, Grown):
                cascade = event.cascade
                if path:
                    cascadefile.save(path, cascade)
            tell(event)
    except Stopped as stop:
        raise Stopped(_stopped(cascade, path), stop.signal) from None
    if cascade is None:
        raise DataError("too few pictures without faces to train a first stage on")
    return cascade


def draw_features(cascade: Cascade, count: int = 2) -> bytes:
    """Draw the first features of a cascade on the mean of the faces it was trained on: PNG."""
    mean = np.array(cascade.record.get("mean_face", ()), np.uint8)
    if mean.shape != cascade.window:
        raise DataError("this cascade has no mean face of its window's size: nothing to draw on")
    stumps = [
        (feature, vote)
        for stage in cascade.stages
        for feature, vote in zip(stage.features, stage.votes, strict=True)
    ]
    drawn = []
    for number, (feature, vote) in enumerate(stumps[:count], start=1):
        wide, high = cells(feature.kind)
        across, down = feature.width // wide, feature.height // high
        parts = [
            figures.Part(
                feature.left + column * across,
                feature.top + row * down,
                across,
                down,
                weight * vote > 0,
            )
            for row, line in enumerate(KINDS[feature.kind])
            for column, weight in enumerate(line)
        ]
        size = f"{feature.width} x {feature.height}"
        drawn.append((f"{number}: {feature.kind}, {size}", parts))
    return figures.features(mean, drawn)


def _planned(
    path: Path | None,
    faces: str | Path | None,
    others: Sequence[str | Path],
    side: int | None,
    choices: dict[str, Any],
) -> Plan:
    if faces is None:
        raise UsageError("FACES is missing: a folder of faces, an .npz file, or cbcl")
    settings = _settings(choices)
    _check_free(path)
    return Plan(None, sources.find(faces, others, side), settings)


def _begun(
    path: Path, faces: str | Path | None, others: Sequence[str | Path], choices: dict[str, Any]
) -> Plan:
    begun = cascadefile.load(path)
    odd = sorted(set(choices) - {"stages"})
    if odd:
        raise UsageError(
            f"a cascade is continued as it was begun: leave out --{odd[0].replace('_', '-')} "
            "(only --stages may change)"
        )
    try:
        settings = Settings(**begun.record["settings"])
        known = begun.record["data"]
        origin, sha256 = [str(text) for text in known["origin"]], known["sha256"]
    except (LookupError, TypeError, UsageError) as error:
        raise DataError(f"{path} does not say how it was trained: it cannot go on") from error
    if "stages" in choices:
        settings = replace(settings, stages=choices["stages"])
    if len(begun.stages) >= settings.stages:
        raise UsageError(f"{path} has its {len(begun.stages)} stages: ask for more with --stages")
    given = [faces, *others] if faces is not None else origin
    examples = sources.find(given[0] or "", [one for one in given[1:] if one], begun.window[0])
    if examples.fingerprint != sha256:
        raise DataError(f"the pictures are not those that {path} was begun with")
    record = {**begun.record, "settings": {**begun.record["settings"], "stages": settings.stages}}
    return Plan(replace(begun, record=record), examples, settings)


def _settings(choices: dict[str, Any]) -> Settings:
    odd = sorted(set(choices) - set(Settings.__dataclass_fields__))
    if odd:
        known = ", ".join(Settings.__dataclass_fields__)
        raise UsageError(f"unknown choice {odd[0]} of train_cascade: there are {known}")
    return Settings(**choices)


def _check_free(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() != ".json":
        raise UsageError(f"-o is a .json file, not {path}")
    if path.exists():
        raise UsageError(f"{path} is there already: go on with --resume {path}, or name another -o")


def _stopped(cascade: Cascade | None, path: Path | None) -> str:
    if cascade is None or path is None:
        return "stopped before the first stage was done: nothing is saved"
    done = counted(len(cascade.stages), "stages")
    return (
        f"stopped with {done} done, saved in {path}: continue with "
        f"`striate train-cascade --resume {path}`"
    )
