"""What a cascade is trained on: faces and non-faces of the window's size, and larger scenes."""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import images
from striate.data.sources.folder import list_examples
from striate.data.sources.named import data_root
from striate.errors import DataError, UsageError
from striate.wording import counted

from .integral import Pixels

NAMED = {"cbcl": "faces/cbcl.npz"}
SIDE = 19  # of a window, where the faces do not say


class Examples(NamedTuple):
    """Faces (N, H, W) and non-faces (M, H, W), and pictures without faces that are larger."""

    faces: Pixels
    others: Pixels
    scenes: tuple[Path, ...]
    origin: tuple[str, ...]  # as it was asked for: faces first
    notes: tuple[str, ...] = ()  # what was left out

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of a window."""
        height, width = self.faces.shape[1:]
        return height, width

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all windows, and of the scenes' names and sizes."""
        digest = hashlib.sha256(self.faces.tobytes())
        digest.update(self.others.tobytes())
        for path in self.scenes:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()


def find(faces: str | Path, others: Sequence[str | Path] = (), side: int | None = None) -> Examples:
    """Read what a cascade is trained on.

    `faces` is a folder of faces, an .npz file with train_faces and train_nonfaces, or cbcl, that
    file of STRIATE_DATA. `others` are folders of pictures without faces, of any size.
    """
    if side is not None and side < 8:
        raise UsageError(f"--window is 8 or more pixels, not {side}")
    origin = (str(faces), *map(str, others))
    path = _place(faces)
    if path.suffix == ".npz":
        known = read_npz(path, ("train_faces", "train_nonfaces"))
        if side not in (None, known[0].shape[1]):
            raise UsageError(f"{path} has windows of {known[0].shape[1]} pixels, not {side}")
        found = Examples(known[0], known[1], (), origin)
    else:
        found = _folder_of_faces(path, (side or SIDE, side or SIDE), origin)
    for folder in others:
        found = _with_others(found, Path(folder).expanduser())
    if not len(found.others) and not found.scenes:
        raise UsageError(
            "name one or more folders of pictures without faces behind the faces: "
            "striate train-cascade FACES OTHERS"
        )
    return found


def _place(faces: str | Path) -> Path:
    named = NAMED.get(str(faces))
    path = data_root() / named if named else Path(faces).expanduser()
    if path.exists():
        return path
    if named:
        raise DataError(
            f"there is no {path}: set STRIATE_DATA to the folder that has {named}, or name two "
            "folders, of faces and of pictures without"
        )
    raise DataError(f"there is no {path}: name a folder of faces, an .npz file, or cbcl")


def read_npz(path: Path, names: Sequence[str]) -> list[Pixels]:
    """Read arrays of pictures (N, H, W), uint8, of one size, from an .npz file; no pickles."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as opened:
            found = [opened[name] for name in names]
    except KeyError:
        raise DataError(f"{path} lacks {' or '.join(names)}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    for name, array in zip(names, found, strict=True):
        if array.dtype != np.uint8 or array.ndim != 3 or not array.size:
            raise DataError(
                f"{path}: {name} is {array.dtype} {array.shape}, not grey pictures: uint8 (N, H, W)"
            )
    if len({array.shape[1:] for array in found}) > 1:
        raise DataError(f"{path}: {' and '.join(names)} are of different sizes")
    return found


def _folder_of_faces(path: Path, window: tuple[int, int], origin: tuple[str, ...]) -> Examples:
    pictures = _listed(path)
    faces, bad = [], []
    for picture in pictures:
        try:
            faces.append(fitted(grey(images.decode(picture)), window))
        except images.PictureError as error:
            bad.append(error)
    if not faces:
        raise DataError(f"none of the pictures in {path} could be read: {bad[0]}")
    return Examples(
        np.stack(faces), np.empty((0, *window), np.uint8), (), origin, tuple(_left_out(bad, path))
    )


def _with_others(known: Examples, folder: Path) -> Examples:
    window = known.window
    exact, scenes, small, bad = [], [], 0, []
    for picture in _listed(folder):
        try:
            size = images.header(picture)
            if size is None or size[:2] == window:
                exact.append(grey(images.decode(picture)))
            elif size[0] < window[0] or size[1] < window[1]:
                small += 1
            else:
                scenes.append(picture)
        except images.PictureError as error:
            bad.append(error)
    notes = [*known.notes, *_left_out(bad, folder)]
    if small:
        notes.append(f"{folder}: {counted(small, 'pictures')} smaller than a window: left out")
    return known._replace(
        others=np.concatenate([known.others, *(one[None] for one in exact)]),
        scenes=(*known.scenes, *scenes),
        notes=tuple(notes),
    )


def _left_out(bad: Sequence[images.PictureError], folder: Path) -> list[str]:
    if not bad:
        return []
    return [f"{folder}: {counted(len(bad), 'unreadable pictures')} left out, as {bad[0]}"]


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of pictures")
    pictures = list(list_examples(folder, "pictures"))
    if not pictures:
        raise DataError(f"{folder} has no pictures in it")
    return pictures


def grey(pixels: NDArray[np.uint8]) -> Pixels:
    """Return a picture, (H, W) or (H, W, 3), in grey."""
    return np.asarray(Image.fromarray(pixels).convert("L")) if pixels.ndim == 3 else pixels


def fitted(pixels: Pixels, window: tuple[int, int]) -> Pixels:
    """Return the middle of a grey picture, in the window's shape, at the window's size."""
    scale = min(have / want for have, want in zip(pixels.shape, window, strict=True))
    down, across = (max(1, round(scale * want)) for want in window)
    top, left = (pixels.shape[0] - down) // 2, (pixels.shape[1] - across) // 2
    middle = Image.fromarray(pixels[top : top + down, left : left + across])
    return np.asarray(middle.resize(window[::-1], Image.Resampling.BILINEAR))
