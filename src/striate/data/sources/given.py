"""Examples without labels, from whatever holds them: files, folders, archives, tables, arrays."""

import glob
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from striate.decoding.wire import is_tensor
from striate.errors import DataError, UsageError
from striate.images import PictureError, Stored
from striate.sounds import Sound
from striate.wording import one, shown

from . import lists, records
from .archives import COMPRESSED, Archive, Inside
from .archives import SUFFIXES as ARCHIVES
from .folder import Place, leftovers, list_examples

Tell = Callable[[str], None]

_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/")
# Axes of a batch: of pictures (N, H, W, C), or tensors (N, C, H, W), of clips (N, T, H, W, C).
_BATCH_AXES = {"pictures": 4, "clips": 5}


class Example(NamedTuple):
    """What is predicted, and the name that its row gets."""

    name: str
    value: Any  # what a preprocessing takes


class Named:
    """The bytes of a file that has no path, as standard input has none."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name, self._content = name, content

    def __str__(self) -> str:
        return self._name

    def read(self) -> bytes:
        """Return the bytes."""
        return self._content


class Absent:
    """What was asked for and cannot be read: its row says why."""

    def __init__(self, name: str, reason: str) -> None:
        self._name, self._reason = name, reason

    def __str__(self) -> str:
        return self._name

    def read(self) -> bytes:
        """Raise PictureError."""
        raise PictureError(self._name, self._reason)


def examples(
    given: Any, kind: str = "pictures", tell: Tell = lambda _: None
) -> list[Example] | Iterator[Example]:
    """Return the examples meant by a path, an example, a batch, or many of them; a list, if finite.

    Of an iterator, or anything else that is only iterated over, each is found when it is asked for.
    `tell` is given a line for what lies in a folder or an archive and is left out.
    """
    if isinstance(given, Mapping):
        raise UsageError(f"a {type(given).__name__} is no list of {kind}: give its values")
    items = _items(given)
    found = _named((value for item in items for value in _expanded(item, kind, tell)), kind)
    return list(found) if isinstance(items, list) else found


def _items(given: Any) -> Iterable[Any]:
    if isinstance(given, (list, tuple)):
        return list(given)
    if isinstance(given, np.ndarray) and given.dtype.kind in "OUS":
        return [str(path) for path in given.ravel()] if given.dtype.kind != "O" else list(given)
    single = (str, bytes, Path, Stored, Image.Image, Sound, np.ndarray)
    is_single = isinstance(given, single) or is_tensor(given)
    return [given] if is_single or not hasattr(given, "__iter__") else iter(given)


def _named(values: Iterable[Any], kind: str) -> Iterator[Example]:
    for row, value in enumerate(values):
        has_name = isinstance(value, (Path, Stored))
        yield Example(shown(str(value)) if has_name else f"{one(kind)} {row}", value)


def _expanded(item: Any, kind: str, tell: Tell) -> list[Any]:
    """Yield the examples that a thing stands for: of a path those it leads to, of a batch all."""
    if isinstance(item, (str, Path)):
        return _at(str(item), kind, tell)
    if isinstance(item, io.IOBase):  # an open file
        return [item.read()]
    is_array = isinstance(item, np.ndarray) or is_tensor(item)
    is_batch = is_array and item.ndim == _BATCH_AXES.get(kind)
    return list(item) if is_batch else [item]


def _at(text: str, kind: str, tell: Tell) -> list[Any]:
    path = lists.place(Path(), text).expanduser()
    if path.is_dir():
        return _within(path, kind, tell)
    if path.is_file() and path.name.lower().endswith((*ARCHIVES, *COMPRESSED)):
        return _in_archive(path, kind, tell)
    if path.is_file() and path.suffix.lower() in records.SUFFIXES:
        return _in_table(path)
    if _URL.match(text):
        return [_absent_url(text)]
    if not path.exists() and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 -- it may begin anywhere
        if not matches:
            return [Absent(text, "no file matches this pattern")]
        return [value for match in matches for value in _at(match, kind, tell)]
    return [path]


def _within(root: Place, kind: str, tell: Tell) -> list[Any]:
    found: list[Any] = list(list_examples(root, kind))
    lines = leftovers(root, kind).lines(kind)
    if not found:
        raise DataError("; ".join([f"{shown(root)} has no {kind} in it", *lines]))
    for line in lines:
        tell(f"{shown(root)}: {line}")
    return found


def _in_archive(path: Path, kind: str, tell: Tell) -> list[Any]:
    archive = Archive(path)
    refused = [Absent(str(file), reason) for file, reason in archive.refused]
    for note in archive.notes:
        tell(f"{shown(path)}: {note}")
    inside = Inside(archive)
    is_empty = next(list_examples(inside, kind), None) is None
    return refused if refused and is_empty else [*_within(inside, kind, tell), *refused]


def _in_table(path: Path) -> list[Any]:
    return [_absent_url(text) if _URL.match(text) else at for text, at in lists.named(path)]


def _absent_url(text: str) -> Absent:
    return Absent(text, "a URL: nothing is downloaded, save the file and give its path")
