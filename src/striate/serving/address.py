"""Where a server listens: host, port, the hosts it answers to, and its token."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from striate.errors import DataError, UsageError

LEAST_TOKEN = 16  # letters
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*)(:\d{1,5})?")


class Address(NamedTuple):
    """A socket that listens, the values of the Host header that are ours, and the token."""

    listening: socket.socket
    host: str
    port: int
    hosts: frozenset[str]
    token: str | None

    @property
    def url(self) -> str:
        """The page's address, as a browser on this machine takes it."""
        here = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        here = "::1" if here == "::" else here
        return f"http://{bracketed(here)}:{self.port}/"


def bind(
    host: str, port: int, *, token_file: Path | None = None, allow_hosts: Iterable[str] = ()
) -> Address:
    """Listen; beyond this machine only with a token.

    UsageError for an address that is none, or taken.
    """
    token = read_token(token_file)
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--host {host} can be reached from other machines: give --token-file FILE with a "
            "secret, as `openssl rand -hex 32 > FILE` makes one"
        )
    more = frozenset(map(checked_host, allow_hosts))
    if not 0 <= port <= 65535:
        raise UsageError(f"--port lies in 0 to 65535, not {port}")
    listening = _listen(host, port)
    port = int(listening.getsockname()[1])
    return Address(listening, host, port, own_hosts(host, port) | more, token)


def is_loopback(host: str) -> bool:
    """Tell whether an address is of this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_hosts(host: str, port: int) -> frozenset[str]:
    """Return the Host headers of who asks this machine, or the address that it listens at.

    >>> sorted(own_hosts("127.0.0.1", 8000))
    ['127.0.0.1:8000', 'localhost:8000']
    """
    names = {"localhost", "127.0.0.1"} if host != "::1" else {"localhost"}
    if host not in ("", "0.0.0.0", "::"):
        names.add(bracketed(host.lower()))
    # A browser leaves out the port that http has by itself.
    return frozenset(f"{name}:{port}" for name in names) | (names if port == 80 else frozenset())


def bracketed(host: str) -> str:
    """Return an address as a URL has it.

    >>> bracketed("::1")
    '[::1]'
    """
    return f"[{host}]" if ":" in host else host


def checked_host(text: str) -> str:
    """Return a Host header that is to be allowed; UsageError for what can be none."""
    if not _HOST.fullmatch(text.lower()):
        raise UsageError(
            f"--allow-host takes what browsers send as Host, as in example.org or "
            f"192.0.2.7:8000, not {text!r}"
        )
    return text.lower()


def read_token(path: Path | None) -> str | None:
    """Read the secret of a file, which may end in a line break."""
    if path is None:
        return None
    try:
        found = path.read_text("ascii").strip()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} holds more than plain letters: it is no token") from error
    if len(found) < LEAST_TOKEN or not found.isprintable() or " " in found:
        raise DataError(
            f"{path} holds no token: one line of {LEAST_TOKEN} letters or more, without blanks, "
            "as `openssl rand -hex 32` makes one"
        )
    return found


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host} is no address: {error.strerror or error}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(1024)
    except OSError as error:
        found.close()
        raise UsageError(
            f"cannot listen at {bracketed(host)}:{port}: {error.strerror or error}; "
            "--port 0 takes a free one"
        ) from error
    found.setblocking(False)
    return found
