"""`striate card`: a model card of a run, and how it is published."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .app import (
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    TrustCode,
    answering,
    app,
    examples,
    print_json,
)


@app.command(
    help_epilogue=examples("""
    striate card runs/first
    striate card runs/first --license apache-2.0
    striate card runs/first -o card.md
""")
)
def card(
    run: Annotated[Path, Parameter(help="Run folder of a finished training.")],
    /,
    *,
    license: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS,
            help="Licence of the network, as the Hub calls it: apache-2.0. [default: unknown]",
        ),
    ] = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=OUTPUT, help="Markdown file. [default: README.md in the run's bundle]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model card: data, splits, figures with intervals, limits, how to repeat it.

    It has the front matter of the Hugging Face Hub. The run's bundle is the folder to publish; the
    command for that is printed, nothing is sent.
    """
    with answering("reading the run") as halt:
        from striate import api

        loaded = api.load(run, trust_code=trust_code)
        path = loaded.card(out, license=license)
        halt.poll()
    command = f"hf upload USER/{_repository(run)} {shlex.quote(str(loaded.folder / 'bundle'))}"
    if as_json:
        print_json({"card": str(path), "upload": command})
        return
    print(f"wrote {path}")
    print(f"publish it with: {command}")


def _repository(run: Path) -> str:
    """Return a name that the Hub allows."""
    name = "".join(
        c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in run.resolve().name
    )
    return name.strip("-.")[:96] or "network"
