"""Files over HTTP(S) and in S3, of which parts are read through fsspec; nothing whole is kept.

A request that fails for a moment is made again; one that is answered with a refusal is not. What
cannot be read is a DataError, never an unreadable picture: a training must not go on without it.
"""

import contextlib
import functools
import importlib
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from striate.errors import DataError, UsageError
from striate.wording import counted, shown

# What fsspec knows more of is not offered: an address may come with a run of somebody else.
PROTOCOLS = ("http", "https", "s3", "file", "memory")
_LIBRARIES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs"}  # what fsspec needs for them
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
TRIES = 4
PAUSE = 0.5  # seconds before the second try; doubled for each further one
CONNECTING, READING = 10, 30  # seconds without an answer after which a try has failed
# Statuses after which another try may succeed: too early, too many requests, the server's trouble.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_NO_CREDENTIALS = "NoCredentialsError"  # of botocore, which need not be there
_STATES = ("ETag", "Last-Modified", "LastModified", "mtime", "created")


def is_address(text: str) -> bool:
    """Tell an address, such as https://host/train-000.tar, from a path.

    >>> is_address("s3://bucket/train.tar"), is_address("photos/train.tar"), is_address("a.py:f")
    (True, False, False)
    """
    return _ADDRESS.match(text) is not None


class Place(NamedTuple):
    """Some bytes of a file elsewhere."""

    file: "Remote"
    offset: int
    size: int


class Remote:
    """A file at an address, with those parts of a Path's behaviour that a listing needs."""

    def __init__(self, address: str) -> None:
        """Ask how large the file is and in which state; DataError where it cannot be read."""
        self.address = address
        self.system, self.inner = _system(address)
        about = _tried(address, lambda: self.system.info(self.inner))
        if about.get("type") == "directory" or about.get("size") is None:
            raise DataError(f"{self}: its size is not said there: give the address of a .tar file")
        self.size = int(about["size"])
        states = [f"{about[key]}" for key in _STATES if about.get(key)]
        self.state = " ".join([str(self.size), *states])  # another where it was changed

    def __str__(self) -> str:
        return shown(self.address)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return urlsplit(self.address).path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return "." + self.name.rpartition(".")[2]

    def part(self, offset: int, size: int) -> bytes:
        """Read some bytes; fewer at the file's end."""
        size = min(size, self.size - offset)
        return parts([Place(self, offset, size)])[0] if size > 0 else b""

    def require_parts(self) -> None:
        """Raise DataError where the server sends files as a whole only."""
        if urlsplit(self.address).scheme.lower() not in ("http", "https") or self.size < 2:
            return
        # Unlike `cat_file`, this looks at the answer before it reads it.
        handle = _tried(self.address, lambda: self.system.open(self.inner, cache_type="none"))
        with handle:
            _tried(self.address, lambda: handle._fetch_range(1, 2))


def parts(asked: Sequence[Place]) -> list[bytes]:
    """Read parts of files of one kind side by side; DataError where one cannot be read."""
    found: dict[int, bytes] = {}
    system = asked[0].file.system
    for number in range(TRIES):
        left = [row for row in range(len(asked)) if row not in found]
        answers = system.cat_ranges(
            [asked[row].file.inner for row in left],
            [asked[row].offset for row in left],
            [asked[row].offset + asked[row].size for row in left],
            on_error="return",
        )
        failed: tuple[Place, Any] | None = None
        for row, answer in zip(left, answers, strict=True):
            if isinstance(answer, bytes) and len(answer) == asked[row].size:
                found[row] = answer
                continue
            failed = asked[row], _cause(answer)
            if not _passes(failed[1]):
                raise _refusal(asked[row].file.address, failed[1])
        if failed is None:
            return [found[row] for row in range(len(asked))]
        if number < TRIES - 1:
            time.sleep(PAUSE * 2**number)
    assert failed is not None, "else all was found"
    raise _refusal(failed[0].file.address, failed[1], tries=TRIES)


def listed(address: str) -> list[str]:
    """List the addresses of the .tar files in a folder, or those that a pattern with * stands for.

    HTTP has no folders: UsageError.
    """
    protocol = urlsplit(address).scheme.lower()
    if protocol in ("http", "https"):
        raise UsageError(
            f"{shown(address)}: a web server lists no files: give the address of a .tar file, or "
            "of several with their numbers in braces, train-{000..009}.tar"
        )
    system, inner = _system(address)
    pattern = inner if "*" in inner else f"{inner.rstrip('/')}/*.tar"

    def found() -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(system.glob(pattern))
        return []

    return [system.unstrip_protocol(path) for path in _tried(address, found)]


