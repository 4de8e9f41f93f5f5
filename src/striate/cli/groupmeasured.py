"""The runs of a group evaluated, and their table."""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

from striate import console
from striate.errors import UsageError
from striate.wording import counted, percent

from .app import print_json


def refuse(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name} is of one run, and this is a group: give one of its runs")


def measure(run: Path, data: str | None, trust_code: bool, **how: Any) -> dict[str, Any]:
    """Measure the runs of a group: what --json prints."""
    from striate.groups import Group

    group = Group(run, trust_code=trust_code)
    found = group.evaluate(data, **how)
    shares = [one.accuracy for one in found]
    return {
        "group": str(run),
        "accuracy": mean(shares),
        "sd": stdev(shares) if len(shares) > 1 else None,
        "unfinished": group.unfinished,
        "failed": group.failed,
        "runs": [
            {"run": member.folder.name, **one.to_json()}
            for member, one in zip(group.runs, found, strict=True)
        ],
    }


def print_measured(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    console.table(
        ["run", "accuracy", "95 % interval", "n", "loss"],
        [
            [
                row["run"],
                percent(row["accuracy"]),
                " to ".join(map(percent, row["interval"])),
                f"{row['n']}",
                f"{row['loss']:.4f}",
            ]
            for row in found["runs"]
        ],
    )
    for note in dict.fromkeys(note for row in found["runs"] for note in row["notes"]):
        console.tell(note)
    missing = len(found["unfinished"]) + len(found["failed"])
    if missing:
        console.tell(f"{counted(missing, 'runs')} of the group are not finished, and not measured")
    spread = "" if found["sd"] is None else f" ± {100 * found['sd']:.2f}"
    told = "mean" if found["sd"] is None else "mean ± standard deviation"
    console.tell(
        f"{found['runs'][0]['split']} accuracy {100 * found['accuracy']:.2f}{spread} % ({told} of "
        f"{counted(len(found['runs']), 'runs')})"
    )
