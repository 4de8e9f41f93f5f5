"""`striate train`: flags to a recipe, a bar, and the accuracy as a line or JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from striate import console, files, ranks, usercode
from striate.errors import UsageError
from striate.flags import flags_of, from_file, given
from striate.training.recipe import Recipe
from striate.usercode import Consent
from striate.wording import counted, duration, percent

from . import grouptraining, ratefinding
from .app import (
    DATA_HELP,
    AsJson,
    Device,
    LabelColumn,
    PathColumn,
    Strict,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    print_json,
    switch,
)
from .shorthelp import Named, Short, print_all

USUAL = Group("Usual flags", sort_key=0, help_formatter=Short())
MORE = Group("Run", sort_key=1, help_formatter=Named())
# The first field of each group of flags.
GROUPS = {
    "model": Group("Training", sort_key=4, help_formatter=Named()),
    "size": Group("Preprocessing", sort_key=5, help_formatter=Named()),
    "sample_rate": Group("Sounds and clips", sort_key=6, help_formatter=Named()),
    "crop_padding": Group("Augmentation, in training only", sort_key=7, help_formatter=Named()),
    "validation_share": Group("Splits and seeds", sort_key=8, help_formatter=Named()),
}
_MORE = Parameter(group=MORE)
USUAL_CHOICES = (
    "model",
    "recipe",
    "weights",
    "pretrained",
    "freeze",
    "epochs",
    "batch_size",
    "optimiser",
    "rate",
    "weight_decay",
    "patience",
    "size",
    "flip",
    "seed",
)
if TYPE_CHECKING:
    from striate.api import Run

    Flags = Any
else:
    Flags = flags_of(Recipe, GROUPS, dict.fromkeys(USUAL_CHOICES, USUAL))


@app.command(
    help_epilogue=examples("""
    striate train digits
    striate train photos/ --model torchvision/resnet18 -o runs/first
    striate train mnist --model mnist-convnet --config recipe.toml --seed 1
    striate train spoken-digits:held-out=george
    striate train digits --seeds 5
    striate train photos/ --folds 5 -o runs/crossed
    striate train --resume runs/first
