"""The saved code that this user agreed to run on this machine: a small private file of checksums.

It lies in the user's configuration folder. A file that someone else could have written is not
believed.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from striate import files
from striate.errors import DataError

FORMAT = 1
NAME = "code.json"
LOCK = ".lock"


class Agreed(NamedTuple):
    """What the file says, and why it is not believed where it is not."""

    names: Mapping[str, str]  # by the SHA-256 of source, name and arguments
    distrust: str = ""


def place() -> Path:
    """Return the file's path: in $XDG_CONFIG_HOME, else in ~/.config."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if Path(given).is_absolute():  # the convention's rule: a relative one does not count
        return Path(given) / "striate" / NAME
    try:
        return Path.home() / ".config" / "striate" / NAME
    except RuntimeError as error:
        raise DataError("there is no home folder to remember agreed code in") from error


def agreed() -> Agreed:
    """Read what was agreed to; nothing where the file is not there, or not to be believed."""
    try:
        path = place()
        return Agreed(_read(path))
    except DataError as error:
        return Agreed({}, str(error))


def remember(names: Mapping[str, str]) -> Path:
    """Add checksums, each with a name for people, durably; other processes may do so as well.

    Raises DataError where the file cannot be written, or is one not to be believed.
    """
    path = place()
    files.make_private(path.parent)
    with files.turn(path.parent / LOCK):
        before = _read(path)
        if not names.keys() <= before.keys():
            document = {"format": FORMAT, "code": {**before, **names}}
            files.write(path, files.json_bytes(document), private=True)
    return path


def _read(path: Path) -> dict[str, str]:
    try:
        _check(path.parent, path.parent.stat())
        # Not blocking: what stands there may be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _distrusted(path, error.strerror or str(error)) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _distrusted(path, "it is no file")
        _check(path, found)
        with open(descriptor, "rb", closefd=False) as handle:
            return _parsed(path, handle.read())
    finally:
        os.close(descriptor)


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise _distrusted(path, "it belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _distrusted(path, "others may write to it: look into it, then `chmod go-w` it")


def _parsed(path: Path, content: bytes) -> dict[str, str]:
    try:
        document: Any = json.loads(content)
        known, names = document["format"], document["code"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _distrusted(path, "it is damaged: remove it") from error
    texts = isinstance(names, dict) and all(isinstance(name, str) for name in names.values())
    if known != FORMAT or not texts:
        raise _distrusted(path, f"it is not of format {FORMAT}, which this version reads")
    return dict(names)


def _distrusted(path: Path, why: str) -> DataError:
    return DataError(f"{path} is not believed, {why}")
