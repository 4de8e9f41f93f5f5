"""`striate evaluate`: a run's accuracy as lines or JSON, its mistakes and confusions drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate import console, files, ranks
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
    MinConfidence,
    PathColumn,
    Strict,
    TrustCode,
    Tta,
    Workers,
    answering,
    app,
    examples,
    print_json,
    switch,
)
from .groupmeasured import measure, print_measured, refuse

if TYPE_CHECKING:
    from striate.api import Run
    from striate.evaluation import Evaluation
    from striate.stopping import Halt


@app.command(
    help_epilogue=examples("""
    striate evaluate runs/digits-convnet-1
    striate evaluate runs/first more-photos/ --json
    striate evaluate runs/first --split validation -o answers.csv
    striate evaluate runs/first --confusion confusion.png
    striate evaluate runs/first --tta flip --top 1,3
    striate evaluate runs/first --calibrate --min-confidence 0.9
""")
)
def evaluate(
    run: Annotated[Path, Parameter(help="Run folder or bundle, or a group of runs.")],
    data: Annotated[str | None, Parameter(help=DATA_HELP + " [default: the run's own]")] = None,
    /,
    *,
    split: Annotated[
        str | None,
        Parameter(group=RUN_OPTIONS, help="train, validation or test. [default: test if there is]"),
    ] = None,
    tta: Tta = "none",
    calibrate: Annotated[
        bool,
        switch("Fit a temperature to the validation split and save it in the bundle, first."),
    ] = False,
    min_confidence: MinConfidence = None,
    top: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS, help="Among how many the right class is looked for, as in 1,3,5."
        ),
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

    Classes of other data are matched by name, never by order. Of a group each finished run is
    measured, and the mean and standard deviation of their accuracies printed.
    """
    places = _places(top)
    with answering("asking the network") as halt, ranks.joined(device):
        from striate import api
        from striate.runs.group import is_group

        how: dict[str, Any] = {
            "split": split,
            "tta": tta,
            "min_confidence": min_confidence,
            "top": places,
            "device": device,
            "workers": workers,
            "strict": strict,
            "max_megapixels": max_megapixels,
            "path_column": path_column,
            "label_column": label_column,
            "poll": halt.poll,
        }
        if is_group(run):
            refuse(out=out, confusion=confusion, calibrate=calibrate or None)
            print_measured(measure(run, data, trust_code, **how), as_json=as_json)
            return
        _check_outputs(out, confusion)
        loaded = api.load(run, trust_code=trust_code)
        if calibrate:
            _calibrate(loaded, device, workers, max_megapixels, halt)
        found = loaded.evaluate(data, **how)
    if ranks.started().rank:
        return
    for note in found.notes:
        console.say(note)
    for entry in found.unreadable:
        console.say(f"left out: {entry.file}: {entry.reason}")
    _write(found, out, confusion, run.resolve().name)
    if as_json:
        print_json(found.to_json())
        return
    from . import measured

    measured.show(found.to_json())


def _check_outputs(out: Path | None, confusion: Path | None) -> None:
    from striate import tables

    if out:
        tables.check(out)
    if confusion and confusion.suffix.lower() != ".png":
        raise UsageError(f"--confusion is a .png file, not {confusion}")


def _places(text: str | None) -> list[int]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--top takes whole numbers with commas between, as in 1,3,5, not {text}")
    return [int(part) for part in parts]


def _calibrate(
    run: "Run", device: str, workers: int | None, max_megapixels: float | None, halt: "Halt"
) -> None:
    from striate import terminal

    found = run.calibrate(
        device=device, workers=workers, max_megapixels=max_megapixels, poll=halt.poll
    )
    console.say(
        f"temperature {found:.3f}, fitted to the validation split, saved in "
        f"{terminal.place(run.folder / 'bundle')}"
    )


def _write(found: "Evaluation", out: Path | None, confusion: Path | None, name: str) -> None:
    if out:
        _write_rows(found, out)
    if confusion:
        files.write(confusion, found.confusion(name))
        console.say(f"wrote {confusion}")


def _write_rows(found: "Evaluation", out: Path) -> None:
    from striate import tables

    with tables.writing(out, found.columns()) as add:
        for row in found.rows():
            add(row)
    console.say(f"wrote {out}: {counted(found.metrics.n, found.pictures.split.kind)}")
