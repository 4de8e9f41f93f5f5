"""Labelled examples by name, from folders, from user code: where DATA is recognised and opened."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from striate import usercode
from striate.errors import DataError, UsageError, choose
from striate.usercode import NO_CONSENT, Consent
from striate.wording import original, shown

from .folds import held_out, held_out_note
from .sources import lists, moving, named, own, records, remote, shards, speech
from .sources.archives import COMPRESSED, Archive
from .sources.archives import SUFFIXES as ARCHIVES
from .sources.columns import USUAL, Columns
from .sources.folder import list_examples
from .sources.layouts import archive, folder, of_one_class, without_classes
from .splits import (
    Data,
    Origin,
    Split,
    assigned,
    by_name,
    complete,
    relabelled,
    relabelled_line,
    require_taught,
    taken,
)

__all__ = [
    "SOURCES",
    "Columns",
    "Data",
    "Origin",
    "Split",
    "assigned",
    "by_name",
    "complete",
    "find",
    "find_among",
    "find_any",
    "held_out",
    "held_out_note",
    "list_examples",
    "relabelled",
    "relabelled_line",
    "reopen",
    "require_taught",
    "taken",
]

# What follows a name, as in spoken-digits:held-out=theo, are its keyword arguments.
SOURCES: dict[str, Callable[..., Data]] = {
    "digits": named.digits,
    "moving-digits": moving.moving_digits,
    "spoken-digits": speech.spoken_digits,
    **{name: functools.partial(named.listed, name) for name in named.LISTED},
}


def find(data: Any, columns: Columns = USUAL) -> Data:
    """Open DATA: a name in SOURCES, a folder, an archive, shards, `file.py:function`, a Dataset.

    `columns` are those of a table; UsageError where the data are none.
    """
    found = _found(data, columns)
    if columns.given() and not set(columns.given()) <= set(found.origin.arguments):
        raise UsageError(
            f"--path-column and --label-column are of tables, and {found.name} is none: leave them "
            "out"
        )
    return found


def find_among(data: Any, classes: Sequence[str], columns: Columns = USUAL) -> Data:
    """Open DATA whose classes are known: a folder of examples may be one of them, by its name."""
    if isinstance(data, (str, Path)) and str(data) not in SOURCES:
        path = Path(data).expanduser()
        if path.is_dir() and not columns.given() and not lists.has_metadata(path):
            return of_one_class(path, classes) or find(data, columns)
    return find(data, columns)


def find_any(data: Any, columns: Columns = USUAL) -> Data:
    """Open DATA, with or without classes: those of a folder of examples alone have label -1."""
    if isinstance(data, (str, Path)) and str(data) not in SOURCES and not columns.given():
        path = Path(data).expanduser()
        listed = path.is_dir() and (lists.has_metadata(path) or shards.is_folder_of_shards(path))
        if path.is_dir() and not listed and not speech.is_flat(path):
            return without_classes(path) or find(data, columns)
    return find(data, columns)


def reopen(origin: Origin, consent: Consent = NO_CONSENT) -> Data:
    """Open again what a run was trained on; DataError says how to go on where it is gone.

    Code that the run brings needs consent.
    """
    if origin.kind == "object":
        raise UsageError("this run was trained on a Dataset object: pass the data again")
    if origin.code is not None:
        return own.from_reference(origin.code, consent)
    if origin.kind == "named":  # never read as people's words are: those may name a file of Python
        return _named(origin.text)
    if remote.is_address(origin.text):
        return shards.at_address(original(origin.text))
    path = Path(original(origin.text))
    if not path.exists() and not shards.is_pattern(path):
        raise DataError(
            f"the data of this run are gone from {origin.text}: if they have moved, "
            "`striate train NEW --resume RUN` notes their new place"
        )
    return _at(path, _columns(origin))


def _columns(origin: Origin) -> Columns:
    named = dict(origin.arguments)
    if not (
        named.keys() <= set(Columns._fields) and all(isinstance(n, str) for n in named.values())
    ):
        raise DataError(f"the run says odd things of the columns of {origin.text}: pass the data")
    return Columns(**named)


def _found(data: Any, columns: Columns) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, Path):
        return _at(data, columns)
    if isinstance(data, str):
        return _by_text(data, columns)
    if isinstance(data, type) or (callable(data) and not hasattr(data, "__getitem__")):
        return own.from_reference(usercode.reference(data))
    return own.from_object(data)


def _named(text: str) -> Data:
    name, _, options = text.partition(":")
    return SOURCES[choose("data", name, SOURCES)](**_options(name, options))


def _by_text(text: str, columns: Columns) -> Data:
    if text.partition(":")[0] in SOURCES:
        return _named(text)
    if remote.is_address(text):
        return shards.at_address(text)
    if usercode.is_reference(text):
        return own.from_reference(usercode.read(text))
    path = Path(text).expanduser()
    if path.exists() or shards.is_pattern(path):
        return _at(path, columns)
    if len(path.parts) > 1:
        raise DataError(f"there is no file or folder {shown(path)}")
    choose(
        "data",
        text,
        [*SOURCES, "FOLDER", "FILE.zip", "SHARDS.tar", "TABLE.csv", "file.py:function"],
    )
    raise AssertionError  # choose raises: the text is in none of the lists


def _options(name: str, text: str) -> dict[str, Any]:
    """Read `key=value,key=value` as the keyword arguments of a source: texts or whole numbers."""
    known = inspect.signature(SOURCES[name]).parameters
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        field = choose(f"option of {name}", key.replace("-", "_"), known)
        if known[field].annotation is int and not value.isdecimal():
            raise UsageError(f"{key} of {name} is a whole number, not {value!r}")
        found[field] = int(value) if known[field].annotation is int else value
    return found


def _at(path: Path, columns: Columns) -> Data:
    """Open what lies at a path, by its kind and its name."""
    if shards.is_pattern(path):
        return shards.shards(path)
    if not path.exists():
        raise DataError(f"there is no file or folder {shown(path)}")
    if path.is_dir():
        return _in_folder(path, columns)
    if path.suffix.lower() in records.SUFFIXES:
        return lists.table(path, columns)
    if path.name.lower().endswith((*ARCHIVES, *COMPRESSED)):
        opened = Archive(path)
        is_tar = path.suffix.lower() == ".tar"
        return shards.shards(path) if is_tar and shards.is_shard(opened) else archive(opened)
    raise DataError(
        f"{shown(path)} is no data: DATA is a name, a folder, a .zip or .tar file, a table "
        f"({', '.join(records.SUFFIXES)}) or file.py:function"
    )


def _in_folder(path: Path, columns: Columns) -> Data:
    if lists.has_metadata(path):
        return lists.metadata(path, columns)
    if shards.is_folder_of_shards(path):
        return shards.shards(path)
    return speech.flat(path) if speech.is_flat(path) else folder(path)
