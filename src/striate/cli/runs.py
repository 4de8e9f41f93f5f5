"""`striate runs` and `striate models`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate import console
from striate.wording import duration, percent

from .app import (
    AsJson,
    app,
    examples,
    print_json,
)


@app.command(
    help_epilogue=examples("""
    striate runs
    striate runs experiments/ --json
""")
)
def runs(
    folder: Annotated[Path, Parameter(help="Folder that holds runs.")] = Path("runs"),
    /,
    *,
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, the best accuracy first."""
    from striate import api
    from striate.inspection import leak_line

    rows = api.summaries(folder)
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.say(f"no runs in {folder}: `striate train digits` makes one")
        return
    console.table(
        ["run", "model", "epochs", "split", "n", "accuracy", "time", "state"],
        [
            [
                row["run"],
                row["model"],
                f"{row['epochs']}",
                row["split"] or "-",
                f"{row['n']}" if row["n"] else "-",
                percent(row["accuracy"]) + ("*" if row["leak"] else ""),
                duration(row["train_seconds"]),
                "done" if row["finished"] else "unfinished",
            ]
            for row in rows
        ],
    )
    for row in rows:
        if row["leak"]:
            print(f"* {row['run']}: {leak_line(row['leak'])}")


@app.command
def models(*, as_json: AsJson = False) -> None:
    """List the networks that --model knows by name."""
    from striate.models import MODELS
    from striate.models.arguments import defaults

    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "about": model.about,
                    "smallest": model.smallest,
                    "arguments": defaults(model.build),
                }
                for name, model in MODELS.items()
            ]
        )
        return
    rows = [
        [name, f"{model.smallest}x{model.smallest}", " ".join(defaults(model.build)), model.about]
        for name, model in MODELS.items()
    ]
    rows += [
        ["torchvision/NAME", "", "", "any classification network of torchvision"],
        ["timm/NAME", "", "", "any network of timm"],
        ["file.py:function", "", "", "your own; it is saved with the run"],
    ]
    console.table(["model", "smallest", "arguments", ""], rows)