""")
)
def train(
    data: Annotated[str | None, Parameter(help=DATA_HELP)] = None,
    /,
    *,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=USUAL, help="Run folder. [default: runs/DATA-MODEL-N]"),
    ] = None,
    resume: Annotated[
        Path | None, Parameter(group=USUAL, help="Continue this run; DATA is not needed.")
    ] = None,
    overwrite: Annotated[
        bool,
        switch("Replace the run in --out.", group=MORE),
    ] = False,
    seeds: Annotated[
        int | None,
        Parameter(
            group=USUAL,
            help="Train so many runs that differ in their seed, in one folder: a group. The same "
            "command goes on with it. [default folder: runs/DATA-MODEL-seeds-N]",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        Parameter(
            group=MORE,
            help="TOML file of flags (batch_size = 64). STRIATE_TRAIN_BATCH_SIZE=64 and flags win.",
        ),
    ] = None,
    print_config: Annotated[
        bool,
        switch("Print every choice as TOML; train nothing.", group=USUAL),
    ] = False,
    show: Annotated[
        Path | None,
        Parameter(
            group=MORE,
            help="PNG of training pictures as the network sees them, augmented; train nothing.",
        ),
    ] = None,
    path_column: Annotated[PathColumn, _MORE] = None,
    label_column: Annotated[LabelColumn, _MORE] = None,
    device: Annotated[Device, Parameter(group=USUAL)] = "auto",
    workers: Annotated[Workers, _MORE] = None,
    strict: Annotated[Strict, _MORE] = False,
    save_every: Annotated[
        float,
        Parameter(group=MORE, help="Seconds between two checkpoints within an epoch."),
    ] = 300.0,
    cache: Annotated[
        Path | None,
        Parameter(
            group=MORE,
            help="Folder that keeps decoded pixels which do not fit into memory, for later runs.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        Parameter(
            group=MORE,
            metavar="SIZE",
            help="Memory for the pixels of all splits: 500M, 2G, 0 for none. The result is the "
            "same. [default: a quarter of the machine's]",
        ),
    ] = None,
    tensorboard: Annotated[
        str | None,
        Parameter(
            group=MORE,
            metavar="[=FOLDER]",
            help="Write for TensorBoard too: into the run, or to FOLDER/RUN.",
        ),
    ] = None,
    mlflow: Annotated[
        str | None,
        Parameter(
            group=MORE,
            metavar="[=URI]",
            help="Send to MLflow too: where MLFLOW_TRACKING_URI says, or to URI.",
        ),
    ] = None,
    trust_code: Annotated[TrustCode, _MORE] = False,
    report: Annotated[
        bool,
        switch("Write what was learnt as report.html when the training is done.", group=MORE),
    ] = False,
    as_json: Annotated[AsJson, Parameter(group=USUAL)] = False,
    help_all: Annotated[bool, switch("Explain every flag.", group=USUAL)] = False,
) -> None:
    """Train a network on DATA and leave a run folder.

    The usual flags are explained here, and all of them by `striate train --help-all`.
    Other programs' flags are understood too: --lr, --bs, --wd, --arch, --optimizer, --img-size, ...
    """
    if help_all:
        print_all(app, ["train"])
        return
    with console.working("starting"):
        from striate import api, stopping, terminal, tracking
        from striate.training.start import Means

    typed = given(flags)
    choices = {**from_file(config, Recipe), **typed}
    _refuse_report(report, seeds, choices)
    if config and "model" not in typed and usercode.is_reference(str(choices.get("model", ""))):
        # Only what is typed here is the user's word; a file of choices may be anybody's.
        usercode.require(choices["model"], choices.get("arguments"), Consent(config, trust_code))
    columns = {"path_column": path_column, "label_column": label_column}
    if print_config or show:
        _foresee(data, {**columns, **choices}, device, show=show)
        return
    means = Means(device, workers, strict, save_every, cache, memory)
    shared = {"means": means, "trust_code": trust_code, **columns, **choices}
    if seeds is not None or (choices.get("folds") and "fold" not in choices):
        grouptraining.train(
            data,
            {
                "resume": resume,
                "overwrite": overwrite,
                "tensorboard": tensorboard,
                "mlflow": mlflow,
            },
            as_json=as_json,
            seeds=seeds,
            out=out,
            **shared,
        )
        return
    if choices.get("rate") == "find":
        ratefinding.find(data, {**columns, **choices}, means, out=resume or out, as_json=as_json)
        return
    trackers = tracking.opened(tensorboard=tensorboard, mlflow=mlflow)
    view = terminal.view()
    try:
        run = api.train(
            data,
            out=out,
            resume=resume,
            overwrite=overwrite,
            show=tracking.showing([view, *trackers]),
            tell=console.say,
            halt=stopping.Halt(_stopping(), view.watch),
            **shared,
        )
        for tracker in trackers:
            tracker.finish(run.result)
    finally:
        view.close()
        for tracker in trackers:
            tracker.close()
    _end(run, report=report, as_json=as_json, device=device, workers=workers)


def _refuse_report(asked: bool, seeds: int | None, choices: Mapping[str, Any]) -> None:
    """Raise UsageError where a report is asked for of what is not one training."""
    _refuse_several(seeds, choices)
    is_group = seeds is not None or (choices.get("folds") and "fold" not in choices)
    if asked and (is_group or choices.get("rate") == "find"):
        raise UsageError(
            "--report is of one training: leave it out with --rate find, and with --seeds and "
            "--folds, whose runs `striate report RUN...` takes"
        )


def _refuse_several(seeds: int | None, choices: Mapping[str, Any]) -> None:
    """Raise UsageError for what processes started by torchrun cannot share."""
    asked = {
        "--seeds": seeds is not None,
        "--folds without --fold": choices.get("folds") and "fold" not in choices,
        "--rate find": choices.get("rate") == "find",
    }
    for name in [name for name, is_asked in asked.items() if is_asked]:
        if ranks.started().processes > 1:
            raise UsageError(
                f"{name} is of one process, and torchrun started {ranks.started().processes}: they "
                "share one training"
            )


def _stopping() -> Callable[[bool], None]:
    """Answer a signal; among several processes a second one changes nothing."""
    if ranks.started().processes == 1:
        return console.stopping("after this step")
    return lambda _: console.say("stopping after this step")


def _end(run: "Run", *, report: bool, as_json: bool, device: str, workers: int | None) -> None:
    """Print the result and, if wanted, write the report; with JSON both are one document."""
    from striate import terminal

    if ranks.started().rank:  # the first process says what became of it
        return
    if not (report and as_json):
        _print_result(run, as_json=as_json)
    if not report:
        return
    with answering("looking at the run") as halt:
        out = run.report(device=device, workers=workers, poll=halt.poll, tell=console.say)
    if as_json:
        _print_result(run, as_json=True, report=out)
    else:
        console.say(f"wrote {terminal.place(out)}: open it with a browser")


def _print_result(run: "Run", *, as_json: bool, report: "Path | None" = None) -> None:
    from striate import terminal
    from striate.inspection.leaks import copies_of

    result = run.result
    if as_json:
        more = {} if report is None else {"report": terminal.place(report)}
        print_json({"run": terminal.place(run.folder), **result, **more})
        return
    low, high = result["interval"]
    count = counted(result["n"], result.get("kind", "pictures"))
    if leak := result["leak"]:  # said whole when the training began
        copies = copies_of(leak["copies"], leak.get("near", 0))
        count += f", {leak['copies']:,} with a {copies} in train"
    console.tell(
        f"{result['split']} accuracy {percent(result['accuracy'])} "
        f"(95 % interval {percent(low)} to {percent(high)}, {count}){terminal.balanced(result)}  "
        f"{duration(result['train_seconds'])}  {terminal.place(run.folder)}"
    )


def _foresee(
    data: str | None, choices: Mapping[str, Any], device: str, *, show: Path | None
) -> None:
    """Say what would be trained: the pictures as a sheet, else the choices."""
    from striate import api

    if show is None:
        print(api.plan(data, device=device, **choices), end="")
        return
    if show.suffix.lower() != ".png":
        raise UsageError(f"--show writes a .png file, not {show}")
    if data is None:
        raise UsageError("--show draws pictures of DATA: a name, a folder or file.py:function")
    files.write(show, api.preview(data, **choices))
    console.say(f"wrote {show}")
