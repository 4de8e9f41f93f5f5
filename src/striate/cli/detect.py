"""`striate detect`: faces in pictures, as lines, JSON or drawn boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from cyclopts import Group, Parameter
from numpy.typing import NDArray

from striate import console
from striate.errors import DataError, UsageError

from .app import (
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    Device,
    TrustCode,
    answering,
    app,
    examples,
    print_json,
)

if TYPE_CHECKING:
    from striate.classic.faces import Choices, Found
    from striate.classic.faces.detection import Detector

WINDOWS = Group("Windows", sort_key=2)


class Looked(NamedTuple):
    """A picture that was looked through, or why it was not."""

    file: str
    pixels: NDArray[np.uint8] | None
    found: "list[Found]"
    windows: int
    error: str | None = None


@app.command(
    help_epilogue=examples("""
    striate detect group.jpg -o boxes.png
    striate detect holiday/ --smallest 40 --json
    striate detect group.jpg --with cascade.json --agree 5
    striate detect group.jpg --with runs/faces --class face --probability 0.8 -o boxes.png
""")
)
def detect(
    pictures: Annotated[list[Path], Parameter(help="Pictures, or folders or archives of them.")],
    /,
    *,
    detector: Annotated[
        str,
        Parameter(
            "--with",
            group=RUN_OPTIONS,
            help="viola-jones, the cascade that comes with Striate; a cascade's .json file; or the "
            "folder of a run: a network trained on faces and non-faces.",
        ),
    ] = "viola-jones",
    smallest: Annotated[
        int | None,
        Parameter(
            group=WINDOWS,
            help="Side of the smallest window, in pixels. [default: what the detector was trained "
            "on]",
        ),
    ] = None,
    largest: Annotated[
        int | None,
        Parameter(
            group=WINDOWS, help="Side of the largest window, in pixels. [default: the picture's]"
        ),
    ] = None,
    scale: Annotated[
        float, Parameter(group=WINDOWS, help="From one size of windows to the next.")
    ] = 1.25,
    step: Annotated[
        int | None,
        Parameter(
            group=WINDOWS,
            help="Pixels between windows, of the picture shrunk until the window has the "
            "detector's own size. [default: 1; of a network an eighth of the window]",
        ),
    ] = None,
    agree: Annotated[
        int | None,
        Parameter(
            group=WINDOWS,
            help="Overlapping windows that make a box, at least. [default: 3; of a network 2]",
        ),
    ] = None,
    wanted: Annotated[
        str | None,
        Parameter(
            "--class",
            group=RUN_OPTIONS,
            help="Class that a network looks for. [default: face or faces]",
        ),
    ] = None,
    probability: Annotated[
        float, Parameter(group=RUN_OPTIONS, help="Of the class, that a network's window needs.")
    ] = 0.9,
    device: Device = "auto",
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=OUTPUT, help="PNG of the pictures with their boxes."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find faces in pictures: a window of many sizes slides over each, and the detector judges it.

    Windows that overlap are merged to one box. A picture that cannot be read, or is smaller than a
    window, is a row with its reason; the exit code is 1 only if that is so of all.
    """
    from striate.classic import faces

    if out and out.suffix.lower() != ".png":
        raise UsageError(f"-o is a .png file, not {out}")
    choices = faces.Choices(
        smallest=smallest,
        largest=largest,
        scale=scale,
        step=step,
        agree=agree,
        wanted=wanted,
        probability=probability,
        device=device,
    )
    with answering("looking for faces") as halt:
        ready = faces.find(detector, choices, trust_code=trust_code)
        choices.grid(ready)
        rows = list(_look(ready, pictures, choices, drawn=bool(out), poll=halt.poll))
    if len(rows) == 1 and rows[0].error:
        raise DataError(rows[0].error)
    if out and any(row.pixels is not None for row in rows):
        _draw(rows, out)
    if as_json:
        print_json([_document(row) for row in rows])
    else:
        _print(rows)
    if all(row.error for row in rows):
        raise DataError("no window was looked at: see each picture's reason")


def _look(
    detector: "Detector", paths: Sequence[Path], choices: "Choices", *, drawn: bool, poll: Any
) -> Iterator[Looked]:
    """Look through pictures; their pixels are kept only where they are to be drawn."""
    from striate.classic import faces
    from striate.data.preparation.preprocessing import as_array
    from striate.data.sources import given
    from striate.figures import SHOWN

    grid, shown = choices.grid(detector), 0
    for name, picture in given.examples([str(path) for path in paths]):
        poll()
        try:
            pixels = as_array(picture)
            found = faces.boxes(detector, pixels, choices, name=name, poll=poll)
        except DataError as error:
            yield Looked(name, None, [], 0, str(error))
            continue
        keep = drawn and shown < SHOWN
        shown += keep
        windows = faces.count(pixels.shape, detector.window, grid)
        yield Looked(name, pixels if keep else None, found, windows)


def _draw(rows: Sequence[Looked], out: Path) -> None:
    from striate import figures, files
    from striate.wording import counted

    kept = [row for row in rows if row.pixels is not None]
    pictures = [row.pixels for row in kept if row.pixels is not None]
    captions = [f"{Path(row.file).name}: {counted(len(row.found), 'boxes')}" for row in kept]
    found = [[figures.Box(*one[:4]) for one in row.found] for row in kept]
    files.write(out, figures.boxes(pictures, found, captions))
    readable = sum(row.error is None for row in rows)
    more = f" (the first {len(kept)} of {readable} pictures)" if len(kept) < readable else ""
    console.say(f"wrote {out}{more}")


def _document(row: Looked) -> dict[str, Any]:
    found = [one._asdict() for one in row.found]
    return {"file": row.file, "looked_at": row.windows, "found": found, "error": row.error}


def _print(rows: Sequence[Looked]) -> None:
    from striate.wording import counted

    headings = ["picture", "left", "top", "width", "height", "windows", "score"]
    lines = []
    for row in rows:
        for one in row.found:
            place = [f"{number:.0f}" for number in one[:4]]
            lines.append([row.file, *place, f"{one.windows}", f"{one.score:.3f}"])
    if lines:
        console.table(headings, lines)
    for row in rows:
        if row.error:
            console.tell(row.error)
        elif not row.found:
            console.tell(f"{row.file}: nothing found in {counted(row.windows, 'windows')}")
