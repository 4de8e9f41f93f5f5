"""`striate export`: a run as a file for other programs, checked against the run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate import console
from striate.wording import counted, percent

from .app import (
    DATA_HELP,
    OUTPUT,
    RUN_OPTIONS,
    AsJson,
    TrustCode,
    Workers,
    answering,
    app,
    examples,
    print_json,
)

if TYPE_CHECKING:
    from striate.exporting import Written


@app.command(
    help_epilogue=examples("""
    striate export runs/first
    striate predict runs/first/model.onnx holiday/
    striate export runs/first --quantize int8 -o phone.onnx
    striate export runs/first --format openvino --license apache-2.0
""")
)
def export(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    /,
    *,
    format: Annotated[
        str, Parameter(group=RUN_OPTIONS, help="onnx, torch-export or openvino.")
    ] = "onnx",
    quantize: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS,
            help="int8: convolutions and linear layers in whole numbers, fitted to training "
            "pictures. [default: float32]",
        ),
    ] = None,
    max_drop: Annotated[
        float,
        Parameter(group=RUN_OPTIONS, help="Points of accuracy that int8 may cost."),
    ] = 1.0,
    license: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS, help="Licence of the network, for the file's metadata: apache-2.0."
        ),
    ] = None,
    data: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS,
            help=f"Pictures to compare the file with the network on: {DATA_HELP} "
            "[default: the run's own]",
        ),
    ] = None,
    workers: Workers = None,
    trust_code: TrustCode = False,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=OUTPUT, help="File. [default: model.onnx, ... in the run]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a network as a file that runs without striate and torch, its preprocessing inside.

    The file takes pictures as pixels, uint8 (N, H, W, C), in the network's size. It is asked about
    256 of the run's own pictures beside the network, and kept only if both answer the same.
    """
    with answering("exporting the network") as halt:
        from striate import api

        found = api.load(run, trust_code=trust_code).export(
            format,
            out=out,
            quantize=quantize,
            max_drop=max_drop,
            license=license,
            data=data,
            workers=workers,
            poll=halt.poll,
            tell=console.say,
        )
    if as_json:
        print_json(found.to_json())
        return
    _print(found)


def _print(found: "Written") -> None:
    same = found.agreement
    compared = f"{counted(same.n, found.kind)} of the {found.split} split"
    if found.quantize:
        print(
            f"accuracy {percent(found.accuracy_before)} before, {percent(found.accuracy)} in int8, "
            f"on {compared}"
        )
    else:
        print(
            f"answers as the network does on {compared}: probabilities differ by at most "
            f"{same.difference:.1e}"
        )
    print(f"wrote {found.path} ({found.bytes / 1e6:.1f} MB)")
