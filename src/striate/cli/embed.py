"""`striate embed`: pictures as vectors, in a table."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate import console, files, ranks
from striate.errors import UsageError
from striate.wording import counted

from .app import (
    DATA_HELP,
    OUTPUT,
    Device,
    FeatureModel,
    FeatureWeights,
    LabelColumn,
    PathColumn,
    Strict,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    switch,
)


@app.command(
    help_epilogue=examples("""
    striate embed photos/ --model runs/first -o features.parquet
    striate embed photos/ --model timm/tf_efficientnet_lite0 --map -o features.parquet
    striate embed cifar10 --model torchvision/resnet18 --weights resnet18.pth -o features.parquet
""")
)
def embed(
    data: Annotated[str, Parameter(help=DATA_HELP)],
    /,
    *,
    model: FeatureModel,
    weights: FeatureWeights = None,
    place: Annotated[
        bool,
        switch("Place each on a map by t-SNE: x and y (needs openTSNE).", name="--map"),
    ] = False,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    trust_code: TrustCode = False,
    out: Annotated[
        Path,
        Parameter(alias="-o", group=OUTPUT, help="The .parquet file to write: a row a picture."),
    ],
) -> None:
    """Turn pictures, sounds or clips into vectors: what a network's classifier is given.

    A row has file, split, class and vector; with --map also x and y.
    """
    if out.suffix.lower() != ".parquet":
        raise UsageError(f"--out is a .parquet file, not {out}")
    with answering("asking the network") as halt, ranks.joined(device):
        from striate import api, tables

        found = api.embed(
            data,
            model=model,
            weights=weights,
            place=place,
            device=device,
            workers=workers,
            strict=strict,
            path_column=path_column,
            label_column=label_column,
            trust_code=trust_code,
            poll=halt.poll,
            tell=console.say,
        )
    if ranks.started().rank:
        return
    for entry in found.unreadable:
        console.say(f"left out: {entry.file}: {entry.reason}")
    files.write(out, tables.parquet_bytes(found.table()))
    size = f"{found.vectors.shape[1]:,} numbers each"
    console.say(f"wrote {out}: {counted(len(found), 'vectors')}, {size}")
