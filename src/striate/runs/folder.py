"""The run folder: its name, and the names of the files in it, which only this package knows."""

import contextlib
import json
import platform
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w
import torch
from torch import Tensor

from striate import files, tables
from striate.data import Origin
from striate.errors import DataError, UsageError
from striate.models.tensorfiles import from_safetensors
from striate.usercode import Consent
from striate.version import __version__
from striate.wording import shown

from . import bundle, checkpoints
from .bundle import Bundle

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"
DATA = "data.json"
SPLITS = "splits.parquet"
FINGERPRINTS = "fingerprints.parquet"
METRICS = "metrics.jsonl"
RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
FEATURES = "features.parquet"
OVERVIEW = "overview.png"
REPORT = "report.html"
# What `striate export` writes where no other place is named; int8 has names of its own.
EXPORTS = tuple(
    f"model{kind}{ending}" for kind in ("", "-int8") for ending in (".onnx", ".pt2", ".xml", ".bin")
)
BUNDLE = "bundle"
CHECKPOINTS = checkpoints.FOLDER
TENSORBOARD = "tensorboard"
MLFLOW = "mlflow.json"
LOCK = ".lock"
GROUP = "group.json"  # of a folder of runs
# All that a training leaves in its run; --overwrite touches no folder that holds anything else.
OURS = (
    RECIPE,
    ENVIRONMENT,
    DATA,
    SPLITS,
    FINGERPRINTS,
    METRICS,
    RESULT,
    PREDICTIONS,
    FEATURES,
    OVERVIEW,
    REPORT,
    *EXPORTS,
    BUNDLE,
    CHECKPOINTS,
    TENSORBOARD,
    MLFLOW,
    LOCK,
)
_NETWORK = "striate.network"  # key of the checksum in the table of features
# What readers take for granted in the documents that are not sealed: keys and their types.
NEEDED: dict[str, dict[str, type | tuple[type, ...]]] = {
    DATA: {"origin": dict, "fingerprints": dict, "classes": list},
    RESULT: {"accuracy": (int, float), "split": str, "n": int, "interval": list},
    METRICS: {"epoch": int, "seconds": (int, float)},
}


def new_folder(parent: Path, data: str, model: str) -> Path:
    """Return the first free `parent/DATA-MODEL-N`."""
    stem = (
        re.sub(r"[^A-Za-z0-9._-]+", "-", f"{data}-{model.rpartition('/')[2]}").strip("-.") or "run"
    )
    taken = {path.name for path in parent.glob(f"{stem}-*")} if parent.is_dir() else set()
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return parent / f"{stem}-{number}"


def claim(folder: Path, *, overwrite: bool) -> None:
    """Make the run's folder; one that holds anything is a UsageError unless it may be replaced."""
    files.remove_stale(folder.parent, only=folder.name)
    with _readable(folder):
        empty = not folder.is_dir() or not any(folder.iterdir())
    if not empty:
        if not overwrite:
            go_on = f"continue it with --resume {folder}, " if is_run(folder) else ""
            raise UsageError(
                f"{folder} is not empty: choose another --out, {go_on}"
                "or replace a run with --overwrite"
            )
        _empty(folder)
    files.make_folder(folder)


def _empty(folder: Path) -> None:
    """Remove a run's files; one that is being trained or holds what is not ours is a UsageError."""
    for path in sorted(folder.iterdir()):
        if path.name not in OURS and not path.name.startswith(files.TEMPORARY):
            raise UsageError(
                f"{folder} holds {path.name}, which striate train did not write: "
                "--overwrite replaces runs and nothing else, move it away first"
            )
    with files.lock(folder / LOCK):
        files.remove(folder / RECIPE)  # first: half emptied, it is no run
        for path in folder.iterdir():
            if path.name != LOCK:
                files.remove(path)


def is_run(folder: Path) -> bool:
    """Tell whether a folder is a run that was started."""
    return (folder / RECIPE).is_file()


def require(folder: Path) -> Path:
    """Return the folder back if it is a run, or a bundle on its own."""
    if not is_run(folder) and not (folder / bundle.CARD).is_file():
        raise DataError(f"{folder} {_what_instead(folder)}")
    return folder


