"""Checks on every request before any route: host, origin, token, size; and headers of answers.

Browsers let any page send requests to any address. Only an exact list of the server's own names in
Host keeps them out, even where a name is made to lead here; and nothing of another origin is heard.
"""

import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, NamedTuple

from .limits import BODIES_AT_ONCE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Seen = Callable[[str, int, float], None]  # path, status, seconds

LOG = logging.getLogger("striate.serving")
# What may be asked for without the token: the page, which holds nothing, and signs of life.
OPEN = frozenset({"/", "/docs", "/healthz", "/readyz"})
FAULT = "the server has failed"
OPEN_BELOW = "/assets/"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
ADDED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Refusal(NamedTuple):
    """Why a request goes no further."""

    status: int
    reason: str
    retry: int | None = None  # seconds

    @classmethod
    def busy(cls, wait: int) -> "Refusal":
        """Refuse for lack of room, and say after how many seconds to come again."""
        return cls(503, "too many pictures are waiting", wait)


class Guard:
    """The application behind its checks."""

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str],
        token: str | None,
        most_bytes: int,
        busy: Callable[[], int | None],
        seen: Seen = lambda *_: None,
    ) -> None:
        self._app, self._hosts, self._token = app, hosts, token
        self._most, self._busy, self._seen = most_bytes, busy, seen
        self._held = 0  # bytes of all bodies that are in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        try:
            await self._pass(scope, receive, answer)
        # Whatever fails in there is written to the log, and nothing of it to the client.
        except Exception:
            LOG.exception("a request failed")
            if answer.status is None:
                await _refuse(answer, Refusal(500, FAULT))
        finally:
            self._seen(scope["path"], answer.status or 0, time.perf_counter() - begun)

    async def _pass(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        refusal = refused(scope, hosts=self._hosts, token=self._token) or self._cannot_take(scope)
        if refusal is None and scope["method"] == "POST":
            body = bytearray()
            try:
                refusal = await self._read(receive, body)
                if refusal is None:
                    await self._app(scope, _again(body), answer)
            finally:
                self._held -= len(body)
        elif refusal is None:
            await self._app(scope, receive, answer)
        if refusal is not None:
            await _refuse(answer, refusal)

    def _cannot_take(self, scope: Scope) -> Refusal | None:
        if scope["method"] != "POST":
            return None
        if any(int(size) > self._most for size in _values(scope, b"content-length")):
            return self._too_large()
        wait = self._busy()
        return None if wait is None else Refusal.busy(wait)

    async def _read(self, receive: Receive, body: bytearray) -> Refusal | None:
        """Read the body to its end; how long that may take is the connection's matter."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return Refusal(400, "the request ended too early")
            part = message.get("body", b"")
            if len(body) + len(part) > self._most:
                return self._too_large()
            if self._held + len(part) > BODIES_AT_ONCE * self._most:
                return Refusal(503, "too much is being sent at once", 1)
            body += part
            self._held += len(part)
            if not message.get("more_body"):
                return None

    def _too_large(self) -> Refusal:
        return Refusal(
            413, f"too large: a request may have {self._most / 1e6:,.4g} MB (--max-body)"
        )


class _Answer:
    """Sends an answer with the headers that each has, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *ADDED]}
        await self._send(message)


def refused(scope: Scope, *, hosts: Collection[str], token: str | None) -> Refusal | None:
    """Say why a request is none of ours, by its headers alone; None where it is."""
    given = _values(scope, b"host")
    if len(given) != 1 or given[0] not in hosts:
        return Refusal(403, "this server is not called by that name: see --allow-host")
    origins = _values(scope, b"origin")
    if origins and (len(origins) > 1 or origins[0] not in _origins(given[0])):
        return Refusal(403, "requests of other origins are refused")
    sites = _values(scope, b"sec-fetch-site")
    if sites and (len(sites) > 1 or sites[0] not in ("same-origin", "none")):
        return Refusal(403, "requests of other sites are refused: open the address itself")
    if token is None or scope["path"] in OPEN or scope["path"].startswith(OPEN_BELOW):
        return None
    if _is_known(_values(scope, b"authorization"), token):
        return None
    return Refusal(401, "a token is needed, as in `Authorization: Bearer TOKEN`")


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"  # the latter where a proxy adds TLS


def _is_known(given: list[str], token: str) -> bool:
    """Compare in a time that does not tell how much of it is right."""
    kind, _, said = (given[0] if len(given) == 1 else "").partition(" ")
    same = hmac.compare_digest(said.strip().encode(), token.encode())
    return same and kind.lower() == "bearer"


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _again(body: bytearray) -> Receive:
    """Return a body that was read already, once; after it, nothing more comes."""
    messages = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _refuse(answer: _Answer, refusal: Refusal) -> None:
    headers, content = answered(refusal)
    await answer({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await answer({"type": "http.response.body", "body": content, "more_body": False})


def answered(refusal: Refusal) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Write what is told to whoever is refused: headers, without those of every answer; content."""
    content = json.dumps({"error": refusal.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    if refusal.retry is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers, content
