"""Any data whose pictures are files, written as WebDataset's tar shards."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np

from striate import devices, files
from striate.data.splits import Data, Split
from striate.errors import DataError, UsageError
from striate.images import Stored, is_picture


class Written(NamedTuple):
    """A shard that is on the disk."""

    path: Path
    pictures: int


def write_shards(
    data: Data,
    out: Path,
    *,
    per_shard: int = 1000,
    seed: int = 0,
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Written]:
    """Write SPLIT-NNNNNN.tar, at most `per_shard` pictures each, shuffled; give each when done.

    Sample 00000012 is the picture's own file with that name, `.cls` with the number of its class,
    and `.json` with the class's name and the file's old name. The same data and seed give the same
    bytes. UsageError if `out` holds something or if pictures are no files.
    """
    if data.kind != "pictures":
        raise UsageError(f"shards are made of pictures, and {data.name} has {data.kind}")
    if per_shard < 1:
        raise UsageError(f"a shard holds 1 picture or more, not {per_shard}")
    if out.exists() and (not out.is_dir() or next(out.iterdir(), None) is not None):
        raise UsageError(f"{out} is there and not an empty folder: choose another --out")
    for number, (name, split) in enumerate(data.splits.items()):
        order = np.random.default_rng(devices.seed_of(seed, number)).permutation(len(split))
        for start in range(0, len(order), per_shard):
            rows = order[start : start + per_shard]
            path = out / f"{name}-{start // per_shard:06d}.tar"
            with files.streamed(path) as handle:
                _write(handle, data, split, rows.tolist(), start, poll)
            yield Written(path, len(rows))


def _write(
    handle: IO[bytes],
    data: Data,
    split: Split,
    rows: list[int],
    start: int,
    poll: Callable[[], None],
) -> None:
    with tarfile.open(fileobj=handle, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, row in enumerate(rows, start):
            poll()
            name, label = split.names[row], int(split.labels[row])
            content = _bytes(split.pictures[row], name)
            about = {"label": data.classes[label], "file_name": name}
            _add(archive, f"{key:08d}{_ending(name)}", content)
            _add(archive, f"{key:08d}.cls", str(label).encode())
            _add(archive, f"{key:08d}.json", json.dumps(about, ensure_ascii=False).encode())


def _ending(name: str) -> str:
    """Return the ending by which a reader of shards tells a picture."""
    path = PurePosixPath(name)
    if not is_picture(path):
        raise DataError(f"{name} has not the ending of a picture, such as .jpg: rename it")
    return path.suffix.lower()


def _bytes(picture: Any, name: str) -> bytes:
    if isinstance(picture, Path):
        try:
            return picture.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {picture}: {error.strerror or error}") from error
    if isinstance(picture, Stored):
        return picture.read()
    raise UsageError(f"{name} is not a file: shards are made of picture files")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # no owner and no time: so that the bytes are the same each time
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
