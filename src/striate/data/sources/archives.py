"""Zip and tar files read in place, as if they were folders: nothing is ever unpacked to the disk.

A member that could do harm (a name that leads out of the archive, a link, a device, more bytes than
a picture has) is refused by itself; the others are used.
"""

import contextlib
import functools
import io
import os
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, TypeGuard

from striate.errors import DataError
from striate.images import PictureError
from striate.wording import counted

from .remote import Remote

SUFFIXES = (".zip", ".tar")
# First bytes of what has no places to read from.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar", ".gz")
# A picture of 50 megapixels has less, even with 16 bits for each of three colours.
MAX_MEMBER_BYTES = 512 << 20
_UTF8 = 0x800  # a zip member's flag: its name is UTF-8
# Bytes that are read at once of a file elsewhere as it is listed: a request takes as long as many.
_BLOCK = 1 << 20
# Members that may be labels are kept as such a file passes by: they are read once, in that moment.
_LABELS = (".json", ".cls", ".class", ".txt")
_LABEL_BYTES = 64 << 10


class Refused(NamedTuple):
    """A member that is not looked at."""

    file: str
    reason: str


class Archive:
    """The members of a zip or tar file, as a tree of folders and files."""

    def __init__(self, path: Path | Remote) -> None:
        """List the members; DataError if the file is no archive, or a compressed tar."""
        self.path = path
        self.folders: dict[str, set[str]] = {"": set()}
        self.files: dict[str, list[str]] = {"": []}
        self.refused: list[Refused] = []
        self._readers: dict[str, Callable[[], bytes]] = {}
        self.notes: list[str] = []  # what was guessed about names
        if packed := _packed(path):
            raise DataError(
                f"{path} is compressed as a whole ({packed}) and cannot be read in place: unpack "
                "it, or make a plain .tar or a .zip of it"
            )
        members = _zip_members(path) if _is_zip(path) else _tar_members(path)
        turned = guessed = 0
        for member in members:
            name = member.name.replace("\\", "/")
            if not name.endswith("/"):  # a folder, as some write it
                turned += name != member.name
                guessed += member.guessed
                self._add(name.removeprefix("./"), member.reason, member.reader)
        if turned:
            self.notes.append(
                f"{counted(turned, 'names')} with backslashes: read as folders and files"
            )
        if guessed:
            self.notes.append(
                f"{counted(guessed, 'names')} in a coding that is not said: read as code page 437"
            )

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r}, {counted(len(self._readers), 'files')})"

    def read(self, inner: str) -> bytes:
        """Return the bytes of a member; whatever fails is a PictureError."""
        try:
            return self._readers[inner]()
        except PictureError as error:
            raise PictureError(f"{self.path}/{inner}", error.reason) from error
        # zipfile raises RuntimeError for a password, NotImplementedError for a method it lacks.
        except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise PictureError(f"{self.path}/{inner}", f"damaged in the archive: {said}") from error

    def part(self, inner: str) -> "Part":
        """Return where a member of a tar stands."""
        found = self._readers[inner]
        if not isinstance(found, Part):
            raise DataError(f"{self.path} is a zip file, and its name says .tar: rename it")
        return found

    def _add(self, name: str, reason: str, reader: Callable[[], bytes]) -> None:
        reason = reason or _reason(name)
        if not reason and name in self._readers:
            reason = "a second member of that name"
        if reason:
            self.refused.append(Refused(f"{self.path}/{name}".rstrip("/"), reason))
            return
        parts = PurePosixPath(name).parts
        for depth, part in enumerate(parts[:-1]):
            folder = "/".join(parts[: depth + 1])
            self.folders["/".join(parts[:depth])].add(part)
            self.folders.setdefault(folder, set())
            self.files.setdefault(folder, [])
        self.files["/".join(parts[:-1])].append(parts[-1])
        self._readers[name] = reader


class Inside:
    """A place in an archive, with those parts of a Path's behaviour that a listing needs."""

    __slots__ = ("archive", "inner")

    def __init__(self, archive: Archive, inner: str = "") -> None:
        self.archive, self.inner = archive, inner

    def __truediv__(self, name: str) -> "Inside":
        return Inside(self.archive, f"{self.inner}/{name}" if self.inner else name)

    def __str__(self) -> str:
        return f"{self.archive.path}/{self.inner}" if self.inner else str(self.archive.path)

    __repr__ = __str__

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.inner).name or self.archive.path.name

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.inner).suffix

    def relative_to(self, root: "Inside") -> PurePosixPath:
        """Return the path from a folder of the same archive."""
        return PurePosixPath(self.inner).relative_to(root.inner)

    def is_dir(self) -> bool:
        """Tell whether this is a folder in the archive."""
        return self.inner in self.archive.folders

    def listing(self) -> tuple[list[str], list[str]]:
        """Name the folders and the files in this one."""
        return list(self.archive.folders[self.inner]), self.archive.files[self.inner]

    def read(self) -> bytes:
        """Return the bytes of the file; whatever fails is a PictureError."""
        return self.archive.read(self.inner)


def _reason(name: str) -> str:
    """Say why a name is refused; nothing where it is fine."""
    parts = name.split("/")
    for is_so, how in (
        (name.startswith("/"), "it is absolute"),
        (re.match("[A-Za-z]:", name), "it begins with a drive"),
        (".." in parts, "it has .. in it"),
    ):
        if is_so:
            return f"its name leads out of the archive: {how}"
    if "\0" in name or "" in parts or "." in parts:
        return "its name is not in plain form"
    return ""


