"""`striate runs` and `striate models`: runs in a folder, and networks by name, listed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from striate import console
from striate.wording import counted, duration, percent

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
    """List the runs in a folder by what they were trained on, the best accuracy first.

    A group of runs is one line: mean and standard deviation over its seeds or folds; of a sweep the
    best by validation.
    """
    from striate import groups
    from striate.inspection import leak_line

    rows = groups.summaries(folder)
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.say(f"no runs in {folder}: `striate train digits` makes one")
        return
    for name in sorted({row["data"] for row in rows}):
        _print_group(name, [row for row in rows if row["data"] == name])
    for row in rows:
        if row["leak"]:
            console.tell(f"* {row['run']}: {leak_line(row['leak'])}")


def _print_group(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the runs on one data set, and in what their choices differ."""
    split = {(row["split"], row["n"]) for row in rows if row["split"]}
    measured = [f"{counted(n, 'examples')} of its {part} split" for part, n in split]
    console.tell(f"{name}" + (f", {measured[0]}" if len(measured) == 1 else ""))
    several = len(measured) > 1
    console.table(
        ["run", "model", "epochs", *["split", "n"] * several, "accuracy", "time", "differs in"],
        [
            [
                row["run"],
                row["model"],
                f"{row['epochs']}",
                *([row["split"] or "-", f"{row['n'] or '-'}"] if several else []),
                _accuracy(row),
                duration(row["train_seconds"]),
                _differs(row),
            ]
            for row in rows
        ],
    )


_SAID = ("model", "epochs", "folds")  # of a group's choices: in another column, or its members


def _differs(row: dict[str, Any]) -> str:
    own = [f"{key} {value}" for key, value in row["differs"].items() if key not in _SAID]
    if "runs" in row:
        own.insert(0, _members(row))
    return ", ".join(own)


def _members(row: dict[str, Any]) -> str:
    """Say how many runs a group has, and in what they differ."""
    of = "" if row["done"] == row["runs"] else f"{row['done']} of "
    if row["varies"] in (["seed"], ["fold"]):
        return of + counted(row["runs"], f"{row['varies'][0]}s")
    return f"{of}{counted(row['runs'], 'runs')} over {', '.join(row['varies'])}"


def _accuracy(row: dict[str, Any]) -> str:
    if row["accuracy"] is None:
        return "unfinished"
    spread = f" ± {100 * row['sd']:.2f} %" if row.get("sd") is not None else ""
    figure = f"{100 * row['accuracy']:.2f}{spread}" if spread else percent(row["accuracy"])
    return figure + "*" * bool(row["leak"])


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
