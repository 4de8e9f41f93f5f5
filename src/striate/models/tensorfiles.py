"""Tables of tensors in files: .safetensors, and .pth files of which only tensors are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from striate import files
from striate.errors import DataError, UsageError

SUFFIXES = (".safetensors", ".pth", ".pt")


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name; nothing in it is run."""
    if path.suffix == ".safetensors":
        return from_safetensors(files.read(path), path)
    if path.suffix in SUFFIXES:
        return _from_pth(path)
    raise UsageError(f"weights are a .safetensors or a .pth file, not {path}")


def from_safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Read the bytes of a safetensors file; `path` is for the error."""
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no safetensors file: {error}") from error


def _from_pth(path: Path) -> Mapping[str, Tensor]:
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no error type of its own for a refused or bad file
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot read {path} as weights only: {reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise DataError(f"{path} holds no table of tensors")
    return found
