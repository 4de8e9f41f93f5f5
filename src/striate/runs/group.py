"""A group: a folder of runs that differ in named choices, and group.json, which says in which."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate import files
from striate.errors import DataError

from . import folder

GROUP = folder.GROUP
LOCK = folder.LOCK
FORMAT = 1
_KEYS: dict[str, type] = {
    "differs": list,
    "data": str,
    "model": str,
    "choices": dict,
    "runs": dict,
    "failed": dict,
}


def is_group(path: Path) -> bool:
    """Tell whether a folder is a group of runs."""
    return (path / GROUP).is_file()


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a group's document durably, sealed by its SHA-256."""
    files.write(path / GROUP, files.json_bytes(files.sealed(document, {})))


def read(path: Path) -> dict[str, Any]:
    """Read a group's document; one changed bit is a DataError."""
    found = files.read_document(path / GROUP)
    wrong = [key for key, kind in _KEYS.items() if not isinstance(found.get(key), kind)]
    if found.get("format") != FORMAT or wrong:
        raise DataError(f"{path / GROUP} is not one that this version can read")
    if any("/" in name or name.startswith(".") for name in found["runs"]):
        raise DataError(f"{path / GROUP} names a run that does not lie in the group")
    return found


def list_groups(parent: Path) -> list[Path]:
    """List the groups in a folder, by name."""
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if is_group(path))


def members(path: Path) -> list[Path]:
    """List the runs of a group that were begun, in its order."""
    return [path / name for name in read(path)["runs"] if folder.is_run(path / name)]


def alike(parent: Path, document: Mapping[str, Any]) -> Path | None:
    """Find the newest group of the same data, network and choices in a folder."""
    found = []
    for path in list_groups(parent):
        with contextlib.suppress(DataError):
            if difference(read(path), document) is None:
                found.append(path)
    return max(found, key=lambda path: (path / GROUP).stat().st_mtime, default=None)


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """Name what is not the same in the documents of two groups; None where they are one."""
    for key in ("data", "model", "code", "differs"):
        if first.get(key) != second.get(key):
            return key
    names: dict[str, None] = dict.fromkeys([*first["choices"], *second["choices"]])
    for name in names:
        if first["choices"].get(name) != second["choices"].get(name):
            return name
    return None
