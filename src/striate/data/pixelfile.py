"""Pixels of a split in one file, mapped into memory: for those that do not fit into it.

FINGERPRINT.pixels holds the readable pictures, (N, C, H, W) for instance; FINGERPRINT.json says
which are not readable. The fingerprint is of the files' names, sizes and times, of what is made of
them, and of the decoders: a file that was changed, or another size, is another fingerprint.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate import files
from striate.errors import DataError

from .preparation.kinds import Preparation
from .sources.archives import Inside
from .sources.members import Member
from .splits import Split

# What decides about pixels beside the files and the preprocessing.
_DECODERS = ("av", "pillow", "pillow-heif", "simplejpeg", "torch")
# Of the preprocessing, what comes after the pixels.
_LATER = ("normalise", "mean", "std")


class Loaded(NamedTuple):
    """What a file of pixels holds."""

    pixels: Tensor  # (N, C, H, W) for instance, of the readable pictures
    unreadable: dict[int, str]  # place in the split, and why


def place(folder: Path, split: Split, preprocessing: Preparation) -> Path:
    """Name the file for a split's pixels; its pictures are files, or stand in archives."""
    digest = hashlib.sha256()
    made = {k: v for k, v in preprocessing.to_json().items() if k not in _LATER}
    for line in (preprocessing.kind, json.dumps(made), *map(_version, _DECODERS)):
        digest.update(f"{line}\n".encode())
    states: dict[Path, str] = {}
    for picture in split.pictures:
        digest.update(f"{picture}\n{_state_of(picture, states)}\n".encode(errors="surrogateescape"))
    return folder / f"{digest.hexdigest()[:32]}.pixels"


def load(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Loaded | None:
    """Map a file of examples of this shape; None where there is none, or not a whole one."""
    try:
        card = json.loads(path.with_suffix(".json").read_bytes())
        count, unreadable = int(card["pictures"]), dict(card["unreadable"])
        if path.stat().st_size != count * int(np.prod(shape)) * dtype.itemsize:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not count:
        return Loaded(torch.empty((0, *shape), dtype=dtype), _by_place(unreadable))
    # Copy on write, as torch takes no memory that it may not write to.
    mapped = torch.from_numpy(np.memmap(path, np.uint8, "c"))
    return Loaded(mapped.view(dtype).view(count, *shape), _by_place(unreadable))


def save(path: Path, results: Iterator[Tensor | str], *, most_bytes: int) -> None:
    """Write each example's pixels, or why there are none, in the split's order.

    DataError where less than `most_bytes` are free.
    """
    files.make_folder(path.parent)
    free = shutil.disk_usage(path.parent).free
    if most_bytes > free:
        raise DataError(
            f"the pixels need {most_bytes / 1e9:.1f} GB in {path.parent}, where "
            f"{free / 1e9:.1f} GB are free: choose another folder for --cache, or none"
        )
    unreadable: dict[int, str] = {}
    row = -1
    with files.streamed(path) as handle:
        for row, result in enumerate(results):
            if isinstance(result, str):
                unreadable[row] = result
            else:
                handle.write(result.numpy().tobytes())
    card: dict[str, Any] = {"pictures": row + 1 - len(unreadable), "unreadable": unreadable}
    files.write(path.with_suffix(".json"), files.json_bytes(card))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _state_of(picture: Any, states: dict[Path, str]) -> str:
    """Return the state of a picture's file, or of the archive that it is in: of each once."""
    if isinstance(picture, Member):
        return picture.state
    if not isinstance(picture, Inside):
        return _state(picture) if isinstance(picture, Path) else ""
    file = picture.archive.path
    assert isinstance(file, Path), "what lies elsewhere is shards"
    if file not in states:
        states[file] = _state(file)
    return states[file]


def _state(file: Path) -> str:
    """Return a file's size and time; a file that is gone has none."""
    try:
        status = file.stat()
    except OSError:
        return "gone"
    return f"{status.st_size} {status.st_mtime_ns}"


def _by_place(unreadable: dict[str, str]) -> dict[int, str]:
    return {int(row): str(reason) for row, reason in unreadable.items()}
