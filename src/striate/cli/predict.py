"""`striate predict`: ranked classes as lines, JSON or a table."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.exceptions import UnknownOptionError
from cyclopts.token import Token

from striate import console
from striate.errors import DataError, UsageError
from striate.wording import counted

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


@app.command(
    help_epilogue=examples("""
    striate predict runs/first cat.jpg
    striate predict runs/first holiday/ --top 1 --json
    striate predict runs/first archive.zip -o answers.csv
    striate predict runs/first holiday/ --tta flip --min-confidence 0.9
    curl -s https://example.org/cat.jpg | striate predict runs/first -
""")
)
def predict(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
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
    if pictures.count("-") > 1:
        raise UsageError("- is standard input, which holds one picture: name it once")
    with answering("asking the network") as halt:
        from striate import api, prediction, terminal

        loaded = api.load(run, trust_code=trust_code)
        kind = loaded.bundle.preprocessing.kind
        rows = loaded.stream(
            [_standard_input() if given == "-" else given for given in pictures],
            top=top,
            tta=tta,
            min_confidence=min_confidence,
            device=device,
            workers=workers,
            max_megapixels=max_megapixels,
            poll=halt.poll,
            tell=console.say,
        )
        if out:
            columns = prediction.columns(top, unsure=min_confidence is not None)
            _write_predictions(rows, out, columns, kind)
            return
        found = list(rows)
    if as_json:
        print_json([row.to_json() for row in found])
    else:
        terminal.print_predictions(kind, found)
    if all(row.error for row in found):
        raise DataError(f"none of the {kind} could be read")


def _refuse_options(pictures: list[str]) -> None:
    """Say of an unknown option what the parser would say, which lets a hyphen pass here."""
    for given in pictures:
        if given != "-" and given.startswith("-") and not Path(given).exists():
            known = app["predict"].assemble_argument_collection()
            raise UnknownOptionError(
                token=Token(value=given, source="cli"), argument_collection=known
            )


def _standard_input() -> Any:
    from striate.data.sources.given import Named

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- reads a picture from standard input, and none is piped in")
    return Named("-", sys.stdin.buffer.read())


def _write_predictions(rows: Iterable[Any], out: Path, columns: "pa.Schema", kind: str) -> None:
    from striate import tables

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
