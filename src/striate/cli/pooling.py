"""`striate pooling`: what a shift changes under each kind of pooling."""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from striate import console
from striate.errors import UsageError
from striate.wording import counted

from .app import OUTPUT, PICTURES_HELP, AsJson, app, examples, print_json

SHIFTS = Group("Shifts", sort_key=1)


@app.command(
    help_epilogue=examples("""
    striate pooling
    striate pooling mnist -o pooling.png
    striate pooling photos/ --count 100 --most 8 --json
""")
)
def pooling(
    data: Annotated[str, Parameter(help=PICTURES_HELP)] = "digits",
    /,
    *,
    count: Annotated[int, Parameter(group=SHIFTS, help="Pictures, at most.")] = 500,
    most: Annotated[int, Parameter(group=SHIFTS, help="Largest shift in pixels.")] = 4,
    out: Annotated[
        Path | None, Parameter(alias="-o", group=OUTPUT, help="PNG of both measures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far maps change as pictures shift, under each kind of pooling.

    The maps are those of line detectors. A change of 1 is as far as another picture's map; kept is
    the share of answering cells that stay as they were, to within a tenth of the greatest.
    """
    from striate import files
    from striate.classic import invariance

    if out and out.suffix.lower() != ".png":
        raise UsageError(f"-o is a .png file, not {out}")
    with console.working("comparing maps"):
        pictures = invariance.pictures_of(data, count)
        rows = invariance.invariance(pictures, most=most)
        if out:
            files.write(
                out, invariance.draw(rows, f"{counted(len(pictures), 'pictures')} of {data}")
            )
    if out:
        console.say(f"wrote {out}")
    if as_json:
        print_json({"data": data, "pictures": len(pictures), "rows": [r._asdict() for r in rows]})
        return
    console.table(
        ["layer", *(f"{what} {shift}" for what in ("change", "kept") for shift in range(most + 1))],
        [
            [
                layer,
                *(f"{row.change:.3f}" for row in rows if row.layer == layer),
                *(f"{row.kept:.3f}" for row in rows if row.layer == layer),
            ]
            for layer in invariance.POOLINGS
        ],
    )
