"""Commands: read flags, call one function, print."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.config import Env

from striate import __version__, files
from striate.errors import DataError, Stopped, UsageError
from striate.flags import Flags, from_file, given

# torch is slow to import: commands load it, --help does not.

RUN_OPTIONS = Group("Run", sort_key=1)
OUTPUT = Group("Output", sort_key=3)

app = App(
    name="striate",
    help="Train convolutional networks on pictures, see what they learnt, put them to use.",
    version=__version__,
    version_flags=["--version"],
    help_format="markdown",
    # STRIATE_TRAIN_EPOCHS=5 is --epochs 5; a flag wins.
    config=Env("STRIATE_", command=True, show=False),
    suppress_keyboard_interrupt=False,  # main() gives the signal's own exit code
)
app.register_install_completion_command()


def _switch(text: str, *, name: str | None = None, group: Group = RUN_OPTIONS) -> Parameter:
    """Give a flag that is either there or not."""
    return Parameter(name, group=group, negative="", show_default=False, help=text)


def _examples(lines: str) -> str:
    """Give the example lines of a command's --help, one below the other."""
    return "Examples:\n" + lines.rstrip()


DATA_HELP = (
    "digits, mnist, fashion-mnist, kmnist, cifar10, cifar100; a folder, .zip, .tar or table (.csv, "
    ".jsonl, .parquet); or file.py:function."
)
Device = Annotated[str, Parameter(group=RUN_OPTIONS, help="auto, cpu, cuda or mps.")]
Workers = Annotated[
    int | None,
    Parameter(group=RUN_OPTIONS, help="Threads that decode pictures. [default: one a processor]"),
]
Strict = Annotated[
    bool,
    _switch("Stop at the first unreadable picture."),
]
AsJson = Annotated[
    bool,
    _switch("Print one JSON document.", name="--json", group=OUTPUT),
]


