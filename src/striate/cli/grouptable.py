"""Tables of a group of runs: what each reached, and which setting is best."""

from collections.abc import Mapping
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from striate import console
from striate.wording import counted, duration, percent

if TYPE_CHECKING:
    from striate.groups import Group
    from striate.runs.ranking import Ranked


def print_group(group: "Group") -> None:
    """Print a row a run, and the mean of their accuracies with its standard deviation."""
    from striate import terminal

    _print_rows(group)
    print_left_out(group)
    if not group.runs:
        return
    result, count = group.runs[0].result, len(group.runs)
    things = f"{group.differs[0]}s"
    spread = "" if group.sd is None else f" ± {100 * group.sd:.2f}"
    told = "mean" if group.sd is None else "mean ± standard deviation"
    console.tell(
        f"{result['split']} accuracy {100 * group.mean:.2f}{spread} % ({told} of "
        f"{counted(count, things)}){_judged(group)}  "
        f"{duration(sum(run.result['train_seconds'] for run in group.runs))}  "
        f"{terminal.place(group.folder)}"
    )


def _judged(group: "Group") -> str:
    """Say of folds that their epochs were chosen by what they are judged on."""
    if group.differs != ("fold",):
        return ""
    n = sum(run.result["n"] for run in group.runs)
    kind = group.runs[0].result.get("kind", "pictures")
    return f", each on its own part ({counted(n, kind)} in all), which also chose its epoch"


def print_sweep(group: "Group") -> None:
    """Print a row a setting, the best by validation first, and the best one's test accuracy."""
    from striate import terminal

    ranking = group.ranking
    if ranking:
        seeds = any(len(one.runs) > 1 for one in ranking)
        names = list(ranking[0].choices)
        console.table(
            [*names, "validation accuracy", *(["seeds"] if seeds else []), "time", ""],
            [
                [
                    *(str(one.choices[name]) for name in names),
                    _spread(one.accuracy, one.sd),
                    *([str(len(one.runs))] if seeds else []),
                    duration(_seconds(one)),
                    "best" if one is ranking[0] else "",
                ]
                for one in ranking
            ],
        )
    print_left_out(group)
    if not ranking:
        return
    console.tell(
        f"best by validation: {written(ranking[0].choices)}; its {_reached(group)}  "
        f"{terminal.place(group.best.folder)}"
    )


def _reached(group: "Group") -> str:
    """Write what the best setting reached where it was judged."""
    found = [run.result for run in group.runs if run.folder in group.ranking[0].runs]
    first = found[0]
    if len(found) > 1:
        shares = [100 * result["accuracy"] for result in found]
        return (
            f"{first['split']} accuracy is {mean(shares):.2f} ± {stdev(shares):.2f} % (mean ± "
            f"standard deviation of {counted(len(found), 'seeds')})"
        )
    low, high = first["interval"]
    return (
        f"{first['split']} accuracy is {percent(first['accuracy'])} (95 % interval {percent(low)} "
        f"to {percent(high)}, {counted(first['n'], first.get('kind', 'pictures'))})"
    )


def written(choices: Mapping[str, Any]) -> str:
    """Write choices as people do.

    >>> written({"rate": 0.1, "arguments.width": 8})
    'rate 0.1, arguments.width 8'
    """
    return ", ".join(f"{name} {value}" for name, value in choices.items())


def print_left_out(group: "Group") -> None:
    """Say which runs are not finished, and why others were left out."""
    for name, reason in group.failed.items():
        console.tell(f"left out: {name}: {reason}")
    if group.unfinished:
        console.tell(
            f"{counted(len(group.unfinished), 'runs')} of {len(group.choices)} not finished: the "
            "same command goes on"
        )


def _print_rows(group: "Group") -> None:
    rows = [row for row in group.rows() if row["state"] == "finished"]
    if not rows:
        return
    split = rows[0]["split"]
    both = split != "validation"  # a fold is judged on what it is chosen by
    console.table(
        ["run", *["validation"] * both, f"{split} accuracy", "kept epoch", "time"],
        [
            [
                row["run"],
                *[percent(row["validation_accuracy"])] * both,
                percent(row["accuracy"]),
                f"{row['best_epoch']}",
                duration(row["train_seconds"]),
            ]
            for row in rows
        ],
    )


def _spread(mean: float, sd: float | None) -> str:
    return percent(mean) if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f} %"


def _seconds(one: "Ranked") -> float:
    from striate.runs import folder

    return sum(folder.seconds(run) for run in one.runs)
