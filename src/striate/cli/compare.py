"""`striate compare`: runs or groups side by side, as a table, JSON or a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate import console
from striate.errors import UsageError

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
)

if TYPE_CHECKING:
    from striate.seeing import Pair, Standings


@app.command(
    help_epilogue=examples("""
    striate compare runs/first runs/second
    striate compare runs/first runs/second -o compare.html
    striate compare runs/plain-* runs/normed-* --json
""")
)
def compare(
    runs: Annotated[
        list[Path], Parameter(help="Run folders, two or more; each is held against the first.")
    ],
    /,
    *,
    device: Device = "auto",
    workers: Workers = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None, Parameter(alias="-o", group=OUTPUT, help="HTML file to write as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set finished runs side by side: results, recipes, and who is right where another is wrong.

    Runs that differ in their seed alone are one setting. Each setting is held against the first: on
    the same pictures, matched by name and content, by McNemar's exact test; and of several seeds by
    the paired difference of their accuracies, with its 95 % interval. The HTML file also has the
    curves on shared axes, the pictures that one alone gets right, and the first layers' filters.
    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out is an .html file, not {out}")
    with answering("comparing") as halt:
        from striate import groups

        found = groups.compare(
            *runs,
            out=out,
            device=device,
            workers=workers,
            trust_code=trust_code,
            poll=halt.poll,
            tell=console.say,
        )
    if out is not None:
        console.say(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB): open it with a browser")
    if as_json:
        print_json(found.to_json())
        return
    _print(found)


def _print(found: "Standings") -> None:
    from striate.report.comparison import results_table

    head, *rows = results_table(found)
    console.table(["setting", *head[1:]], rows)
    names = [setting.name for setting in found.settings]
    if found.choices:
        console.tell("the recipes differ in:")
        rows = [[name, *map(_value, row)] for name, row in found.choices.items()]
        console.table(["choice", *names], rows)
    else:
        console.tell("the recipes are the same in all but the seed")
    for note in found.notes:
        console.tell(note)
    for pair in found.pairs:
        _print_pair(pair)


def _print_pair(pair: "Pair") -> None:
    from striate.seeing.standings import left_out, sentence, verdict

    for match in pair.matches:
        which = f"seed {match.first.recipe['seed']}: " if len(pair.matches) > 1 else ""
        console.tell(which + verdict(match, pair.first, pair.second))
        for line in left_out(match, pair.first, pair.second):
            console.tell(f"  {line}")
    for note in pair.notes:
        console.tell(note)
    if told := sentence(pair):
        console.tell(told)


def _value(value: Any) -> str:
    return "-" if value is None else str(value)
