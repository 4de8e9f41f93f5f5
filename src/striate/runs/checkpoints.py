"""Checkpoints: what one holds, written whole, verified when read, deleted when no longer needed."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from striate import files
from striate.errors import DataError

FOLDER = "checkpoints"
STATE = "checkpoint.json"
OPTIMISER = "optimiser.safetensors"
RAW = "raw.safetensors"  # the weights that steps are taken from, where the network is their mean
KEPT = 2  # the newest, and one in case it is damaged; the best is kept besides


class Checkpoint(NamedTuple):
    """What was saved at a step."""

    path: Path
    document: dict[str, Any]  # the bundle's card, and the state of the training
    blobs: dict[str, bytes]

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.document["state"]["step"])

    @property
    def score(self) -> tuple[float, ...] | None:
        """What the best is chosen by, greatest first; None but at the end of an epoch."""
        found = self.document["state"]["score"]
        return None if found is None else tuple(found)


def save(run: Path, document: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Path:
    """Write a checkpoint durably, read it back, then remove what is no longer of use.

    `document` has a table `state` with `step` and `score`.
    """
    folder = place(run, document["state"]["step"])
    files.write_sealed(folder, STATE, document, blobs)
    files.read_sealed(folder, STATE)  # a disk that loses bits must not cost the older ones
    _prune(run)
    return folder


def place(run: Path, step: int) -> Path:
    """Return where the checkpoint of a step is."""
    return run / FOLDER / _name(step)


def newest_first(run: Path) -> Iterator[Checkpoint]:
    """Yield the checkpoints that verify; damaged ones are passed over."""
    for folder in _folders(run):
        try:
            yield _read(folder)
        except DataError:
            continue


def latest(run: Path) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that verifies, and why newer ones were passed over."""
    damage: list[str] = []
    for folder in _folders(run):
        try:
            return _read(folder), damage
        except DataError as error:
            damage.append(str(error))
    reason = f": {damage[0]}" if damage else ""
    raise DataError(
        f"{run} has no usable checkpoint{reason}: train again with --out {run} --overwrite"
    )


def trail(run: Path) -> list[dict[str, Any]]:
    """Read the newest checkpoint's points of the curves by step; of a long run there are none."""
    for folder in _folders(run):
        with contextlib.suppress(DataError):
            state = files.read_document(folder / STATE).get("state")
            found = state.get("trail") if isinstance(state, dict) else None
            return found if isinstance(found, list) else []
    return []


def seconds(run: Path) -> list[float]:
    """List how long a run was trained until its checkpoints; their blobs are not looked at."""
    found = []
    for folder in _folders(run):
        with contextlib.suppress(DataError):
            state = files.read_document(folder / STATE).get("state")
            value = state.get("seconds") if isinstance(state, dict) else None
            found += [float(value)] if isinstance(value, (int, float)) else []
    return found


def best(run: Path) -> Checkpoint | None:
    """Return the verified checkpoint with the highest score; the newer one among equals."""
    scored = (c for c in newest_first(run) if c.score is not None)
    return max(scored, key=lambda c: (c.score, c.step), default=None)


def _read(folder: Path) -> Checkpoint:
    document, blobs = files.read_sealed(folder, STATE)
    state = document.get("state")
    if not (isinstance(state, dict) and _is_step(state.get("step")) and "score" in state):
        raise DataError(f"{folder / STATE} is damaged: it has no state of a training")
    if not _is_score(state["score"]):
        raise DataError(f"{folder / STATE} is damaged: its score is no list of numbers")
    if folder.name != _name(state["step"]):
        raise DataError(f"{folder / STATE} is damaged: it is the state of {_name(state['step'])}")
    return Checkpoint(folder, document, blobs)


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _is_step(found: Any) -> bool:
    return type(found) is int and 0 <= found < 10**9


def _is_score(found: Any) -> bool:
    if not isinstance(found, list):
        return found is None
    return bool(found) and all(type(number) in (int, float) for number in found)


def _folders(run: Path) -> list[Path]:
    """List the checkpoint folders, newest first, by the step in their names."""
    return sorted((run / FOLDER).glob("step-*"), reverse=True)


def _prune(run: Path) -> None:
    """Keep the newest that verify and the best; remove the others, and what is damaged."""
    verified, unread = [], []
    for folder in _folders(run):
        try:
            found = _read(folder)
            verified.append((folder, found.score, found.step))
        except DataError as error:
            # What the system does not let us read now may be whole, and the best.
            unread += [folder] if isinstance(error.__cause__, OSError) else []
    scored = [(score, step, folder) for folder, score, step in verified if score is not None]
    top = [max(scored)[-1]] if scored else []
    kept = [folder for folder, _, _ in verified[:KEPT]]
    for folder in _folders(run):
        if folder not in (*kept, *top, *unread):
            files.remove(folder)
