"""Labelled pictures by name, from folders and from own code: one source a file, one line here."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate import usercode
from striate.errors import DataError, UsageError, choose
from striate.usercode import Reference

from . import named, own
from .folder import folder, list_pictures, original, shown
from .splits import Data, Origin, Split, assigned, complete

__all__ = [
    "SOURCES",
    "Data",
    "Origin",
    "Split",
    "assigned",
    "complete",
    "find",
    "list_pictures",
    "reopen",
]

SOURCES: dict[str, Callable[[], Data]] = {
    "digits": named.digits,
    **{name: functools.partial(named.listed, name) for name in named.LISTED},
}


def find(data: Any) -> Data:
    """Open DATA: a name in SOURCES, a folder, `file.py:function`, a Dataset or a dict of them."""
    if isinstance(data, Data):
        return data
    if isinstance(data, Path):
        return _folder(data)
    if isinstance(data, str):
        return _by_text(data)
    if isinstance(data, type) or (callable(data) and not hasattr(data, "__getitem__")):
        return own.from_reference(usercode.reference(data))
    return own.from_object(data)


def reopen(origin: Origin) -> Data:
    """Open again what a run was trained on."""
    if origin.kind == "object":
        raise UsageError("this run was trained on a Dataset object: pass the data again")
    if origin.kind == "file":
        assert origin.source is not None
        return own.from_reference(Reference(origin.source, origin.text, dict(origin.arguments)))
    return _by_text(origin.text) if origin.kind == "named" else _folder(Path(original(origin.text)))


def _by_text(text: str) -> Data:
    if text in SOURCES:
        return SOURCES[text]()
    if usercode.is_reference(text):
        return own.from_reference(usercode.read(text))
    path = Path(text).expanduser()
    if path.exists():
        return _folder(path)
    if len(path.parts) > 1:
        raise DataError(f"there is no folder {shown(path)}")
    choose("data", text, [*SOURCES, "FOLDER", "file.py:function"])
    raise AssertionError  # choose raises: the text is in none of the lists


def _folder(path: Path) -> Data:
    if not path.exists():
        raise DataError(f"there is no folder {shown(path)}")
    if not path.is_dir():
        raise DataError(
            f"{shown(path)} is not a folder: DATA is a name, a folder or file.py:function"
        )
    return folder(path)
