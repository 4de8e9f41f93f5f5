"""`striate profile`: where the time of a training step goes, as a table, JSON or a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate import console, usercode
from striate.errors import UsageError
from striate.flags import flags_of, from_file, given
from striate.training.recipe import Recipe
from striate.usercode import Consent

from .app import (
    DATA_HELP,
    OUTPUT,
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
)
from .train import GROUPS, USUAL

SHOWN = ("model", "recipe", "weights", "batch_size", "accumulate", "optimiser", "size", "precision")

if TYPE_CHECKING:
    Flags = Any
else:
    Flags = flags_of(Recipe, GROUPS, dict.fromkeys(SHOWN, USUAL))


@app.command(
    help_epilogue=examples("""
    striate profile digits
    striate profile photos/ --model torchvision/resnet18 --batch-size 64 -o profile.html
    striate profile mnist --model mnist-convnet --steps 50 --json
""")
)
def profile(
    data: Annotated[str, Parameter(help=DATA_HELP)],
    /,
    *,
    flags: Annotated[Flags | None, Parameter(name="*")] = None,
    steps: Annotated[
        int,
        Parameter(
            group=USUAL, help="Steps that are timed as they are; half as many more by layer."
        ),
    ] = 20,
    config: Annotated[
        Path | None, Parameter(group=USUAL, help="TOML file of flags, as of `striate train`.")
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    cache: Annotated[
        Path | None,
        Parameter(
            group=USUAL,
            help="Folder that keeps decoded pixels which do not fit into memory, for later runs.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        Parameter(
            group=USUAL,
            metavar="SIZE",
            help="Memory for the pixels of all splits: 500M, 2G, 0 for none. [default: a quarter "
            "of the machine's]",
        ),
    ] = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None, Parameter(alias="-o", group=OUTPUT, help="HTML file to write as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train for a few steps and say where their time goes; no run is written.

    By phase: waiting for data, the copy to the device, augmentation and normalisation, the forward
    and the backward pass, the optimiser. By layer, beside the rate at which this machine multiplies
    matrices. Then the memory, beside what `striate describe` predicts, and what to change first.
    Every flag of `striate train` that a step depends on is taken; `striate train --help-all`
    explains them.
    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out is an .html file, not {out}")
    typed = given(flags)
    choices = {**from_file(config, Recipe), **typed}
    if config and "model" not in typed and usercode.is_reference(str(choices.get("model", ""))):
        # Only what is typed here is the user's word; a file of choices may be anybody's.
        usercode.require(choices["model"], choices.get("arguments"), Consent(config, trust_code))
    with answering("taking steps") as halt:
        from striate import api
        from striate.training.start import Means

        found = api.profile(
            data,
            steps=steps,
            out=out,
            means=Means(device, workers, strict, cache=cache, memory=memory),
            tell=console.say,
            halt=halt,
            path_column=path_column,
            label_column=label_column,
            **choices,
        )
    if out is not None:
        console.say(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB): open it with a browser")
    if as_json:
        print_json(found.to_json())
        return
    from . import profiletable

    profiletable.show(found)
