"""What one pass over a shard finds; of a shard elsewhere it is kept, so that it is made once.

An index is a file of JSON in the folder of downloaded data, named by the shard's address, size and
state: a shard that was changed has another.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from striate import files
from striate.errors import DataError
from striate.wording import counted, shown

from . import samples
from .archives import Archive, File
from .named import data_root
from .remote import Remote

FORMAT = 1
AT_ONCE = 8  # shards elsewhere that are listed side by side
Place = Path | Remote


class Index(NamedTuple):
    """The pictures of a shard, what may be their labels, and what is left out."""

    state: str  # of the shard
    inner: list[str]  # names in it
    offsets: list[int]
    sizes: list[int]  # bytes
    checks: list[int]  # CRC-32 of the header before each
    said: dict[str, list[str | None]]  # texts by kind: json, cls, txt
    broken: dict[str, str]  # kinds of which a text cannot be read, and why
    refused: list[list[str]]  # name and reason
    further: dict[str, int]  # pictures that are not the sample's own, by their endings
    strays: list[str]  # .json and .txt beside no picture


def indexes(places: Sequence[Place]) -> Iterator[Index]:
    """Yield the index of each shard, in their order."""
    new = [place for place in places if isinstance(place, Remote) and not _file(place).exists()]
    if new:
        size = sum(place.size for place in new)
        most = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{-(-size // 10**6)} MB"
        sys.stderr.write(
            f"listing {counted(len(new), 'shards')} elsewhere, once: up to {most} are read\n"
        )
    if not any(isinstance(place, Remote) for place in places):
        yield from map(of, places)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="striate-index") as pool:
        waiting = [pool.submit(_kept, place) for place in places]
        try:
            for number, one in enumerate(waiting):
                waiting[number] = None  # type: ignore[call-overload]
                yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def of(place: Place) -> Index:
    """List a shard; DataError where it is none, or a sample in it is none."""
    opened = Archive(place)
    found = samples.grouped(opened)
    parts = [opened.part(one.picture.inner) for one in found.samples]
    said, broken = samples.said(found.samples)
    return Index(
        state_of(place),
        [one.picture.inner for one in found.samples],
        [part.offset for part in parts],
        [part.size for part in parts],
        [part.check for part in parts],
        said,
        broken,
        [[shown(name), reason] for name, reason in opened.refused],
        dict(found.further),
        [str(one) for one in found.strays],
    )


def state_of(place: Place) -> str:
    """Return what differs once a shard is changed."""
    return place.state if isinstance(place, Remote) else File(place).state


def _kept(place: Place) -> Index:
    if not isinstance(place, Remote):
        return of(place)
    path = _file(place)
    found = _read(path)
    if found is None or found.state != place.state:
        found = of(place)
        _write(path, found)
    return found


def _file(place: Remote) -> Path:
    digest = hashlib.sha256(f"{place.address}\n{place.state}".encode()).hexdigest()
    return data_root() / "indexes" / f"{digest[:32]}.json"


def _write(path: Path, index: Index) -> None:
    try:
        files.make_folder(path.parent)
        files.write(path, files.json_bytes({"format": FORMAT, **index._asdict()}))
    except (OSError, DataError) as error:
        raise DataError(
            f"the index of a shard cannot be kept in {path.parent} ({error}): set STRIATE_DATA to "
            "a folder that can be written to"
        ) from error


def _read(path: Path) -> Index | None:
    """Read an index that was kept; None where there is none, or not a whole one."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document.pop("format") != FORMAT:
            return None
        found = Index(**document)
        counts = {len(found.inner), len(found.offsets), len(found.sizes), len(found.checks)}
        return found if len(counts | set(map(len, found.said.values()))) == 1 else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
