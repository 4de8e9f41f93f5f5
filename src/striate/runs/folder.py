"""The run: a folder that every command reads. Only this room knows the names of its files."""

import json
import platform
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
import torch

import striate
from striate import files
from striate.errors import DataError, UsageError

from . import bundle, checkpoints
from .bundle import Bundle

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"
DATA = "data.json"
SPLITS = "splits.parquet"
METRICS = "metrics.jsonl"
RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
OVERVIEW = "overview.png"
BUNDLE = "bundle"
CHECKPOINTS = checkpoints.FOLDER
LOCK = ".lock"


def new_folder(parent: Path, data: str, model: str) -> Path:
    """Give the first free `parent/DATA-MODEL-N`."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{data}-{model.rpartition('/')[2]}").strip("-.")
    taken = {path.name for path in parent.glob(f"{stem}-*")} if parent.is_dir() else set()
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return parent / f"{stem}-{number}"


def claim(folder: Path, *, overwrite: bool) -> None:
    """Make the run's folder; one that holds anything is a UsageError unless it may be replaced."""
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise UsageError(f"{folder} is not empty: choose another --out, continue it with "
                             f"--resume {folder}, or replace it with --overwrite")
        if not is_run(folder) and not (folder / LOCK).exists():
            raise UsageError(f"{folder} is no run: --overwrite replaces only what striate wrote")
        files.remove(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def is_run(folder: Path) -> bool:
    """Tell whether a folder is a run that was started."""
    return (folder / RECIPE).is_file()


def require(folder: Path) -> Path:
    """Give the folder back if it is a run, or a bundle on its own."""
    if not is_run(folder) and not (folder / bundle.CARD).is_file():
        what = "is no run: it has no recipe.toml" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {what}")
    return folder


def write_start(
    folder: Path, *, recipe: Mapping[str, Any], data: Mapping[str, Any],
    splits: Mapping[str, Sequence[tuple[str, str]]],
) -> None:
    """Write what a run is, before its first step; the recipe last: with it, it is a run."""
    files.write(folder / SPLITS, _splits_table(splits))
    files.write(folder / DATA, files.json_bytes(data))
    files.write(folder / ENVIRONMENT, files.json_bytes(environment()))
    write_recipe(folder, recipe)


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write the resolved recipe."""
    files.write(folder / RECIPE, recipe_text(recipe).encode())


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Give a recipe as TOML."""
    return tomli_w.dumps(dict(recipe))


def list_runs(parent: Path) -> list[Path]:
    """List the runs in a folder, by name."""
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if is_run(path))


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read the resolved recipe."""
    try:
        return tomllib.loads(files.read(require(folder) / RECIPE).decode())
    except ValueError as error:
        raise DataError(f"{folder / RECIPE} cannot be read: {error}") from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the run's JSON documents."""
    try:
        found = json.loads(files.read(folder / name))
    except ValueError as error:
        raise DataError(f"{folder / name} cannot be read: {error}") from error
    return dict(found)


def read_result(folder: Path) -> dict[str, Any]:
    """Read what the finished training reached; an unfinished one has an empty result."""
    return read_json(folder, RESULT) if (folder / RESULT).exists() else {}


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Read which pictures are in which split: names, in order."""
    try:
        table = pq.read_table(pa.BufferReader(files.read(folder / SPLITS)))
        names, parts = table["file"].to_pylist(), table["split"].to_pylist()
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"{folder / SPLITS} cannot be read: {error}") from error
    found: dict[str, list[str]] = {}
    for name, part in zip(names, parts, strict=True):
        found.setdefault(part, []).append(name)
    return found


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON line an epoch."""
    lines = [json.dumps(row, allow_nan=False) + "\n" for row in history]
    files.write(folder / METRICS, "".join(lines).encode())


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read the epochs that were finished."""
    path = folder / METRICS
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in files.read(path).decode().splitlines()]
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def load_bundle(folder: Path, *, device: torch.device | None = None) -> Bundle:
    """Load the network of a run: its bundle, else the best checkpoint of an unfinished run.

    A bundle's own folder is good as well.
    """
    if (folder / bundle.CARD).is_file():
        return bundle.load(folder, device=device)
    require(folder)
    try:
        return bundle.load(folder / BUNDLE, device=device)
    except DataError:
        found = checkpoints.best(folder)
        if found is None:
            if (folder / BUNDLE).exists():
                raise
            raise DataError(f"{folder} has no finished epoch yet: continue it with "
                            f"`striate train --resume {folder}`") from None
    return bundle.restore(found.document, found.blobs, where=found.path, device=device)


def write_bundle(folder: Path) -> None:
    """Make the run's bundle of its best checkpoint."""
    found = checkpoints.best(folder)
    assert found is not None, "a run that is finished has a finished epoch"
    document = {k: v for k, v in found.document.items() if k not in ("state", "files")}
    content = {k: v for k, v in found.blobs.items() if k != checkpoints.OPTIMISER}
    bundle.save(folder / BUNDLE, document, content)


def environment() -> dict[str, Any]:
    """Describe the machine and the versions."""
    return {
        "striate": striate.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "command": sys.argv,
    }


def _splits_table(splits: Mapping[str, Sequence[tuple[str, str]]]) -> bytes:
    rows = [(name, label, part) for part, names in splits.items() for name, label in names]
    columns = list(zip(*rows, strict=True))
    table = pa.table(dict(zip(("file", "class", "split"), columns, strict=True)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())