def require_whole(folder: Path) -> Path:
    """Return the folder back if it is a run; a bundle alone does not know how it was made."""
    require(folder)
    if not is_run(folder):
        parent = folder.absolute().parent
        run = f": give the run's folder, {parent}" if is_run(parent) else ""
        raise DataError(f"{folder} is a bundle, which holds the network and not its training{run}")
    return folder


def _what_instead(path: Path) -> str:
    """Say what a path is that is no run."""
    if path.is_dir() and (path / GROUP).is_file():
        inside = [run.name for run in list_runs(path)]
        return "is a group of runs: give one of them" + (f", {path / inside[0]}" if inside else "")
    if path.is_dir():
        return "is no run: it has no recipe.toml"
    if not path.exists():
        return "does not exist"
    home = path.absolute().parent
    for place in (home, *home.parents[:2]):
        if is_run(place) or (place / bundle.CARD).is_file():
            return f"is a file of a run, whose folder is wanted: give {place}"
    if path.name.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")):
        return "is an archive: a run is a folder, unpack it and give that"
    return "is a file: a run is a folder, with recipe.toml in it"


def write_start(
    folder: Path,
    *,
    recipe: Mapping[str, Any],
    data: Mapping[str, Any],
    splits: Mapping[str, Sequence[tuple[str, str]]],
    fingerprints: pa.Table | None = None,
) -> None:
    """Write what a run is, before its first step; the recipe last: with it, it is a run."""
    files.write(folder / SPLITS, _splits_table(splits))
    if fingerprints is not None:
        files.write(folder / FINGERPRINTS, tables.parquet_bytes(fingerprints))
    write_data(folder, data)
    files.write(folder / ENVIRONMENT, files.json_bytes(environment()))
    write_recipe(folder, recipe)


def write_data(folder: Path, data: Mapping[str, Any]) -> None:
    """Write what the run was trained on, and where that is."""
    files.write(folder / DATA, files.json_bytes(data))


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write the resolved recipe."""
    files.write(folder / RECIPE, recipe_text(recipe).encode())


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe as TOML."""
    return tomli_w.dumps(dict(recipe))


def list_runs(parent: Path) -> list[Path]:
    """List the runs in a folder, by name."""
    if not parent.is_dir():
        return []
    with _readable(parent):
        return sorted(path for path in parent.iterdir() if is_run(path))


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read the resolved recipe."""
    path = require_whole(folder) / RECIPE
    with _readable(path):
        return tomllib.loads(files.read(path).decode())


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the run's JSON documents."""
    path = require_whole(folder) / name
    with _readable(path):
        return _checked(json.loads(files.read(path)), path)


def read_origin(folder: Path) -> Origin:
    """Read where the run's data came from."""
    path = folder / DATA
    table = read_json(folder, DATA)["origin"]
    with _readable(path):
        origin = Origin(**table)
        texts = all(isinstance(text, str) for text in (origin.kind, origin.text))
        code = isinstance(origin.source, str if origin.kind == "file" else type(None))
        if not (texts and code and isinstance(origin.arguments, dict)):
            raise TypeError("its origin is not one that a training writes")
    return origin


def read_result(folder: Path) -> dict[str, Any]:
    """Read what the finished training reached; an unfinished one has an empty result."""
    return read_json(folder, RESULT) if (folder / RESULT).exists() else {}


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Read which pictures are in which split: names, in order."""
    path = require_whole(folder) / SPLITS
    with _readable(path):
        table = tables.read_parquet(files.read(path), checksums=True)
        columns = [table[name].cast(pa.string()).to_pylist() for name in ("file", "split")]
        found: dict[str, list[str]] = {}
        for name, part in zip(*columns, strict=True):
            if name is None or part is None:
                raise ValueError("a row is empty")
            found.setdefault(part, []).append(name)
        return found


def read_labels(folder: Path) -> dict[str, str]:
    """Read the class that each picture had when the run began."""
    path = folder / SPLITS
    with _readable(path):
        table = tables.read_parquet(files.read(path), checksums=True)
        columns = [table[name].cast(pa.string()).to_pylist() for name in ("file", "class")]
        return {str(name): str(label) for name, label in zip(*columns, strict=True)}


def read_fingerprints(folder: Path) -> pa.Table | None:
    """Read by what the run's pictures are known again; None of a run that an older version made."""
    path = folder / FINGERPRINTS
    if not path.exists():
        return None
    with _readable(path):
        return tables.read_parquet(files.read(path), checksums=True)


