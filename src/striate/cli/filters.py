"""`striate filters`: hand-made filters over a picture, and their feature maps."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console
from striate.errors import UsageError

from .app import OUTPUT, AsJson, app, examples, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.classic import Response

FILTERS = Group("Filters", sort_key=1)


@app.command(
    help_epilogue=examples("""
    striate filters -o maps.png
    striate filters photo.jpg -o maps.png
    striate filters photo.jpg --filter line:30,sobel:0,gabor:45:6,blob:2 -o maps.png
    striate filters toy --filter corner.txt --padding 1 --json
""")
)
def filters(
    picture: Annotated[
        Path, Parameter(help="Picture; toy is a small drawing of strokes, built in.")
    ] = Path("toy"),
    /,
    *,
    names: Annotated[
        list[str] | None,
        Parameter(
            "--filter",
            negative="",
            group=FILTERS,
            help="vertical, horizontal, line:ANGLE:SIZE, sobel:ANGLE, gabor:ANGLE:WAVELENGTH, "
            "blob:SIGMA, with commas between; or a matrix from a .txt, .csv, .json or .npy file. "
            "[default: vertical,horizontal]",
        ),
    ] = None,
    stride: Annotated[int, Parameter(group=FILTERS, help="Cells from place to place.")] = 1,
    padding: Annotated[int, Parameter(group=FILTERS, help="Cells of zero around the picture.")] = 0,
    bias: Annotated[float, Parameter(group=FILTERS, help="b, added to each answer.")] = 0.0,
    f: Annotated[str, Parameter(group=FILTERS, help="relu, linear, tanh or sigmoid.")] = "relu",
    size: Annotated[
        int | None,
        Parameter(
            group=FILTERS,
            help="Long side in pixels to which a larger picture is shrunk. [default: as drawn]",
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(alias="-o", group=OUTPUT, help="PNG of picture, filters and maps.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Slide hand-made filters over a picture and draw what each one answers: m = f(W * x + b).

    Of a drawing (a picture of two values) it also tells where a filter's whole pattern is: ink
    under its positive weights, paper under its negative ones. Angles are in degrees,
    counter-clockwise from the horizontal.
    """
    from striate import classic, files

    if out and out.suffix.lower() != ".png":
        raise UsageError(f"-o is a .png file, not {out}")
    chosen = classic.named(names or ["vertical", "horizontal"])
    how = classic.Sliding(stride=stride, padding=padding, bias=bias, f=f)
    pixels = classic.read(picture, size)
    responses = classic.look(pixels, chosen, how)
    if out:
        files.write(out, classic.draw(picture.name, pixels, responses, how))
        console.say(f"wrote {out}")
    rows = [_row(response) for response in responses]
    if as_json:
        print_json(rows)
        return
    _print(rows)


def _row(response: "Response") -> dict[str, Any]:
    values = response.values
    row: dict[str, Any] = {
        "filter": response.filter.name,
        "weights": response.filter.weights.tolist(),
        "map": list(values.shape),
        "least": values.min().item(),
        "mean": values.mean().item(),
        "greatest": values.max().item(),
    }
    if response.matches is not None:
        row["matches"] = [list(place) for place in response.places]
    return row


def _print(rows: "Sequence[dict[str, Any]]") -> None:
    headings = ["filter", "map", "least", "mean", "greatest"]
    drawing = "matches" in rows[0]
    console.table(
        headings + ["matches"] * drawing,
        [
            [
                row["filter"],
                "x".join(str(side) for side in reversed(row["map"])),
                *(f"{row[name]:.4f}" for name in ("least", "mean", "greatest")),
                *([str(len(row["matches"]))] if drawing else []),
            ]
            for row in rows
        ],
    )
