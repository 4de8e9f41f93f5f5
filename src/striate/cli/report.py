"""`striate report`: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate import console
from striate.errors import UsageError
from striate.wording import counted

from .app import (
    OUTPUT,
    AsJson,
    Device,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    print_json,
    switch,
)


@app.command(
    help_epilogue=examples("""
    striate report runs/first
    striate report runs/first runs/second runs/third -o compared.html
    striate report runs/first --no-map --figures figures/
""")
)
def report(
    run: Annotated[Path, Parameter(help="Run folder, or a group's: its first run.")],
    others: Annotated[
        list[Path] | None, Parameter(help="Runs whose curves are drawn beside its own.")
    ] = None,
    /,
    *,
    device: Device = "auto",
    workers: Workers = None,
    trust_code: TrustCode = False,
    no_map: Annotated[
        bool, switch("Leave out the t-SNE map, which takes the most time.", group=OUTPUT)
    ] = False,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=OUTPUT, help="HTML file. [default: report.html in the run]"),
    ] = None,
    figures: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="Folder for each figure as PNG and SVG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what a run learnt as one HTML file, which needs no network and opens by a double click.

    Its curves, filters and feature maps; confusions, mistakes and doubts, each with where the
    network looked and the most similar training pictures; how reliable its confidence is; and a map
    of the pictures as the network sees them.
    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out is an .html file, not {out}")
    with answering("looking at the run") as halt:
        from striate import api, groups

        first, *beside = groups.expanded([run, *(others or [])], console.say)
        if first != run:
            console.say(
                f"the report of {first}, with the curves of {counted(len(beside), 'others')}"
            )
        found = api.load(first, trust_code=trust_code).report(
            out,
            others=beside,
            device=device,
            workers=workers,
            with_map=not no_map,
            figures=figures,
            poll=halt.poll,
            tell=console.say,
        )
    if as_json:
        print_json({"report": str(found), "bytes": found.stat().st_size})
        return
    print(f"wrote {found} ({found.stat().st_size / 1e6:.1f} MB): open it with a browser")
