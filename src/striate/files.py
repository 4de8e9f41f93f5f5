"""The one durable write (temporary file, fsync, replace, fsync of the folder), seals and locks.

Every file that Striate must not lose goes through `write` or `write_sealed`. A write that returns
has reached the disk; one that fails or is killed leaves the old or the new, whole.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from striate.errors import DataError, UsageError

# A temporary name is recognised by this prefix and removed at the next start.
TEMPORARY = ".striate-tmp-"
NEW, OLD = TEMPORARY + "new-", TEMPORARY + "old-"
PRIVATE = 0o600  # the owner reads and writes, nobody else does either


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def json_bytes(document: Any) -> bytes:
    """Write a document as JSON bytes: indented, in order, ending in a newline."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file durably: after this returns it is whole on the disk; before, the old one is.

    A private one can be read and written by its owner alone. Raises DataError naming the file, the
    reason and the free space.
    """
    temporary = path.with_name(NEW + path.name)
    try:
        _make(path.parent)
        _write_and_sync(temporary, content, mode=PRIVATE if private else None)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def streamed(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to in pieces; it gets its name once all is on the disk, or never."""
    temporary = path.with_name(NEW + path.name)
    try:
        _make(path.parent)
        with temporary.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from error
        raise


def write_sealed(
    folder: Path, name: str, document: Mapping[str, Any], blobs: Mapping[str, bytes]
) -> None:
    """Write a folder of blobs and one JSON document that lists their sizes and SHA-256.

    The folder appears whole, by one rename. An older folder of that name is set aside first and
    removed after, so that at every moment at least one of the two is on the disk.
    """
    content = {**blobs, name: json_bytes(sealed(document, blobs))}
    assert all(map(_is_plain, content)), "a blob's name is the name of a file"
    temporary, aside = folder.with_name(NEW + folder.name), folder.with_name(OLD + folder.name)
    try:
        remove_stale(folder.parent, only=folder.name)
        _make(temporary)
        for blob, written in content.items():
            _write_and_sync(temporary / blob, written)
        _sync_folder(temporary)
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
        _sync_folder(folder.parent)
        _remove(aside)
    except OSError as error:
        with contextlib.suppress(OSError, DataError):
            remove_stale(folder.parent, only=folder.name)
        raise _cannot_write(folder, error) from error


def sealed(document: Mapping[str, Any], blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """Add the blobs' sizes and checksums to a document, and last the checksum of all of it."""
    assert not {"files", "sha256"} & document.keys(), "the seal's own keys"
    listing = {
        blob: {"bytes": len(content), "sha256": sha256(content)} for blob, content in blobs.items()
    }
    whole = {**document, "files": listing}
    return {**whole, "sha256": sha256(json_bytes(whole))}


def read_sealed(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read what `write_sealed` wrote; one changed bit anywhere is a DataError that names the file.

    Gives the document without its seal, and the blobs.
    """
    document = _read_document(folder / name)
    blobs = {}
    for blob, expected in document.pop("files").items():
        if not _is_plain(blob):
            raise DataError(f"{folder / name} is damaged: {blob!r} is no name of a file beside it")
        content = read(folder / blob)
        found = {"bytes": len(content), "sha256": sha256(content)}
        if found != expected:
            raise DataError(
                f"{folder / blob} is damaged: its size or SHA-256 is not the one in {name}"
            )
        blobs[blob] = content
    return document, blobs


def read_document(path: Path) -> dict[str, Any]:
    """Read the document of a sealed folder, as it is sealed, without the blobs beside it."""
    document = _read_document(path)
    del document["files"]
    return document


def read(path: Path) -> bytes:
    """Read a file whole; DataError names it when that fails."""
    with _named("read", path):
        return path.read_bytes()


def make_folder(folder: Path) -> None:
    """Make a folder durably, with those it lies in; one that is there is no error."""
    with _named("make the folder", folder):
        _make(folder)


def make_private(folder: Path) -> None:
    """Make a folder durably that only its owner may enter; one that is there stays as it is."""
    with _named("make the folder", folder):
        if folder.is_dir():
            return
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; what is not there is no error.

    A folder goes under a temporary name first: killed halfway, it is not taken for a whole one.
    """
    with _named("remove", path):
        if path.is_dir() and not path.is_symlink():
            temporary = path.with_name(NEW + path.name)
            _remove(temporary)
            path = path.rename(temporary)
        _remove(path)


def remove_stale(folder: Path, *, only: str | None = None) -> None:
    """Remove what a killed write left; a folder that was set aside and not replaced comes back.

    With `only`, what was left of the file or folder of that name.
    """
    if not folder.is_dir():
        return
    for stale in sorted(folder.glob(TEMPORARY + "*")):
        original = folder / stale.name[len(OLD) :]  # OLD is as long as NEW
        if only is not None and original.name != only:
            continue
        with _named("remove", stale):
            if stale.name.startswith(OLD) and not original.exists():
                stale.rename(original)
            else:
                _remove(stale)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a folder for this process; a second process gets a UsageError, not a mixed folder."""
    with _named("lock", path):
        handle = path.open("ab")
    with handle:
        with _named("lock", path):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"{path.parent} is in use by another process") from error
        yield


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process holds this lock, and hold it: for what takes an instant."""
    with _named("lock", path):
        handle = path.open("ab")
    with handle:
        with _named("lock", path):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _read_document(path: Path) -> dict[str, Any]:
    content = read(path)
    try:
        document = json.loads(content)
        seal = document.pop("sha256")
        # Compared as bytes: so a changed blank or a doubled key is seen as well.
        whole = content == json_bytes({**document, "sha256": seal})
        listed = isinstance(document["files"], dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not a sealed document") from error
    if not (whole and listed and seal == sha256(json_bytes(document))):
        raise DataError(f"{path} is damaged: its SHA-256 does not fit its content")
    return dict(document)


def _write_and_sync(path: Path, content: bytes, *, mode: int | None = None) -> None:
    with path.open("wb") as handle:
        if mode is not None:
            os.fchmod(handle.fileno(), mode)  # before there is anything to be read
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Make a folder; that it is there is known on the disk once its own folder is synced."""
    if folder.is_dir():
        return
    missing = [part for part in (folder, *folder.absolute().parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in missing:
        _sync_folder(part.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)


@contextlib.contextmanager
def _named(act: str, path: Path) -> Iterator[None]:
    """Turn what the system refuses into a DataError that names the act, the path and the reason."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot {act} {path}: {error.strerror or error}") from error


def _cannot_write(path: Path, error: OSError) -> DataError:
    with contextlib.suppress(OSError):
        standing = next(folder for folder in path.absolute().parents if folder.exists())
        free = shutil.disk_usage(standing).free
        return DataError(
            f"cannot write {path}: {error.strerror or error} ({free / 1e6:.0f} MB free there)"
        )
    return DataError(f"cannot write {path}: {error.strerror or error}")
