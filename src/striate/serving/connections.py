"""Connections: refusing what comes while all is busy, closed where they take too long."""

import asyncio
import time
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import CONNECTION_SECONDS
from .unparsed import Unparsed

_LOOK = 1.0  # seconds between two looks at all of them
CLOSE = (b"connection", b"close")
_HELD = 1 << 16  # bytes of an answer that are joined


class Connection(H11Protocol):
    """A connection of uvicorn's that may refuse a request unparsed, and sends answers whole."""

    def __init__(self, *given: Any, unparsed: Unparsed, **named: Any) -> None:
        super().__init__(*given, **named)
        self._unparsed = unparsed
        self._left = 0  # bytes of a refused request's body that are still to come
        self._has_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with a transport that joins the parts of an answer."""
        super().connection_made(_Joined(transport, self.conn))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what has come: the rest of a refused request, a new one, a part of one."""
        if self._left:
            self._left, data = max(0, self._left - len(data)), data[self._left :]
        refused = self._unparsed(data, self.server_state.default_headers) if self._idle() else None
        if refused is not None:
            self._left, self._has_refused = refused.left, True
            self.transport.write(refused.answer)
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif data:
            super().data_received(data)

    def end(self) -> None:
        """Say in the answer that is being made that nothing more can be asked here."""
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_started:
            cycle.default_headers = [*cycle.default_headers, CLOSE]

    def is_waited_for(self) -> bool:
        """Tell whether it has sent a part of a request, or nothing yet, or does not read."""
        state: Any = self.conn.their_state
        cycle: Any = self.cycle  # None before the first request
        has_part = bool(self.conn.trailing_data[0] or self._left)
        is_new = cycle is None and not self._has_refused
        is_sending = state is h11.SEND_BODY or (state is h11.IDLE and (is_new or has_part))
        return is_sending or self.transport.get_write_buffer_size() > 0

    def _idle(self) -> bool:
        """Tell whether what comes next is the beginning of a request, and may be answered."""
        states = {self.conn.their_state, self.conn.our_state}
        return states == {h11.IDLE} and not self.conn.trailing_data[0]


class _Joined:
    """A transport that sends the head of an answer together with its body: one call, not two."""

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection) -> None:
        self._transport, self._conn = transport, conn
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, once the answer is whole or long."""
        self._held += data
        if self._conn.our_state is not h11.SEND_BODY or len(self._held) > _HELD:
            self._send()

    def close(self) -> None:
        """Send what is left, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""


def end_all(server: uvicorn.Server) -> None:
    """Have every answer from now on say that it is its connection's last."""
    state = server.server_state
    connections: set[Any] = set(state.connections)
    for one in connections:
        one.end()
    state.default_headers = [*state.default_headers, CLOSE]
    server.config.encoded_headers.append(CLOSE)  # of which those are made anew each second


async def cut_off(server: uvicorn.Server) -> None:
    """Close connections that send a request, or take an answer, for longer than anyone needs."""
    since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(_LOOK)
        now = time.monotonic()
        connections: set[Any] = set(server.server_state.connections)
        slow = {one for one in connections if one.is_waited_for()}
        since = {one: since.get(one, now) for one in slow}
        for one, begun in since.items():
            if now - begun > CONNECTION_SECONDS:
                one.transport.abort()
