"""`striate describe`: what a network costs, as a table, JSON or a drawing."""

import csv
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from striate import files
from striate.errors import UsageError

from .app import OUTPUT, AsJson, TrustCode, app, examples, print_json, switch

NETWORK = Group("Network", sort_key=1)


@app.command(
    help_epilogue=examples("""
    striate describe torchvision/vgg16
    striate describe convnet --size 1x28x28 --batch 128
    striate describe runs/first --draw first.svg
    striate describe timm/resnet50 --json
    striate describe nets/mine.py:build --arguments.width 64 --csv > layers.csv
""")
)
def describe(
    model: Annotated[
        str,
        Parameter(
            help="A name (`striate models`), torchvision/NAME, timm/NAME, file.py:function, "
            "or a run's folder."
        ),
    ],
    /,
    *,
    size: Annotated[
        str | None,
        Parameter(
            group=NETWORK,
            help="Channels, height and width, as 3x224x224; 224 is that. "
            "[default: as published, as trained, or 3x32x32]",
        ),
    ] = None,
    batch: Annotated[int, Parameter(group=NETWORK, help="Pictures at once.")] = 1,
    classes: Annotated[
        int | None,
        Parameter(group=NETWORK, help="Classes. [default: 1000 for networks of ImageNet, else 10]"),
    ] = None,
    arguments: Annotated[
        dict[str, str] | None,
        Parameter(group=NETWORK, help="The network's, as --arguments.width 64."),
    ] = None,
    optimiser: Annotated[
        str | None,
        Parameter(
            group=NETWORK,
            help="sgd (with momentum), adamw or muon, for its memory. [default: the run's, or sgd]",
        ),
    ] = None,
    trust_code: TrustCode = False,
    draw: Annotated[
        Path | None, Parameter(group=OUTPUT, help="SVG of the volumes, drawn to scale.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, switch("Print a CSV row a layer.", name="--csv", group=OUTPUT)] = False,
) -> None:
    """Describe what a network costs, layer by layer: volumes, weights, work, memory, fields.

    Nothing is computed and no weight is made: shapes alone run through the network.
    """
    from striate import description
    from striate.flags import value

    from . import layertable

    if as_json and as_csv:
        raise UsageError("choose --json or --csv")
    if draw and draw.suffix.lower() != ".svg":
        raise UsageError(f"--draw writes an .svg file, not {draw}")
    found = description.describe(
        model,
        size=_sizes(size),
        batch=batch,
        classes=classes,
        optimiser=optimiser,
        arguments={name: value(text) for name, text in (arguments or {}).items()} or None,
        trust_code=trust_code,
    )
    if draw:
        files.write(draw, found.draw().encode())
    if as_json:
        print_json(found.to_json())
    elif as_csv:
        rows = list(found.table())
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        layertable.show(found)
    if draw:
        sys.stderr.write(f"wrote {draw}\n")


def _sizes(text: str | None) -> list[int] | int | None:
    """Read 3x224x224, 224x320 or 224."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--size is 224 or 3x224x224, not {text!r}")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers
