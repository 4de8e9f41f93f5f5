"""`striate data` and `striate shards`: a data set looked at, and written as shards."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from striate import console, files
from striate.errors import UsageError
from striate.wording import counted

from .app import (
    OUTPUT,
    PICTURES_HELP,
    RUN_OPTIONS,
    AsJson,
    LabelColumn,
    PathColumn,
    Workers,
    answering,
    app,
    examples,
    print_json,
)


@app.command(
    help_epilogue=examples("""
    striate data photos/
    striate data cifar10 --json
    striate data photos.zip --show sheet.png
    striate data photos/ --fix clean.csv && striate train clean.csv
""")
)
def data(
    data: Annotated[str, Parameter(help=PICTURES_HELP)],
    /,
    *,
    show: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="PNG of pictures as a network sees them, before and after."),
    ] = None,
    fix: Annotated[
        Path | None,
        Parameter(group=OUTPUT, help="CSV of the pictures that should stay, to train on instead."),
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    workers: Workers = None,
    max_megapixels: Annotated[
        float, Parameter(group=RUN_OPTIONS, help="Largest picture that is decoded, in megapixels.")
    ] = 50.0,
    as_json: AsJson = False,
) -> None:
    """Look at DATA: counts, sizes, damage, duplicates, leaks between splits, and what is odd."""
    with answering("decoding and comparing all pictures") as halt:
        from striate import api, terminal
        from striate import data as sources
        from striate.data.sources.lists import as_csv
        from striate.inspection import clean

        opened = sources.find(data, sources.Columns(path_column, label_column))
        report = api.inspect(opened, workers=workers, max_megapixels=max_megapixels, poll=halt.poll)
        if show:
            files.write(show, api.preview(opened))
        if fix:
            if fix.suffix.lower() != ".csv":
                raise UsageError(f"--fix writes a .csv file, not {fix}")
            cleaned = clean(opened, report)
            files.write(fix, as_csv(cleaned.kept, fix.parent))
    if as_json:
        print_json(report.to_json())
    else:
        terminal.print_report(report)
    if show:
        console.say(f"wrote {show}")
    if fix:
        why = ", ".join(f"{count:,} {reason}" for reason, count in cleaned.left_out.items())
        console.say(f"wrote {fix}: {counted(len(cleaned.kept), 'pictures')}; left out: {why}")


@app.command(
    help_epilogue=examples("""
    striate shards photos/ -o shards/
    striate train shards/
""")
)
def shards(
    data: Annotated[str, Parameter(help="A folder, .zip, .tar or table of picture files.")],
    /,
    *,
    out: Annotated[
        Path, Parameter(alias="-o", group=OUTPUT, help="Folder for the shards: new, or empty.")
    ],
    per_shard: Annotated[int, Parameter(group=OUTPUT, help="Pictures a shard, at most.")] = 1000,
    seed: Annotated[int, Parameter(group=OUTPUT, help="Seed of the order.")] = 0,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    as_json: AsJson = False,
) -> None:
    """Write picture files as WebDataset's tar shards, shuffled, SPLIT-000000.tar and so on."""
    with answering("writing shards") as halt:
        from striate import data as sources
        from striate.data.sources.sharding import write_shards

        opened = sources.find(data, sources.Columns(path_column, label_column))
        for note in (opened.layout, *opened.warnings):
            console.say(note)
        made = write_shards(opened, out, per_shard=per_shard, seed=seed, poll=halt.poll)
        written = [(str(shard.path), shard.pictures) for shard in made]
    if as_json:
        print_json([{"shard": path, "pictures": count} for path, count in written])
        return
    console.table(["shard", "pictures"], [[path, f"{count}"] for path, count in written])