class Member(NamedTuple):
    """A file in an archive, as it stands there."""

    name: str
    reason: str  # why it is refused, or ""
    reader: Callable[[], bytes]
    guessed: bool = False  # whether the name may be another


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file, which are read when they are asked for."""

    file: "File | Remote"
    offset: int
    size: int
    check: int  # CRC-32 of the header before them

    def __call__(self) -> bytes:
        """Read them."""
        return self.file.part(self.offset, self.size)


def _packed(path: Path | Remote) -> str:
    """Say by what a file is compressed as a whole; nothing where it is not."""
    with contextlib.suppress(OSError), _to_list(path) as handle:
        start = handle.read(8)
        known = next((name for mark, name in _PACKED.items() if start.startswith(mark)), "")
        if known:
            return known
    return path.suffix if path.name.lower().endswith(COMPRESSED) else ""


def _to_list(path: Path | Remote) -> IO[bytes]:
    return path.open("rb") if isinstance(path, Path) else io.BufferedReader(_Reader(path), _BLOCK)


def _is_zip(path: Path | Remote) -> TypeGuard[Path]:
    if not isinstance(path, Path) or not zipfile.is_zipfile(path):
        return False
    with path.open("rb") as handle:  # a zip file's end may lie in the last file of a tar
        return handle.read(265)[257:262] != b"ustar"


def _zip_members(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(io.BufferedReader(_Reader(File(path))))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path} is a damaged zip file: {error}") from error
    for info in archive.infolist():
        if info.is_dir():
            continue
        kind = info.external_attr >> 28  # of a Unix mode: 8 a file, 10 a link, 0 not said
        reason = "" if kind in (0, 8) else "a link or a device, not a file"
        if info.file_size > MAX_MEMBER_BYTES:
            reason = f"{info.file_size} bytes, more than {MAX_MEMBER_BYTES} are refused"
        name, guessed = _zip_name(info)
        yield Member(name, reason, functools.partial(_unzip, archive, info), guessed)


def _zip_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """Return a member's name, and whether it is only guessed.

    Names are UTF-8 where a flag says so. macOS sets none and writes UTF-8 all the same, which other
    codings hardly ever are by chance; some programs add the name in UTF-8 beside the old one (field
    0x7075 of https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.6.9).
    """
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return info.filename, False
    old = info.orig_filename.encode("cp437")
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x7075 and field[1:5] == struct.pack("<I", zlib.crc32(old)):
            with contextlib.suppress(UnicodeDecodeError):
                return field[5:].decode(), False
    try:
        return old.decode(), False
    except UnicodeDecodeError:
        return info.filename, True


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # Asked for the stated size, zipfile unpacks no more than that: a bomb that states little cannot
    # fill the memory.
    with archive.open(info) as handle:
        return handle.read(info.file_size)


def _tar_members(path: Path | Remote) -> Iterator[Member]:
    try:
        with _to_list(path) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            opened = File(path) if isinstance(path, Path) else path
            for info in archive:
                if not info.isdir():
                    reason = _tar_reason(info, opened.size)
                    yield Member(info.name, reason, _tar_reader(info, opened, handle))
                vars(archive)["members"] = []  # else it keeps them all
            # tarfile takes any end for the end; of a whole archive it is a block of zeros.
            if opened.part(archive.offset, tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                reason = "no end mark: pictures may be missing"
                yield Member("", reason, functools.partial(opened.part, 0, 0))
    except (OSError, tarfile.TarError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no archive, or a damaged one: {error}") from error


def _tar_reader(
    info: tarfile.TarInfo, file: "File | Remote", handle: IO[bytes]
) -> Callable[[], bytes]:
    handle.seek(max(0, info.offset_data - tarfile.BLOCKSIZE))
    check = zlib.crc32(handle.read(tarfile.BLOCKSIZE))
    is_label = info.name.lower().endswith(_LABELS) and info.size <= _LABEL_BYTES
    if isinstance(file, Remote) and info.isreg() and is_label:
        content = handle.read(info.size)
        return lambda: content
    return Part(file, info.offset_data, info.size, check)


def _tar_reason(info: tarfile.TarInfo, size: int) -> str:
    if not info.isreg() or info.issparse():
        return "a link or a device, not a file"
    if info.size > MAX_MEMBER_BYTES:
        return f"{info.size} bytes, more than {MAX_MEMBER_BYTES} are refused"
    if info.offset_data + info.size > size:
        return "truncated: the archive ends before it does"
    return ""


class _Reader(io.RawIOBase):
    """A file to read, with a position of its own in each process that inherits it."""

    def __init__(self, file: "File | Remote") -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._file.size)[whence]
        if self._position < 0:
            raise OSError("a place before the file")
        return self._position

    def readinto(self, buffer: Any) -> int:
        content = self._file.part(self._position, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class File:
    """A file that stays open as long as something may still read from it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self.state = f"{status.st_size} {status.st_mtime_ns}"  # another where it was changed

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def part(self, offset: int, size: int) -> bytes:
        """Return some bytes; pread has no position that threads would share."""
        return os.pread(self._descriptor, size, offset)