def write_predictions(folder: Path, answers: pa.Table) -> None:
    """Write what the finished network said of each picture of the split that it was judged on."""
    files.write(folder / PREDICTIONS, tables.parquet_bytes(answers))


def read_predictions(folder: Path) -> pa.Table:
    """Read what the finished network said: file, class, predicted, probability, probabilities.

    A row a picture of the split in the result, in that split's order.
    """
    path = require_whole(folder) / PREDICTIONS
    with _readable(path):
        table = tables.read_parquet(files.read(path), checksums=True)
        missing = {"file", "class", "predicted", "probability", "probabilities"} - {
            *table.column_names
        }
        if missing:
            raise ValueError(f"it has no column {min(missing)}")
        return table


def write_features(folder: Path, table: pa.Table) -> None:
    """Write what the run's network makes of each picture: file, split, class, vector.

    With the checksum of its weights: by it `read_features` knows whether they are still the ones.
    """
    content = tables.parquet_bytes(table.replace_schema_metadata({_NETWORK: _checksum(folder)}))
    files.write(folder / FEATURES, content)


def read_features(folder: Path) -> pa.Table | None:
    """Read what `write_features` wrote; None where nothing was, or of another network since."""
    path = folder / FEATURES
    if not path.exists():
        return None
    with _readable(path):
        table = tables.read_parquet(files.read(path), checksums=True)
        missing = {"file", "split", "class", "vector"} - {*table.column_names}
        if missing:
            raise ValueError(f"it has no column {min(missing)}")
    metadata = table.schema.metadata or {}
    return table if metadata.get(_NETWORK.encode()) == _checksum(folder).encode() else None


def _checksum(folder: Path) -> str:
    """Take the checksum of the network that `load_bundle` loads."""
    _, content, _ = _best(folder)
    return files.sha256(content.get(bundle.WEIGHTS, b""))


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON line an epoch."""
    lines = [json.dumps(row, allow_nan=False) + "\n" for row in history]
    files.write(folder / METRICS, "".join(lines).encode())


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read the epochs that were finished."""
    path = folder / METRICS
    if not path.exists():
        return []
    with _readable(path):
        lines = files.read(path).decode().splitlines()
        return [_checked(json.loads(line), path) for line in lines]


def read_trail(folder: Path) -> list[dict[str, float]]:
    """Read the training by step, `step`, `rate` and `train_loss`; nothing of more than ten epochs.

    A checkpoint is what holds it: of a run without one there is nothing either.
    """
    try:
        return [
            {
                "step": int(point["step"]),
                "rate": float(point["rate"]),
                "train_loss": point["loss_sum"] / point["pictures"],
            }
            for point in checkpoints.trail(folder)
        ]
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"a checkpoint of {folder} is damaged: its curves cannot be read"
        ) from error


def seconds(folder: Path) -> float:
    """Tell how long a run has been trained: as its newest checkpoint says, else its last epoch."""
    history = read_history(folder)
    ended = [float(history[-1]["seconds"])] if history else [0.0]
    return max(ended + ([] if read_result(folder) else checkpoints.seconds(folder)))


def load_bundle(
    folder: Path, *, device: torch.device | None = None, trust_code: bool = False
) -> Bundle:
    """Load the network of a run: its bundle, else the best checkpoint of an unfinished run.

    A bundle's own folder is good as well. Python code that it carries is executed only where the
    user gave it on this machine, or with `trust_code`.
    """
    document, content, where = _best(folder)
    consent = Consent(folder, trust_code)
    return bundle.restore(document, content, where=where, device=device, consent=consent)


