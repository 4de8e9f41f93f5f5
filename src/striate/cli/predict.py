"""`striate predict`: ranked classes as lines, JSON or a table."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.exceptions import UnknownOptionError
from cyclopts.token import Token

from striate import console, ranks
from striate.errors import DataError, UsageError
from striate.wording import counted, one, percent

from .app import (
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    Device,
    MaxMegapixels,
    MinConfidence,
    TrustCode,
    Tta,
    Workers,
    answering,
    app,
    examples,
    print_json,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from striate.ranking import Prediction


@app.command(
    help_epilogue=examples("""
    striate predict runs/first cat.jpg
    striate predict runs/first holiday/ --top 1 --json
    striate predict runs/first archive.zip -o answers.csv
    striate predict runs/first holiday/ --tta flip --min-confidence 0.9
    striate predict runs/first/model.onnx cat.jpg
    curl -s https://example.org/cat.jpg | striate predict runs/first -
""")
)
def predict(
    run: Annotated[Path, Parameter(help="Run folder, bundle, or an exported .onnx file.")],
    pictures: Annotated[
        list[str],
        Parameter(
            allow_leading_hyphen=True,  # for - alone
            help="Pictures, sounds or clips; folders, .zip, .tar or tables of them; - is stdin.",
        ),
    ],
    /,
    *,
    top: Annotated[int, Parameter(group=RUN_OPTIONS, help="Classes shown a picture.")] = 3,
    tta: Tta = "none",
    min_confidence: MinConfidence = None,
    device: Device = "auto",
    workers: Workers = None,
    max_megapixels: MaxMegapixels = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=OUTPUT, help="Write rows here instead: .jsonl, .csv, .parquet."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in pictures, sounds or clips: the likeliest classes with their probabilities.

    An unreadable one is a row with its error; the exit code is 1 only if none could be read.
    """
    _refuse_options(pictures)
    if top < 1:
        raise UsageError(f"--top is 1 or more, not {top}")
    with answering("asking the network") as halt, ranks.joined(device):
        kind, stream = _opened(run, tta, device, trust_code)
        rows = stream(
            [_standard_input() if given == "-" else given for given in pictures],
            top=top,
            min_confidence=min_confidence,
            workers=workers,
            max_megapixels=max_megapixels,
            poll=halt.poll,
            tell=console.say,
        )
        if out:
            from striate import ranking

            columns = ranking.columns(top, unsure=min_confidence is not None)
            _write_predictions(rows, out, columns, kind)
            return
        found = list(rows)
    if as_json:
        print_json([row.to_json() for row in found])
    else:
        _print_predictions(kind, found)
    if ranks.started().rank == 0 and all(row.error for row in found):
        raise DataError(f"none of the {kind} could be read")


def _opened(
    run: Path, tta: str, device: str, trust_code: bool
) -> tuple[str, Callable[..., Iterator["Prediction"]]]:
    """Return the kind of a network's examples, and what ranks them: torch, or onnxruntime."""
    if run.suffix.lower() == ".onnx" and run.is_file():
        # No torch is loaded for a file.
        from striate import exported

        if device not in ("auto", "cpu"):
            raise UsageError(f"an .onnx file is run on the CPU: leave out --device {device}")
        if tta != "none":
            raise UsageError(f"an .onnx file sees pictures as they are: leave out --tta {tta}")
        if ranks.count() > 1:
            raise UsageError("an .onnx file is asked by one process: leave out torchrun")
        file = exported.load(run)
        return file.document.kind, file.stream
    from striate import api

    loaded = api.load(run, trust_code=trust_code)
    stream = functools.partial(loaded.stream, tta=tta, device=device)
    return loaded.bundle.preprocessing.kind, stream


def _print_predictions(kind: str, rows: Sequence["Prediction"]) -> None:
    """Print the ranked classes of each picture, then why others have none."""
    most = max((len(row.classes) for row in rows), default=0)
    headings = [one(kind), "class", *[""] * (most - 1)]
    console.table(headings, [_cells(row, len(headings) - 1) for row in rows])
    for row in rows:
        if row.error:
            console.tell(f"unreadable: {row.file}: {row.error}")
    if any(row.unsure is not None for row in rows):
        unsure = sum(bool(row.unsure) for row in rows)
        console.tell(f"{unsure:,} of {counted(len(rows), kind)} unsure, shown with its best guess")


def _cells(row: "Prediction", most: int) -> list[str]:
    cells = [f"{found.name} {percent(found.probability)}" for found in row.classes]
    cells = ["unreadable"] if row.error else cells
    if row.unsure:
        cells[0] = f"unsure: {cells[0]}"
    return [row.file, *cells, *[""] * (most - len(cells))]


def _refuse_options(pictures: list[str]) -> None:
    """Say of an unknown option what the parser would say, which lets a hyphen pass here."""
    for given in pictures:
        if given != "-" and given.startswith("-") and not Path(given).exists():
            known = app["predict"].assemble_argument_collection()
            raise UnknownOptionError(
                token=Token(value=given, source="cli"), argument_collection=known
            )
    if pictures.count("-") > 1:
        raise UsageError("- is standard input, which holds one picture: name it once")
    if "-" in pictures and ranks.started().processes > 1:
        raise UsageError("- is standard input, which torchrun's processes cannot share")


def _standard_input() -> Any:
    from striate.data.sources.given import Named

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- reads a picture from standard input, and none is piped in")
    return Named("-", sys.stdin.buffer.read())


def _write_predictions(rows: Iterable[Any], out: Path, columns: "pa.Schema", kind: str) -> None:
    from striate import tables

    if not ranks.is_first():
        list(rows)
        return
    count = unreadable = unsure = 0
    with tables.writing(out, columns) as add:
        for row in rows:
            add(row.row())
            count, unreadable = count + 1, unreadable + bool(row.error)
            unsure += bool(row.unsure)
    doubt = f", {unsure:,} unsure" if "unsure" in columns.names else ""
    console.say(f"wrote {out}: {counted(count, kind)}, {unreadable:,} of them unreadable{doubt}")
    if count == unreadable:
        raise DataError(f"none of the {kind} could be read")
