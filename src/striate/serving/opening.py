"""A run, or a file that was exported from one -> what a server asks, and says of it."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from striate import devices, exported, files, prediction
from striate.data.preparation.kinds import limited
from striate.data.preparation.preprocessing import Preprocessing
from striate.ranking import Network
from striate.runs import folder

from .explanations import Explanations

SUFFIX = ".onnx"
_VERSION = 12  # digits of a checksum


class Loading(NamedTuple):
    """How networks are loaded."""

    device: torch.device
    workers: int
    trust_code: bool = False
    max_megapixels: float | None = None
    batch: int = 1  # pictures, with which a network is tried


class Opened(NamedTuple):
    """A network, ready to be asked."""

    network: Network
    version: str
    shape: tuple[int, ...]  # of its input
    blank: Any  # an example's pixels, to try it with
    board: str | None = None  # on what one may draw for it: black or white
    accuracy: float | None = None
    split: str | None = None
    explanations: Explanations | None = None  # of a run alone


def is_file(path: Path) -> bool:
    """Tell whether this is an exported file, not a run."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def open_network(path: Path, loading: Loading) -> Opened:
    """Load a run's network, or an exported file."""
    return _of_file(path, loading) if is_file(path) else _of_run(path, loading)


def stamp(path: Path) -> tuple[Any, ...]:
    """Look at the files of a network: another stamp where they may have changed."""
    if path.suffix.lower() != SUFFIX:
        return folder.stamp(path)
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size
    return ()


def _of_run(path: Path, loading: Loading) -> Opened:
    found, version = folder.load_version(path, trust_code=loading.trust_code)
    bundle = found._replace(preprocessing=limited(found.preprocessing, loading.max_megapixels))
    preparation = bundle.preprocessing
    devices.place(bundle.model, loading.device)
    result = folder.read_result(path) if folder.is_run(path) else {}
    return Opened(
        prediction.network(bundle, loading.device),
        version[:_VERSION],
        preparation.shape,
        torch.zeros(preparation.pixel_shape, dtype=preparation.dtype),
        _board(preparation),
        result.get("accuracy"),
        result.get("split"),
        Explanations(path, bundle, loading.trust_code, loading.device),
    )


def _of_file(path: Path, loading: Loading) -> Opened:
    file = exported.load(path)
    taken = file.document.input()
    is_picture = taken.kind == "pictures"
    shape = (taken.shape[-1], *taken.shape[:2]) if is_picture else taken.shape
    return Opened(
        file.network(loading.max_megapixels),
        files.sha256(files.read(path))[:_VERSION],
        shape,
        np.zeros(taken.shape, taken.dtype),
        _board_of(file.document.preprocessing) if is_picture else None,
    )


def _board(preparation: Any) -> str | None:
    if not isinstance(preparation, Preprocessing):
        return None
    return _board_of(preparation.to_json())


def _board_of(preprocessing: dict[str, Any]) -> str | None:
    """Choose black or white, as most of its training pictures are; None where they are coloured."""
    if preprocessing.get("channels") != 1:
        return None
    mean = preprocessing.get("mean") or [0.0]
    return "white" if mean[0] > 1 / 2 else "black"