@app.command(
    help_epilogue=_examples("""
    striate train digits
    striate train photos/ --model torchvision/resnet18 -o runs/first
    striate train mnist --model mnist-convnet --config recipe.toml --seed 1
    striate train --resume runs/first
""")
)
def train(
    data: Annotated[str | None, Parameter(help=DATA_HELP)] = None,
    /,
    *,
    flags: Annotated[Flags, Parameter(name="*")] = None,
    out: Annotated[
        Path | None,
        Parameter(alias="-o", group=RUN_OPTIONS, help="Run folder. [default: runs/DATA-MODEL-N]"),
    ] = None,
    resume: Annotated[
        Path | None, Parameter(group=RUN_OPTIONS, help="Continue this run; DATA is not needed.")
    ] = None,
    overwrite: Annotated[
        bool,
        _switch("Replace the run in --out."),
    ] = False,
    config: Annotated[
        Path | None,
        Parameter(
            group=RUN_OPTIONS,
            help="TOML file of flags (batch_size = 64). STRIATE_TRAIN_BATCH_SIZE=64 and flags win.",
        ),
    ] = None,
    print_config: Annotated[
        bool,
        _switch("Print every choice as TOML; train nothing."),
    ] = False,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    save_every: Annotated[
        float,
        Parameter(group=RUN_OPTIONS, help="Seconds between two checkpoints within an epoch."),
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Train a network on DATA and leave a run folder."""
    from striate import api, terminal
    from striate.training.start import Means

    choices = {**from_file(config), **given(flags)}
    if print_config:
        print(api.plan(data, **choices), end="")
        return
    view = terminal.view()
    try:
        run = api.train(
            data,
            out=out,
            resume=resume,
            overwrite=overwrite,
            means=Means(device, workers, strict, save_every),
            show=view,
            tell=terminal.say,
            **choices,
        )
    finally:
        view.close()
    result = run.result
    if as_json:
        _print_json({"run": str(run.folder), **result})
        return
    low, high = result["interval"]
    print(
        f"{result['split']} accuracy {result['accuracy']:.4f} "
        f"(95 % interval {low:.4f} to {high:.4f}, {result['n']} pictures)  "
        f"{terminal.duration(result['train_seconds'])}  {run.folder}"
    )
    terminal.print_leak(result["leak"])


@app.command(
    help_epilogue=_examples("""
    striate evaluate runs/digits-convnet-1
    striate evaluate runs/first more-photos/ --json
    striate evaluate runs/first --split validation
""")
)
def evaluate(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    data: Annotated[str | None, Parameter(help=DATA_HELP + " [default: the run's own]")] = None,
    /,
    *,
    split: Annotated[
        str | None,
        Parameter(group=RUN_OPTIONS, help="train, validation or test. [default: test if there is]"),
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Measure a network: accuracy with its interval, each class, and what is confused.

    Classes of other data are matched by name, never by order.
    """
    from striate import api, terminal
    from striate.training.session import Halt

    halt = Halt()
    with halt.listening():
        found = api.load(run).evaluate(
            data, split=split, device=device, workers=workers, strict=strict, poll=halt.poll
        )
    for entry in found.unreadable:
        terminal.say(f"left out: {entry.file}: {entry.reason}")
    if as_json:
        _print_json(found.to_json())
        return
    terminal.print_evaluation(found.to_json())


@app.command(
    help_epilogue=_examples("""
    striate predict runs/first cat.jpg
    striate predict runs/first holiday/ --top 1 --json
    striate predict runs/first archive/ -o answers.csv
""")
)
def predict(
    run: Annotated[Path, Parameter(help="Run folder or bundle.")],
    pictures: Annotated[list[Path], Parameter(help="Pictures, or folders of them.")],
    /,
    *,
    top: Annotated[int, Parameter(group=RUN_OPTIONS, help="Classes shown a picture.")] = 3,
    device: Device = "auto",
    workers: Workers = None,
    out: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=OUTPUT, help="Write rows here instead: .jsonl, .csv, .parquet."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in pictures: the likeliest classes with their probabilities.

    An unreadable picture is a row with its error; the exit code is 1 only if none could be read.
    """
    from striate import api, terminal
    from striate.training.session import Halt

    if top < 1:
        raise UsageError(f"--top is 1 or more, not {top}")
    halt = Halt()
    with halt.listening():
        rows = api.load(run).stream(
            pictures, top=top, device=device, workers=workers, poll=halt.poll
        )
        if out:
            _write_predictions(rows, out, top)
            return
        found = list(rows)
    if as_json:
        _print_json([row.to_json() for row in found])
    else:
        terminal.table(["picture", "class"], [terminal.prediction_row(row) for row in found])
    if all(row.error for row in found):
        raise DataError("none of the pictures could be read")


@app.command(
    help_epilogue=_examples("""
    striate data photos/
    striate data cifar10 --json
    striate data photos.zip --show sheet.png
    striate data photos/ --fix clean.csv && striate train clean.csv
""")
)
def data(
    data: Annotated[str, Parameter(help=DATA_HELP)],
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
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Look at DATA: counts, sizes, damage, duplicates, leaks between splits, and what is odd."""
    from striate import api, terminal
    from striate import data as sources
    from striate.data.lists import as_csv
    from striate.inspection import clean
    from striate.training.session import Halt

    halt = Halt()
    with halt.listening():
        opened = sources.find(data)
        report = api.inspect(opened, workers=workers, poll=halt.poll)
        if show:
            files.write(show, api.preview(opened))
        if fix:
            if fix.suffix.lower() != ".csv":
                raise UsageError(f"--fix writes a .csv file, not {fix}")
            cleaned = clean(opened, report)
            files.write(fix, as_csv(cleaned.kept, fix.parent))
    if as_json:
        _print_json(report.to_json())
    else:
        terminal.print_report(report)
    if show:
        terminal.say(f"wrote {show}")
    if fix:
        why = ", ".join(f"{count} {reason}" for reason, count in cleaned.left_out.items())
        terminal.say(f"wrote {fix}: {len(cleaned.kept)} pictures; left out: {why}")


@app.command(
    help_epilogue=_examples("""
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
    as_json: AsJson = False,
) -> None:
    """Write picture files as WebDataset's tar shards, shuffled, SPLIT-000000.tar and so on."""
    from striate import data as sources
    from striate import terminal
    from striate.data.sharding import write_shards
    from striate.training.session import Halt

    halt = Halt()
    opened = sources.find(data)
    terminal.say(opened.layout)
    with halt.listening():
        made = write_shards(opened, out, per_shard=per_shard, seed=seed, poll=halt.poll)
        written = [(str(shard.path), shard.pictures) for shard in made]
    if as_json:
        _print_json([{"shard": path, "pictures": count} for path, count in written])
        return
    terminal.table(["shard", "pictures"], [[path, f"{count}"] for path, count in written])


@app.command(
    help_epilogue=_examples("""
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
    from striate import api, terminal
    from striate.inspection import leak_line

    rows = api.summaries(folder)
    if as_json:
        _print_json(rows)
        return
    if not rows:
        terminal.say(f"no runs in {folder}: `striate train digits` makes one")
        return
    terminal.table(
        ["run", "model", "epochs", "split", "n", "accuracy", "time", "state"],
        [
            [
                row["run"],
                row["model"],
                f"{row['epochs']}",
                row["split"] or "-",
                f"{row['n']}" if row["n"] else "-",
                terminal.share(row["accuracy"]) + ("*" if row["leak"] else ""),
                terminal.duration(row["train_seconds"]),
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
    from striate import terminal
    from striate.models import MODELS

    rows = [{"name": name, "about": model.about} for name, model in MODELS.items()]
    if as_json:
        _print_json(rows)
        return
    rows += [
        {"name": "torchvision/NAME", "about": "any classification network of torchvision"},
        {"name": "timm/NAME", "about": "any network of timm"},
        {"name": "file.py:function", "about": "your own; it is saved with the run"},
    ]
    terminal.table(["model", ""], [[row["name"], row["about"]] for row in rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and give its exit code."""
    try:
        app(
            arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (UsageError, CycloptsError) as error:
        return _failed(error, 2)
    except DataError as error:
        return _failed(error, 1)
    except Stopped as stop:
        _complain(str(stop))
        return 128 + stop.signal
    except KeyboardInterrupt:
        _complain("stopped")
        return 130
    except BrokenPipeError:  # `striate runs | head`
        sys.stderr.close()
        return 141
    return 0


def run() -> None:
    """Be the `striate` command."""
    # Threads that wait by spinning take the processor from other programs, and from each other:
    # beside one busy core a small training takes twice as long. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())


def _failed(error: Exception, code: int) -> int:
    _complain(" ".join(str(error).split()))
    return code


def _write_predictions(rows: Iterable[Any], out: Path, top: int) -> None:
    from striate import prediction, tables, terminal

    count = unreadable = 0
    with tables.writing(out, prediction.columns(top)) as add:
        for row in rows:
            add(row.row())
            count, unreadable = count + 1, unreadable + bool(row.error)
    terminal.say(f"wrote {out}: {count} pictures, {unreadable} of them unreadable")
    if count == unreadable:
        raise DataError("none of the pictures could be read")


def _complain(line: str) -> None:
    sys.stderr.write(f"striate: {line}\n")


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))