def _system(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path in it."""
    split = urlsplit(address)
    protocol = split.scheme.lower()
    if protocol not in PROTOCOLS or "::" in address:
        raise UsageError(
            f"{shown(address)} cannot be read: an address begins with one of "
            f"{', '.join(f'{one}://' for one in PROTOCOLS)}"
        )
    if split.username or split.password:
        raise UsageError(
            f"an address is saved with the run: write no name or password into that of "
            f"{split.hostname}"
        )
    for library in ("fsspec", *filter(None, [_LIBRARIES.get(protocol)])):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise DataError(
                f"{protocol}:// is read by {library}, which is missing: pip install {library}"
            ) from error
    return opened(protocol), address if protocol in ("http", "https") else _inner(address)


def _inner(address: str) -> str:
    import fsspec

    path: str = fsspec.get_filesystem_class(urlsplit(address).scheme.lower())._strip_protocol(
        address
    )
    return path


@functools.lru_cache
def opened(protocol: str) -> Any:
    """Return fsspec's file system of a protocol, with limits on how long it waits."""
    import fsspec

    # Each of these would go on to say what was true before a file was changed.
    choices: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if protocol in ("http", "https"):
        import aiohttp

        choices["client_kwargs"] = {
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECTING, sock_read=READING
            ),
            "trust_env": True,  # proxies, and ~/.netrc
        }
    if protocol == "s3":
        choices["config_kwargs"] = {"connect_timeout": CONNECTING, "read_timeout": READING}
    return fsspec.filesystem(protocol, **choices)


def _tried(address: str, work: Any) -> Any:
    for number in range(TRIES):
        try:
            return work()
        except _errors() as error:
            cause = _cause(error)
            if not _passes(cause):
                raise _refusal(address, cause) from error
            if number == TRIES - 1:
                raise _refusal(address, cause, tries=TRIES) from error
        time.sleep(PAUSE * 2**number)
    raise AssertionError  # the last try returns or raises


def _errors() -> tuple[type[Exception], ...]:
    """Return what the libraries raise, of those that are there."""
    found: list[type[Exception]] = [OSError, ValueError]
    with contextlib.suppress(ImportError):
        from aiohttp import ClientError

        found.append(ClientError)
    with contextlib.suppress(ImportError):
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as Refused

        found += [BotoCoreError, Refused]
    return tuple(found)


def _cause(answer: Any) -> Any:
    """Return what really failed: fsspec says of a web server's file that it is not there."""
    cause = getattr(answer, "__cause__", None)
    if not isinstance(answer, FileNotFoundError) or _status(cause) == 404:
        return answer
    is_webs = type(cause).__module__.startswith("aiohttp") or isinstance(cause, TimeoutError)
    return cause if is_webs else answer


def _status(answer: Any) -> int | None:
    status = getattr(answer, "status", None)
    return status if isinstance(status, int) else None


def _passes(answer: Any) -> bool:
    """Tell whether another try may succeed."""
    status = _status(answer)
    if status is not None:
        return status in _PASSING
    lasting = (FileNotFoundError, PermissionError, ValueError)
    return not isinstance(answer, lasting) and type(answer).__name__ != _NO_CREDENTIALS


def _refusal(address: str, answer: Any, *, tries: int = 1) -> DataError:
    """Say in one line why an address cannot be read."""
    after = f" ({counted(tries, 'tries')})" if tries > 1 else ""
    return DataError(f"{shown(address)}: {_reason(answer)}{after}")


def _reason(answer: Any) -> str:
    if isinstance(answer, bytes):
        return f"{counted(len(answer), 'bytes')} came where others were asked for: has it changed?"
    if isinstance(answer, FileNotFoundError):
        return "there is no such file (404)"
    if "range requests" in str(answer):
        return (
            "this server sends files as a whole only: fetch them, and give the folder that has them"
        )
    status = _status(answer)
    lacking = type(answer).__name__ == _NO_CREDENTIALS
    if isinstance(answer, PermissionError) or status in (401, 403) or lacking:
        number = f" ({status})" if status else ""
        return f"access is refused{number}: it needs credentials, or others"
    if status is not None:
        return f"the server answers {status} {getattr(answer, 'message', '')}".rstrip()
    if isinstance(answer, TimeoutError):
        return f"no answer within {READING} seconds"
    return " ".join(str(answer).split()) or type(answer).__name__
