"""Spoken digits: recordings named DIGIT_SPEAKER_INDEX.wav, as in the Free Spoken Digit Dataset.

https://github.com/Jakobovski/free-spoken-digit-dataset. By its convention the recordings 0 to 4 of
each speaker and digit are the test, so the network knows every voice; harder, and nearer to use, is
a speaker held out.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from striate.data.splits import Data, Origin, Split
from striate.errors import DataError, UsageError, choose
from striate.sounds import is_sound
from striate.wording import counted, shown

from .folder import subfolders
from .named import data_root

NAME = re.compile(r"(\d)_([A-Za-z]+)_(\d+)\.wav")
TESTED = 5  # recordings of each speaker and digit
# The recordings take 27 MB; what unpacks to far more is something else.
_MOST_BYTES = 1 << 30


class Recording(NamedTuple):
    """A sound file's bytes or path, and what its name says."""

    sound: Path | bytes
    name: str
    digit: int
    speaker: str
    take: int


def spoken_digits(*, held_out: str = "") -> Data:
    """Open the recordings under the data root: `fsdd/recordings`, or `recordings.tar.xz` there.

    With `held_out` the test is all that this speaker says, and nothing of it is in training.
    """
    home = data_root() / "fsdd"
    folder, packed = home / "recordings", home / "recordings.tar.xz"
    if folder.is_dir():
        found, where = _of_folder(folder), folder
    elif packed.is_file():
        found, where = _of_archive(packed), packed
    else:
        raise DataError(
            f"there are no spoken digits in {home}: put recordings.tar.xz or the folder "
            "recordings of the Free Spoken Digit Dataset there, or set STRIATE_DATA to the folder "
            "that has fsdd/"
        )
    option = f":held-out={held_out}" if held_out else ""
    origin = Origin("named", f"spoken-digits{option}")
    name = f"spoken-digits-{held_out}" if held_out else "spoken-digits"
    return _data(found, name, origin, where, held_out)


def is_flat(folder: Path) -> bool:
    """Tell whether a folder holds recordings, and no folders: sounds all named as digits are."""
    if subfolders(folder):
        return False
    recorded = [path for path in folder.iterdir() if is_sound(path)]
    return bool(recorded) and all(NAME.fullmatch(path.name) for path in recorded)


def flat(folder: Path) -> Data:
    """Open a folder of recordings."""
    origin = Origin("folder", shown(folder.absolute()))
    return _data(_of_folder(folder), shown(folder.name) or "root", origin, folder, "")


def _of_folder(folder: Path) -> list[Recording]:
    return _recordings((path, path.name) for path in folder.iterdir())


def _of_archive(path: Path) -> list[Recording]:
    """Read a compressed archive from its beginning to its end; it has no places to read from."""
    sounds: list[tuple[bytes, str]] = []
    held = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                held += member.size
                if held > _MOST_BYTES:
                    raise DataError(f"{path} holds more than {_MOST_BYTES} bytes: it is refused")
                name = member.name.rpartition("/")[2]
                if (
                    member.isreg()
                    and NAME.fullmatch(name)
                    and (file := archive.extractfile(member))
                ):
                    sounds.append((file.read(), name))
    except (tarfile.TarError, OSError, EOFError, io.UnsupportedOperation) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return _recordings(sounds)


def _recordings(files: Iterable[tuple[Any, str]]) -> list[Recording]:
    known = [
        Recording(sound, name, int(read[1]), read[2], int(read[3]))
        for sound, name in files
        if (read := NAME.fullmatch(name))
    ]
    return sorted(known, key=lambda one: (one.digit, one.speaker, one.take))


def _data(found: list[Recording], name: str, origin: Origin, where: Path, held_out: str) -> Data:
    if not found:
        raise DataError(f"{where} has no recordings named DIGIT_SPEAKER_INDEX.wav")
    speakers = sorted({one.speaker for one in found})
    if held_out:
        choose("speaker", held_out, speakers)
    if held_out and len(speakers) < 2:
        raise UsageError(f"{where} has one speaker only: none can be held out")
    tested = [one.speaker == held_out if held_out else one.take < TESTED for one in found]
    parts = {
        "train": [one for one, test in zip(found, tested, strict=True) if not test],
        "test": [one for one, test in zip(found, tested, strict=True) if test],
    }
    what = f"all that {held_out} says" if held_out else f"recordings 0 to {TESTED - 1} of each"
    layout = (
        f"{shown(where)}: {counted(len(found), 'recordings')} of digits by "
        f"{counted(len(speakers), 'speakers')} ({', '.join(speakers)}); "
        f"the test is {what} ({counted(len(parts['test']), 'sounds')})"
    )
    classes = tuple(str(digit) for digit in range(10))
    splits = {part: _split(recordings) for part, recordings in parts.items() if recordings}
    return Data(name, origin, classes, splits, layout)


def _split(recordings: Sequence[Recording]) -> Split:
    return Split(
        [one.sound for one in recordings],
        np.array([one.digit for one in recordings], dtype=np.int64),
        [one.name for one in recordings],
        "sounds",
    )
