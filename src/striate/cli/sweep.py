"""`striate sweep`: one training for each combination of choices, compared on validation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate import console
from striate.flags import from_file, listed, lists_of
from striate.training.recipe import Recipe

from .app import (
    DATA_HELP,
    RUN_OPTIONS,
    AsJson,
    Device,
    LabelColumn,
    PathColumn,
    Strict,
    TrustCode,
    Workers,
    app,
    examples,
    print_json,
)
from .train import GROUPS, USUAL

VARIED = ("model", "recipe", "epochs", "batch_size", "optimiser", "rate", "weight_decay", "seed")

if TYPE_CHECKING:
    Flags = Any
else:
    Flags = lists_of(Recipe, GROUPS, dict.fromkeys(VARIED, USUAL))


@app.command(
    help_epilogue=examples("""
    striate sweep digits --rate 0.01,0.1 --model convnet,lenet
    striate sweep photos/ --rate 0.01,0.03,0.1 --seed 0,1,2 -o sweeps/rate --time 30m
    striate sweep mnist --arguments.width 16,32 --epochs 5
""")
)
def sweep(
    data: Annotated[str, Parameter(help=DATA_HELP)],
    /,
    *,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=RUN_OPTIONS, help="Folder of the runs. [default: in runs]"),
    ] = None,
    time: Annotated[
        str | None,
        Parameter("--time", group=RUN_OPTIONS, help="Begin no run after this: 60s, 30m, 2h."),
    ] = None,
    config: Annotated[
        Path | None, Parameter(group=RUN_OPTIONS, help="TOML file of flags, one value each.")
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    save_every: Annotated[
        float,
        Parameter(group=RUN_OPTIONS, help="Seconds between two checkpoints within an epoch."),
    ] = 300.0,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a run for every combination of values, and choose the best by validation alone.

    Every flag of `striate train` takes several values here, with commas between; `striate train
    --help-all` explains them. With several seeds a setting is judged by the mean over them. The
    same command goes on with what was stopped, and passes over what is finished.
    """
    with console.working("starting"):
        from striate import groups, terminal, usercode
        from striate.quantities import seconds
        from striate.stopping import Halt
        from striate.training.start import Means

    written, typed = from_file(config, Recipe), listed(flags, Recipe)
    choices = {**written, **typed}
    if config and "model" not in typed and usercode.is_reference(str(choices.get("model", ""))):
        # Only what is typed here is the user's word; a file of choices may be anybody's.
        usercode.require(
            choices["model"], choices.get("arguments"), usercode.Consent(config, trust_code)
        )
    view = terminal.view()
    try:
        found = groups.sweep(
            data,
            seconds_in_all=seconds(time) if time else None,
            out=out,
            means=Means(device, workers, strict, save_every),
            show=view,
            tell=console.say,
            trust_code=trust_code,
            path_column=path_column,
            label_column=label_column,
            halt=Halt(console.stopping("after this step"), view.watch),
            **choices,
        )
    finally:
        view.close()
    if as_json:
        ranking = [
            {
                **one.choices,
                "validation_accuracy": one.accuracy,
                "sd": one.sd,
                "runs": [run.name for run in one.runs],
            }
            for one in found.ranking
        ]
        print_json({**found.to_json(), "ranking": ranking})
        return
    from .grouptable import print_sweep

    print_sweep(found)
