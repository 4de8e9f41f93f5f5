"""`striate atlas`: a map of pictures by a network's features, as one HTML file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate import console
from striate.errors import UsageError

from .app import (
    DATA_HELP,
    OUTPUT,
    AsJson,
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
    print_json,
)


@app.command(
    help_epilogue=examples("""
    striate atlas photos/ --model runs/first
    striate atlas photos/ --model timm/tf_efficientnet_lite0 --weights lite0.safetensors
    striate atlas cifar10 --model torchvision/resnet18 -o cifar.html
""")
)
def atlas(
    data: Annotated[str, Parameter(help=DATA_HELP)],
    /,
    *,
    model: FeatureModel,
    weights: FeatureWeights = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    trust_code: TrustCode = False,
    out: Annotated[Path, Parameter(alias="-o", group=OUTPUT, help="HTML file.")] = Path(
        "atlas.html"
    ),
    figures: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="Folder for each figure as PNG and SVG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay pictures out on a map, alike ones side by side: one HTML file that needs no network.

    Alike is what a network's classifier is given: a run's own, or a published one's. The map is
    placed by t-SNE (needs openTSNE), and says how much of the neighbourhoods it keeps. A folder of
    pictures without class folders is shown without classes.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out is an .html file, not {out}")
    with answering("asking the network") as halt:
        from striate import api

        found = api.atlas(
            data,
            model=model,
            weights=weights,
            out=out,
            device=device,
            workers=workers,
            strict=strict,
            figures=figures,
            path_column=path_column,
            label_column=label_column,
            trust_code=trust_code,
            poll=halt.poll,
            tell=console.say,
        )
    if as_json:
        print_json(found.to_json())
        return
    print(f"wrote {found.path} ({found.path.stat().st_size / 1e6:.1f} MB): open it with a browser")
