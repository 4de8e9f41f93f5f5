"""HTTP over prediction: routes, a guard before all of them, batches, reloading, and a web page."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from striate.errors import UsageError

from .limits import Limits

__all__ = ["Limits", "serve"]

# What is imported, and what pip calls it.
LIBRARIES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


def serve(  # noqa: PLR0913
    runs: Iterable[Path | str] | Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | str | None = None,
    allow_hosts: Iterable[str] = (),
    watch: bool = False,
    limits: Limits | None = None,
    device: str = "auto",
    workers: int | None = None,
    max_megapixels: float | None = None,
    trust_code: bool = False,
    check: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer over HTTP for runs, or exported .onnx files, until a signal ends it.

    docs/serving.md lists the routes. With `check` the networks are loaded and tried, and nothing
    is served. `tell` is given a line for each network, the address, and what changes.
    """
    require()
    from striate import devices

    from . import server
    from .opening import Loading

    places = [Path(run) for run in ([runs] if isinstance(runs, (str, Path)) else runs)]
    taken = limits or Limits()
    count = devices.processors() if workers is None else workers
    loading = Loading(devices.pick(device), count, trust_code, max_megapixels, taken.batch)
    if check:
        server.check(places, loading, tell=tell)
        return
    server.serve(
        places,
        loading,
        taken,
        host=host,
        port=port,
        token_file=Path(token_file).expanduser() if token_file else None,
        allow_hosts=allow_hosts,
        watch=watch,
        tell=tell,
    )


def require() -> None:
    """Raise UsageError where a library that serving needs is not installed."""
    missing = [pip for name, pip in LIBRARIES.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"serving needs {', '.join(missing)}, not installed here: `pip install "
            f"{' '.join(missing)}`"
        )
