"""What a person sees while a network trains, and tables: on a terminal a bar, elsewhere lines."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from striate.data import relabelled_line
from striate.inspection import Report, leak_line, seen_line
from striate.training.loop import Step
from striate.training.session import Epoch, Event, Session
from striate.wording import counted, duration, percent


class View(Protocol):
    """Shows a training as it goes."""

    def __call__(self, session: Session, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def view() -> View:
    """Choose the bar on a terminal, lines for files, pipes and NO_COLOR."""
    return Lines() if is_plain() else Bar()


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that work is under way, where nothing else would be seen for a while."""
    if is_plain():
        yield
        return
    began = time.monotonic()
    with Console(stderr=True).status(what) as status:
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(1):
                status.update(f"{what} {duration(time.monotonic() - began)}")

        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            stop.set()
            ticker.join()


def say(line: str) -> None:
    """Write a line of progress: stdout is for results."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout; on no terminal it is as wide as it needs to be."""
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        numeric = bool(rows) and all(_is_number(row[place]) for row in rows)
        drawn.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(row.rstrip() for row in captured.get().splitlines()))


def prediction_row(row: Any) -> list[str]:
    if row.error:
        return [row.file, f"unreadable: {row.error}"]
    ranked = "  ".join(f"{found.name} {percent(found.probability)}" for found in row.classes)
    return [row.file, ranked]


def print_leak(leak: dict[str, Any] | None) -> None:
    """Say beside an accuracy what makes it too high."""
    if leak:
        print(leak_line(leak))


def print_evaluation(found: dict[str, Any]) -> None:
    low, high = found["interval"]
    print(
        f"{found['split']} accuracy {percent(found['accuracy'])} (95 % interval {percent(low)} to "
        f"{percent(high)}, {counted(found['n'], found['kind'])})  "
        f"top-5 {percent(found['top5'])}  loss {found['loss']:.4f}"
    )
    print_leak(found["leak"])
    if found["trained_on"] and (line := seen_line(found["trained_on"], found["kind"])):
        print(line)
    if found["relabelled"]:
        print(relabelled_line(found["relabelled"]))
    if found["lost_classes"]:
        names = ", ".join(map(repr, found["lost_classes"]))
        print(f"not measured, as none of their {found['kind']} can be read: {names}")
    measured = [row["class"] for row in found["per_class"] if row["n"]]
    if len(measured) == 1:
        print(f"one class only, {measured[0]}: this accuracy is its recall")
    keys = ("precision", "recall", "f1")
    table(
        ["class", "n", *keys],
        [
            [row["class"], f"{row['n']}", *(percent(row[key]) for key in keys)]
            for row in found["per_class"]
        ],
    )
    if found["confusions"]:
        print("most confused:")
        table(
            ["true", "predicted", "count"],
            [
                [row["true"], row["predicted"], f"{row['count']}"]
                for row in found["confusions"][:10]
            ],
        )


def print_report(report: Report) -> None:
    """Print what was found in data, the warnings last."""
    print(report.layout)
    sizes = report.sizes
    height, width = (
        f"{found['smallest']}-{found['largest']}"
        if found["smallest"] < found["largest"]
        else f"{found['smallest']}"
        for found in (sizes["height"], sizes["width"])
    )
    print(
        f"{height} x {width} pixels (height x width): "
        f"{sizes['grey']} grey, {sizes['colour']} in colour"
    )
    mean, std = (" ".join(f"{v:.4f}" for v in values) for values in (report.mean, report.std))
    print(f"mean {mean}, standard deviation {std} of the training pixels on 0 to 1")
    table(
        ["class", *report.splits],
        [
            [name, *(f"{counts.get(split, 0)}" for split in report.splits)]
            for name, counts in report.classes.items()
        ],
    )
    for entry in report.unreadable:
        print(f"unreadable: {entry.file}: {entry.reason}")
    for warning in report.warnings or ["nothing odd was found"]:
        print(warning)


class Lines:
    """One plain line an epoch."""

    def __call__(self, session: Session, event: Event) -> None:
        """Write the line when its epoch is on the disk."""
        if isinstance(event, Epoch):
            say(line(session, event))

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar for the epoch under way, with a line above it for each that is done."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=Console(stderr=True),
            expand=True,
            # The default, 30 s, would forget the evaluation between two epochs.
            speed_estimate_period=300,
        )
        self._task: TaskID | None = None
        self._rate = Speed()

    def __call__(self, session: Session, event: Event) -> None:
        """Move the bar, or write an epoch's line above it."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(
                "", total=session.steps, completed=session.progress.step - 1, numbers=""
            )
        if isinstance(event, Step):
            self._step(session, event)
        elif isinstance(event, Epoch):
            self._progress.console.print(line(session, event), highlight=False)
            self._rate = Speed()

    def close(self) -> None:
        """Stop the bar and show the cursor again."""
        self._progress.stop()

    @property
    def finished(self) -> bool:
        """Tell whether the bar has come to its end."""
        return self._task is not None and self._progress.finished

    def _step(self, session: Session, step: Step) -> None:
        assert self._task is not None
        self._rate.add(step.pictures)
        progress = session.progress
        seen, kind = max(progress.pictures, 1), session.pictures["train"].split.kind
        numbers = (
            f"loss {progress.loss_sum / seen:.3f}  accuracy {percent(progress.correct / seen)}  "
            f"{self._rate.pictures_per_second():,.0f} {kind}/s"
        )
        self._progress.update(
            self._task,
            completed=step.number,
            description=f"epoch {step.epoch + 1}/{session.learner.recipe.epochs}",
            numbers=numbers,
        )


class Speed:
    """Pictures a second since it was made."""

    def __init__(self) -> None:
        self._began, self._pictures = time.monotonic(), 0

    def add(self, pictures: int) -> None:
        """Count pictures."""
        self._pictures += pictures

    def pictures_per_second(self) -> float:
        """Give the mean so far."""
        return self._pictures / max(time.monotonic() - self._began, 1e-9)


def line(session: Session, event: Epoch) -> str:
    """Write an epoch in one line."""
    row = event.row
    found = f"loss {row['train_loss']:.4f}  accuracy {percent(row['train_accuracy']):>8}"
    if "validation_accuracy" in row:
        found += (
            f"  |  validation loss {row['validation_loss']:.4f}  "
            f"accuracy {percent(row['validation_accuracy']):>8}"
        )
    mark = "  best" if event.best and "validation_accuracy" in row else ""
    total = session.learner.recipe.epochs
    number = f"epoch {row['epoch']:>{len(str(total))}}/{total}"
    return f"{number}  {found}  {duration(row['seconds'])}{mark}"


def place(path: Path) -> str:
    """Write a path as one would type it here: below this folder, from this folder on."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").rstrip(" %").replace(".", "", 1).isdigit()


def is_plain() -> bool:
    """Tell whether stderr is no terminal that can be drawn on."""
    dumb = os.environ.get("TERM") == "dumb"
    return bool(not sys.stderr.isatty() or os.environ.get("NO_COLOR") or dumb)
