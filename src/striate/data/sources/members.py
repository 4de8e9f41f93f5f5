"""Pictures of shards as columns of numbers: 32 bytes a picture, and its name.

A picture is read from its shard when it is asked for, with the tar header before it: where that is
another than when the shard was listed, the shard has been changed, which is an error.
"""

import functools
import tarfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from striate.errors import DataError
from striate.images import PictureError
from striate.wording import shown

from . import remote
from .archives import File
from .indexes import Index, Place
from .remote import Remote

OPEN = 64  # files that stay open
_HEADER = tarfile.BLOCKSIZE


class Member:
    """A picture in a shard, read when it is asked for."""

    __slots__ = ("check", "inner", "offset", "place", "size", "state")

    def __init__(
        self, place: Place, state: str, inner: str, offset: int, size: int, check: int
    ) -> None:
        self.place, self.state, self.inner = place, state, inner
        self.offset, self.size, self.check = offset, size, check

    def __str__(self) -> str:
        return f"{self.place}/{self.inner}"

    __repr__ = __str__

    @property
    def name(self) -> str:
        """The last part of its name."""
        return self.inner.rpartition("/")[2]

    @property
    def begin(self) -> int:
        """Where its header begins."""
        return self.offset - _HEADER

    @property
    def length(self) -> int:
        """How many bytes it has with its header."""
        return self.size + _HEADER

    def read(self) -> bytes:
        """Return the bytes of the file; whatever fails is a PictureError, or DataError."""
        if isinstance(self.place, Remote):
            return self.checked(self.place.part(self.begin, self.length))
        try:
            found = _opened(self.place, self.state).part(self.begin, self.length)
        except OSError as error:
            raise PictureError(str(self), str(error.strerror or error)) from error
        return self.checked(found)

    def checked(self, found: bytes) -> bytes:
        """Return the file of what was read with its header; DataError if that is another's."""
        if len(found) < self.length or zlib.crc32(found[:_HEADER]) != self.check:
            raise _changed(self.place)
        return found[_HEADER:]


class Here:
    """A picture's file that was read elsewhere and is here now."""

    __slots__ = ("_content", "_name")

    def __init__(self, name: str, content: bytes) -> None:
        self._name, self._content = name, content

    def __str__(self) -> str:
        return self._name

    def read(self) -> bytes:
        """Return the bytes of the file."""
        return self._content


class Members(Sequence[Any]):
    """Pictures of several shards; each is made when it is asked for."""

    is_stored = True

    def __init__(self) -> None:
        self._places: list[tuple[Place, str]] = []  # with their states
        self._shards, self._offsets = array("i"), array("q")
        self._sizes, self._checks = array("i"), array("I")
        self._names, self._ends = bytearray(), array("q", [0])

    def add(self, place: Place, index: Index) -> None:
        """Add the pictures of a shard."""
        self._places.append((place, index.state))
        self._shards.extend([len(self._places) - 1] * len(index.inner))
        self._offsets.extend(index.offsets)
        self._sizes.extend(index.sizes)
        self._checks.extend(index.checks)
        for inner in index.inner:
            self._names += inner.encode(errors="surrogateescape")
            self._ends.append(len(self._names))

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, row: Any) -> Any:
        place, state = self._places[self._shards[row]]
        return Member(
            place,
            state,
            self._inner(row),
            self._offsets[row],
            self._sizes[row],
            self._checks[row],
        )

    def name(self, row: int) -> str:
        """Return the name of a picture in its data: its shard's, and its own in it."""
        return shown(f"{self._places[self._shards[row]][0].name}/{self._inner(row)}")

    def _inner(self, row: int) -> str:
        row = range(len(self))[row]  # from the end, or IndexError
        begin, end = self._ends[row], self._ends[row + 1]
        return self._names[begin:end].decode(errors="surrogateescape")

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether they are fetched over a network."""
        return any(isinstance(place, Remote) for place, _ in self._places)

    def fetch(self, rows: Sequence[int]) -> list[Here]:
        """Read pictures side by side; DataError where one cannot be read."""
        asked = [self[row] for row in rows]
        places = [remote.Place(_remote(one), one.begin, one.length) for one in asked]
        found = remote.parts(places) if places else []
        return [
            Here(str(one), one.checked(content)) for one, content in zip(asked, found, strict=True)
        ]


class Names(Sequence[str]):
    """The names of such pictures, written when they are asked for."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, row: Any) -> Any:
        return self._members.name(row)

    def __iter__(self) -> Iterator[str]:
        return map(self._members.name, range(len(self)))


@functools.lru_cache(OPEN)
def _opened(path: Path, state: str) -> File:
    found = File(path)
    if found.state != state:
        raise _changed(path)
    return found


def _changed(place: Place) -> DataError:
    return DataError(
        f"{place} has changed since it was listed: begin again, or put the old one back"
    )


def _remote(member: Member) -> Remote:
    assert isinstance(member.place, Remote), "shards are all here, or all elsewhere"
    return member.place
