"""`striate serve`: predictions over HTTP, and a web page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console
from striate.errors import UsageError
from striate.flags import flags_of, given
from striate.serving.limits import Limits

from .app import Device, MaxMegapixels, TrustCode, Workers, app, examples, switch

ADDRESS = Group("Address", sort_key=1)
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = flags_of(Limits, {"max_body": Group("Limits", sort_key=2)})


@app.command(
    help_epilogue=examples("""
    striate serve runs/first
    striate serve runs/first runs/second --port 0 --watch
    striate serve runs/first --host 0.0.0.0 --token-file token --allow-host example.org
    curl --data-binary @cat.jpg http://127.0.0.1:8000/v1/predict
""")
)
def serve(
    runs: Annotated[list[Path], Parameter(help="Run folders, bundles, or exported .onnx files.")],
    /,
    *,
    host: Annotated[str, Parameter(group=ADDRESS, help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, Parameter(group=ADDRESS, help="0 takes a free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        Parameter(
            group=ADDRESS,
            help="HOST:PORT by which the server may be called as well, behind a proxy or in a "
            "container.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        Parameter(
            group=ADDRESS,
            help="File with a secret that every request must bring; needed beyond this machine.",
        ),
    ] = None,
    limits: Annotated[Flags | None, Parameter(name="*")] = None,
    device: Device = "auto",
    workers: Workers = None,
    max_megapixels: MaxMegapixels = None,
    watch: Annotated[
        bool, switch("Take a newer network as soon as a run has one; SIGHUP does it at once.")
    ] = False,
    check: Annotated[bool, switch("Load the networks, try each, and end.")] = False,
    trust_code: TrustCode = False,
) -> None:
    """Answer for pictures, sounds or clips over HTTP, and show a page to drop them on.

    POST /v1/predict takes a file, or a form with many; /docs lists the routes. A server ends on
    Ctrl-C or SIGTERM, once all that it accepted is answered.
    """
    if not runs:
        raise UsageError("name a run: `striate serve runs/first`")
    if allow_host and check:
        raise UsageError("--check listens at no address: leave out --allow-host")
    chosen = Limits(**given(limits))
    from striate import serving

    serving.serve(
        runs,
        host=host,
        port=port,
        token_file=token_file,
        allow_hosts=allow_host or [],
        watch=watch,
        limits=chosen,
        device=device,
        workers=workers,
        max_megapixels=max_megapixels,
        trust_code=trust_code,
        check=check,
        tell=console.say,
    )
