"""A server's life: it listens, answers, takes newer networks, and ends when all is answered."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from striate.wording import counted

from . import app as routes
from .address import Address, bind
from .app import State
from .connections import Connection, cut_off, end_all
from .limits import CONNECTION_SECONDS, CONNECTIONS, Limits
from .networks import Networks, Served
from .opening import Loading

LOG = logging.getLogger("striate.serving")
_LOOK = 1.0  # seconds between two looks at runs
# Longer than any accepted request may take.
_LAST = 2.0

Tell = Callable[[str], None]


class _Server(uvicorn.Server):
    # Signals are answered by `run`: uvicorn would raise them again once all is answered.
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(  # noqa: PLR0913
    places: Sequence[Path],
    loading: Loading,
    limits: Limits,
    *,
    host: str,
    port: int,
    token_file: Path | None = None,
    allow_hosts: Iterable[str] = (),
    watch: bool = False,
    tell: Tell,
) -> None:
    """Load networks, listen, and serve them until a signal ends it."""
    found = Networks(places, loading)
    try:
        address = bind(host, port, token_file=token_file, allow_hosts=allow_hosts)
        for one in found:
            tell(describe(one))
            one.prepare()
    except BaseException:
        found.close()
        raise
    run(routes.state(found, limits), address, watch=watch, tell=tell)


def check(places: Sequence[Path], loading: Loading, *, tell: Tell) -> None:
    """Load networks and try each, as `serve` does first."""
    found = Networks(places, loading)
    for one in found:
        tell(describe(one))
    found.close()


def describe(served: Served) -> str:
    """Say in a line what is served."""
    classes = counted(len(served.classes), "classes")
    near = "with" if served.has_neighbours else "without"
    how = f"explained {near} similar training {served.kind}"
    if served.opened.explanations is None:
        how = "by onnxruntime on the CPU, not explained"
    return f"{served.name}: {classes} of {served.kind}, version {served.version}, {how}"


def run(shared: State, address: Address, *, watch: bool, tell: Tell) -> None:
    """Serve until SIGINT or SIGTERM; then answer what was accepted. SIGHUP loads the runs again."""
    asyncio.run(_run(shared, address, watch=watch, tell=tell))


async def _run(shared: State, address: Address, *, watch: bool, tell: Tell) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # not a line a malformed request
    server = _Server(_configuration(shared, address))
    again = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, server, shared, number, tell)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    beside = [
        loop.create_task(_reload(shared, again, watch=watch, tell=tell)),
        loop.create_task(cut_off(server)),
    ]
    tell(f"serving at {address.url} (Ctrl-C ends it)")  # now signals are heard
    try:
        await server.serve([address.listening])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await asyncio.to_thread(shared.batcher.close)
        await asyncio.to_thread(shared.networks.close)


def _configuration(shared: State, address: Address) -> uvicorn.Config:
    limits = shared.limits
    who: dict[str, Any] = {"hosts": address.hosts, "token": address.token}
    connection: Any = partial(Connection, unparsed=routes.unparsed(shared, **who))
    return uvicorn.Config(
        routes.guarded(shared, **who),
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=round(CONNECTION_SECONDS + 4 * limits.deadline + _LAST),
    )


def _end(server: uvicorn.Server, shared: State, number: int, tell: Tell) -> None:
    if shared.ending.is_set():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    shared.ending.set()
    end_all(server)
    server.should_exit = True
    tell("ending: answering what was accepted; press again to stop now")


async def _reload(shared: State, again: asyncio.Event, *, watch: bool, tell: Tell) -> None:
    while True:
        try:
            await asyncio.wait_for(again.wait(), _LOOK if watch else None)
        except TimeoutError:
            found = await asyncio.to_thread(shared.networks.reload, changed_only=True)
        else:
            again.clear()
            found = await asyncio.to_thread(shared.networks.reload)
            if not found:
                tell("loaded again: no network has changed")
        for name, version in found:
            shared.measures.reloads.labels(name).inc()
            tell(f"{name} is now version {version}")
