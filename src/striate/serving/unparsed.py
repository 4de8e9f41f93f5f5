"""Requests that are refused before they are parsed, while the server is busy.

Under a flood most requests are refused, and parsing one takes ten times as long as this. Only plain
requests are refused here, by headers of a short list: all others are parsed, and refused then.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .guard import ADDED, Refusal, answered

# A request with any other header is parsed: a transfer in pieces, a browser's, an upgrade.
_PLAIN = frozenset(
    b"host connection content-length content-type authorization accept accept-encoding "
    b"user-agent".split()
)
_LONGEST = 4096  # bytes of all headers
_START = re.compile(rb"POST (/v1/[a-z]+)(?:\?[!-~]*)? HTTP/1\.1")
_LINE = re.compile(rb"([A-Za-z-]+):[ \t]*([ -~]*)")
_SIZE = re.compile(rb"\d{1,12}")

Headers = list[tuple[bytes, bytes]]


class Refused(NamedTuple):
    """An answer, and how many bytes of the request's body have not come yet."""

    answer: bytes
    left: int


class Unparsed:
    """Refuses what has just come on a connection where that can be told without parsing it."""

    def __init__(
        self,
        *,
        busy: Callable[[], int | None],
        strange: Callable[[dict[str, Any]], Refusal | None],
        most_bytes: int,
        seen: Callable[[str, int, float], None],
    ) -> None:
        self._busy, self._strange, self._most, self._seen = busy, strange, most_bytes, seen

    def __call__(self, data: bytes, more: Headers) -> Refused | None:
        """Refuse the request that begins with these bytes; None where it is to be parsed."""
        wait = self._busy() if data.startswith(b"POST ") else None
        if wait is None:
            return None
        head, end, body = data.partition(b"\r\n\r\n")
        scope = _scope(head) if end and len(head) <= _LONGEST else None
        # Whoever may not ask at all is told so, by the guard.
        if scope is None or self._strange(scope):
            return None
        left = _size(scope["headers"]) - len(body)
        if left < 0 or left > self._most - len(body):
            return None
        self._seen(scope["path"], 503, 0.0)
        return Refused(_written(Refusal.busy(wait), more), left)


def _scope(head: bytes) -> dict[str, Any] | None:
    """Read a request's first lines; None where they are not plain."""
    first, *lines = head.split(b"\r\n")
    start = _START.fullmatch(first)
    found = [_LINE.fullmatch(line) for line in lines]
    if start is None or not all(found):
        return None
    headers = [(one[1].lower(), one[2].rstrip()) for one in found if one]
    names = [name for name, _ in headers]
    if len(set(names)) < len(names) or not _PLAIN.issuperset(names):
        return None
    if dict(headers).get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return {"method": "POST", "path": start[1].decode(), "headers": headers}


def _size(headers: Headers) -> int:
    """Return the size of the body; -1 where it is not said."""
    found = _SIZE.fullmatch(dict(headers).get(b"content-length", b""))
    return int(found[0]) if found else -1


def _written(refusal: Refusal, more: Headers) -> bytes:
    headers, content = answered(refusal)
    lines = [b"%b: %b" % pair for pair in (*more, *headers, *ADDED)]
    return b"\r\n".join((b"HTTP/1.1 503 Service Unavailable", *lines, b"", content))
