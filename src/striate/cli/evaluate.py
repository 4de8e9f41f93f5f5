"""`striate evaluate`: a run's accuracy as lines or JSON, its mistakes and confusions drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate import console, files
from striate.errors import UsageError
from striate.wording import counted

from .app import (
    DATA_HELP,
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    Device,
    LabelColumn,
    MaxMegapixels,
    PathColumn,
    Strict,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    print_json,
)

if TYPE_CHECKING:
    from striate.evaluation import Evaluation


@app.command(
    help_epilogue=examples("""
    striate evaluate runs/digits-convnet-1
    striate evaluate runs/first more-photos/ --json
    striate evaluate runs/first --split validation -o answers.csv
    striate evaluate runs/first --confusion confusion.png
""")
)
def evaluate(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    data: Annotated[str | None, Parameter(help=DATA_HELP + " [default: the run's own]")] = None,
    /,
    *,
    split: Annotated[
        str | None,
        Parameter(group=RUN_OPTIONS, help="train, validation or test. [default: test if there is]"),
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    max_megapixels: MaxMegapixels = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=OUTPUT, help="Write a row a picture here: .jsonl, .csv, .parquet."
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="PNG of the confusion table: which class is taken for which."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a network: accuracy with its interval, each class, and what is confused.

    Classes of other data are matched by name, never by order.
    """
    with answering("asking the network") as halt:
        from striate import api, tables, terminal

        if out:
            tables.check(out)
        if confusion and confusion.suffix.lower() != ".png":
            raise UsageError(f"--confusion is a .png file, not {confusion}")
        found = api.load(run, trust_code=trust_code).evaluate(
            data,
            split=split,
            device=device,
            workers=workers,
            strict=strict,
            max_megapixels=max_megapixels,
            path_column=path_column,
            label_column=label_column,
            poll=halt.poll,
        )
    for note in found.notes:
        console.say(note)
    for entry in found.unreadable:
        console.say(f"left out: {entry.file}: {entry.reason}")
    if out:
        _write_rows(found, out)
    if confusion:
        files.write(confusion, found.confusion(run.resolve().name))
        console.say(f"wrote {confusion}")
    if as_json:
        print_json(found.to_json())
        return
    terminal.print_evaluation(found.to_json())


def _write_rows(found: "Evaluation", out: Path) -> None:
    from striate import evaluation, tables

    with tables.writing(out, evaluation.COLUMNS) as add:
        for row in found.rows():
            add(row)
    console.say(f"wrote {out}: {counted(found.metrics.n, found.pictures.split.kind)}")