def load_version(
    folder: Path, *, device: torch.device | None = None, trust_code: bool = False
) -> tuple[Bundle, str]:
    """Load a network as `load_bundle` does, and name it by a checksum of all that it is made of."""
    document, content, where = _best(folder)
    consent = Consent(folder, trust_code)
    found = bundle.restore(document, content, where=where, device=device, consent=consent)
    return found, str(files.sealed(document, content)["sha256"])


def stamp(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Look at the files that `load_version` reads: another stamp where they may have changed."""
    places = (folder / bundle.CARD, folder / BUNDLE / bundle.CARD, folder / CHECKPOINTS)
    found = []
    for place in places:
        with contextlib.suppress(OSError):
            status = place.stat()
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights and buffers of the network that `load_bundle` loads, and no more."""
    _, content, where = _best(folder)
    if bundle.WEIGHTS not in content:
        raise DataError(f"{where} has no {bundle.WEIGHTS}")
    return from_safetensors(content[bundle.WEIGHTS], where / bundle.WEIGHTS)


def _best(folder: Path) -> tuple[dict[str, Any], dict[str, bytes], Path]:
    """Read and verify what the network of a run is built from: a card, blobs, and their place."""
    if (folder / bundle.CARD).is_file():
        return *files.read_sealed(folder, bundle.CARD), folder
    require(folder)
    try:
        return *files.read_sealed(folder / BUNDLE, bundle.CARD), folder / BUNDLE
    except DataError:
        found = checkpoints.best(folder)
        if found is None:
            if (folder / BUNDLE).exists():
                raise
            raise DataError(
                f"{folder} has no finished epoch yet: continue it with "
                f"`striate train --resume {folder}`"
            ) from None
    return found.document, found.blobs, found.path


def write_bundle(folder: Path) -> None:
    """Make the run's bundle of its best checkpoint; the same network keeps its temperature."""
    found = checkpoints.best(folder)
    assert found is not None, "a run that is finished has a finished epoch"
    document = {k: v for k, v in found.document.items() if k not in ("state", "files")}
    ours = (checkpoints.OPTIMISER, checkpoints.RAW)
    content = {k: v for k, v in found.blobs.items() if k not in ours}
    with contextlib.suppress(DataError, ValueError):  # there is none yet, or it is damaged
        older, blobs = files.read_sealed(folder / BUNDLE, bundle.CARD)
        temperature = bundle.temperature_of(older)
        if temperature != 1 and blobs == content:
            document = bundle.tempered(document, temperature)
    bundle.save(folder / BUNDLE, document, content)


def write_temperature(folder: Path, temperature: float) -> None:
    """Save a temperature in the run's bundle, whose network and preprocessing stay as they are."""
    document, content = files.read_sealed(folder / BUNDLE, bundle.CARD)
    bundle.save(folder / BUNDLE, bundle.tempered(document, temperature), content)


def read_temperature(folder: Path) -> float:
    """Read the temperature of a run's bundle; 1 where there is none."""
    path = folder / BUNDLE / bundle.CARD
    if not path.is_file():
        return 1.0
    with _readable(path):
        return bundle.temperature_of(files.read_document(path))


def environment() -> dict[str, Any]:
    """Describe the machine and the versions."""
    return {
        "striate": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "command": [shown(word) for word in sys.argv],
    }


def _splits_table(splits: Mapping[str, Sequence[tuple[str, str]]]) -> bytes:
    rows = [(name, label, part) for part, names in splits.items() for name, label in names]
    columns = list(zip(*rows, strict=True))
    return tables.parquet_bytes(
        pa.table(dict(zip(("file", "class", "split"), columns, strict=True)))
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the parsers raise into a DataError that names the file."""
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        OSError,
        pa.ArrowException,
    ) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _checked(found: Any, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("it is no table of keys")
    for key, kind in NEEDED.get(path.name, {}).items():
        if not isinstance(found.get(key), kind) or isinstance(found[key], bool):
            raise TypeError(f"{key} is missing or of another type")
    return found
