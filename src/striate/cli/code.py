"""`striate code`: the Python code that a run carries, shown and remembered as trusted."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate import console
from striate.wording import printable

from .app import AsJson, app, examples, switch

if TYPE_CHECKING:
    from striate.runs import Code


@app.command(
    help_epilogue=examples("""
    striate code downloaded-run/
    striate code downloaded-run/ --remember
    striate code runs/first --json
""")
)
def code(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    /,
    *,
    remember: Annotated[
        bool, switch("Let it run from now on, as code that you wrote: read it first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the Python code that a run carries, of its network and its data; nothing is executed.

    What does not show on a screen is written as an escape, as \\x1b is.
    """
    from striate import api, usercode

    found = api.load(run).code()
    place = usercode.remember(one.reference for one in found) if remember and found else None
    if as_json:
        print(json.dumps([one.to_json() for one in found], indent=2))  # ASCII: all else escaped
    else:
        for one in found:
            _print(one)
        if not found:
            print(f"{printable(str(run))} carries no Python code")
    if place:
        console.say(f"remembered as agreed to in {place}")
    elif not all(one.agreed for one in found):
        console.say(
            f"this machine has not run it before: --trust-code runs it once, `striate code "
            f"{usercode.quoted(run)} --remember` accepts it for good"
        )


def _print(code: "Code") -> None:
    """Print a head, then the source with its lines numbered: none of them can pass for a head."""
    print(code)
    print(f"arguments: {json.dumps(code.arguments)}")
    print(f"SHA-256 of source, name and arguments: {code.sha256}")
    print("agreed to on this machine" if code.agreed else "not agreed to on this machine")
    for number, line in enumerate(code.source.removesuffix("\n").split("\n"), 1):
        visible = "\t".join(map(printable, line.split("\t")))
        print(f"{number:>5}  {visible}".rstrip())
    print()
