"""Which setting of a group is best: by the kept epochs on validation, and by nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate import epochs

from . import folder


class Ranked(NamedTuple):
    """A setting of a group: its runs differ in their seed alone."""

    choices: dict[str, Any]  # its own, without the seed
    runs: tuple[Path, ...]  # those that are finished
    score: tuple[float, ...]  # the means of what epochs are ordered by, greatest is best
    accuracy: float  # on validation, the mean over the runs
    sd: float | None  # None of one run


def kept(run: Path) -> dict[str, Any]:
    """Return the line of the epoch that a finished run kept."""
    monitor = folder.read_recipe(run).get("monitor", epochs.METRIC)
    found: dict[str, Any] = epochs.best(folder.read_history(run), monitor)
    return found


def ranked(parent: Path, runs: Mapping[str, Mapping[str, Any]]) -> list[Ranked]:
    """Rank the settings of which a run is finished, the best first; equals stay in their order."""
    alike: dict[str, list[Path]] = {}
    choices: dict[str, dict[str, Any]] = {}
    for name, own in runs.items():
        if not (folder.is_run(parent / name) and folder.read_result(parent / name)):
            continue
        rest = {key: value for key, value in own.items() if key != "seed"}
        alike.setdefault(repr(rest), []).append(parent / name)
        choices[repr(rest)] = rest
    found = [_ranked(choices[key], members) for key, members in alike.items()]
    return sorted(found, key=lambda one: one.score, reverse=True)


def _ranked(choices: dict[str, Any], runs: Sequence[Path]) -> Ranked:
    rows = [kept(run) for run in runs]
    scores = [
        epochs.score(row, folder.read_recipe(run).get("monitor", epochs.METRIC))
        for run, row in zip(runs, rows, strict=True)
    ]
    accuracies = [row["validation_accuracy"] for row in rows]
    return Ranked(
        choices,
        tuple(runs),
        tuple(float(np.mean(part)) for part in zip(*scores, strict=True)),
        float(np.mean(accuracies)),
        float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
    )
