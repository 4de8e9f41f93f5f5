"""`striate explain`: pictures with their classes, where the network looked, and neighbours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate import console, files
from striate.errors import DataError, UsageError
from striate.wording import counted, percent

from .app import (
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    Device,
    MaxMegapixels,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.seeing import Explanation


@app.command(
    help_epilogue=examples("""
    striate explain runs/first cat.jpg -o sheet.png
    striate explain runs/first holiday/ --top 5 --json
""")
)
def explain(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    pictures: Annotated[
        list[str], Parameter(help="Pictures or sounds; folders, .zip, .tar or tables of them.")
    ],
    /,
    *,
    top: Annotated[int, Parameter(group=RUN_OPTIONS, help="Classes shown a picture.")] = 3,
    device: Device = "auto",
    workers: Workers = None,
    max_megapixels: MaxMegapixels = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=OUTPUT, help="PNG: a line a picture, 24 at most."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in pictures and why: where the network looked, and what it saw alike.

    Beside it stands where a network of shuffled weights would have looked: where both agree, the
    map says nothing about what was learnt. Similar training pictures are found by what the
    classifier is given, which is computed once and kept in the run.
    """
    if top < 1:
        raise UsageError(f"--top is 1 or more, not {top}")
    if out and out.suffix.lower() != ".png":
        raise UsageError(f"--out is a .png file, not {out}")
    with answering("asking the network") as halt:
        from striate import api

        loaded = api.load(run, trust_code=trust_code)
        kind = loaded.bundle.preprocessing.kind
        found = loaded.explain(
            list(pictures),
            top=top,
            device=device,
            workers=workers,
            max_megapixels=max_megapixels,
            poll=halt.poll,
            tell=console.say,
        )
    if all(one.error for one in found):
        raise DataError(f"none of the {kind} could be read{_first(found)}")
    if out:
        _draw(found, out, run, kind)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        _print(found)


def _first(found: "Sequence[Explanation]") -> str:
    return f": {found[0].file}: {found[0].error}" if found else ""


def _draw(found: "Sequence[Explanation]", out: Path, run: Path, kind: str) -> None:
    from striate.seeing import drawing

    readable = sum(one.error is None for one in found)
    shown = min(readable, drawing.SHOWN)
    which = counted(shown, kind)
    if shown < readable:
        which = f"the first {shown} of {counted(readable, kind)} (a sheet holds {shown})"
    title = f"{run.resolve().name}: {which}, where it looked, what it saw alike"
    files.write(out, drawing.explanation_sheet(found, title=title))
    console.say(f"wrote {out}: {which}")


def _print(found: "Sequence[Explanation]") -> None:
    for one in found:
        if one.error:
            console.tell(f"{one.file}: {one.error}")
            continue
        ranked = ", ".join(f"{name} {percent(share, 1)}" for name, share in one.classes)
        console.tell(f"{one.file}: {ranked}")
        if one.where:
            console.tell(f"  looked by {one.where.layer}, {_agreement(one.where.agreement)}")
        for near in one.neighbours:
            console.tell(f"  like {near.file}: {near.label}, distance {near.distance:.3g}")


def _agreement(value: float) -> str:
    if value != value:
        return "no rank correlation with shuffled weights: a map is flat"
    return f"rank correlation with shuffled weights {value:.2f}"
