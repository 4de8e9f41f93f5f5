"""What a person sees of a training, an evaluation and a report on data."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from striate import console
from striate.inspection import Report
from striate.training.loop import Step
from striate.training.session import Begun, Epoch, Event, Session
from striate.wording import counted, duration, percent, shown

WIDE = 72  # letters a line from which the bar has room for its speed
SHOWN = 0.1  # share of an epoch's steps that is waiting for data, from which it is shown


class View(Protocol):
    """Shows a training as it goes."""

    def __call__(self, session: Session, event: Event) -> None:
        """Show one event."""

    def watch(self, reading: console.Reading) -> None:
        """Show how far the reading before the first step has come."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def view() -> View:
    """Choose the bar on a terminal, lines for files, pipes and NO_COLOR."""
    return Lines() if console.is_plain() else Bar()


def balanced(found: Mapping[str, Any]) -> str:
    """Write the balanced accuracy beside an accuracy that it differs from."""
    own = found.get("balanced_accuracy", found["accuracy"])
    return "" if percent(own) == percent(found["accuracy"]) else f"  balanced {percent(own)}"


def print_report(report: Report) -> None:
    """Print what was found in data, the warnings last."""
    console.tell(report.layout)
    sizes = report.sizes
    height, width = (
        f"{found['smallest']}-{found['largest']}"
        if found["smallest"] < found["largest"]
        else f"{found['smallest']}"
        for found in (sizes["height"], sizes["width"])
    )
    console.tell(
        f"{height} x {width} pixels (height x width): "
        f"{sizes['grey']} grey, {sizes['colour']} in colour"
    )
    mean, std = (" ".join(f"{v:.4f}" for v in values) for values in (report.mean, report.std))
    console.tell(f"mean {mean}, standard deviation {std} of the training pixels on 0 to 1")
    console.table(
        ["class", *report.splits],
        [
            [name, *(f"{counts.get(split, 0)}" for split in report.splits)]
            for name, counts in report.classes.items()
        ],
    )
    for entry in report.unreadable:
        console.tell(f"unreadable: {entry.file}: {entry.reason}")
    for warning in report.warnings or ["nothing odd was found"]:
        console.tell(warning)


class Lines:
    """One plain line an epoch."""

    def __init__(self) -> None:
        self._work = ""

    def __call__(self, session: Session, event: Event) -> None:
        """Write the line when its epoch is on the disk."""
        if isinstance(event, Epoch):
            console.say("  ".join(parts(session, event)))

    def watch(self, reading: console.Reading) -> None:
        """Say once that pictures are being read, and what else is done with them."""
        if self._work != reading.work:
            self._work = reading.work
            console.say(f"{reading.work} {counted(reading.total, reading.kind)}")

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar for the reading, then the epoch under way, with a line above it for each done."""

    def __init__(self) -> None:
        self._progress = console.Strip(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=Console(stderr=True),
            expand=True,
            # The default, 30 s, would forget the evaluation between two epochs.
            speed_estimate_period=300,
        )
        self._progress.begin()
        self._task = self._progress.add_task("looking at the data", total=None, numbers="")
        self._rate = Speed()

    def __call__(self, session: Session, event: Event) -> None:
        """Move the bar, or write an epoch's line above it."""
        if isinstance(event, Begun):
            self._begin(session)
        elif isinstance(event, Step):
            self._step(session, event)
        elif isinstance(event, Epoch):
            self._above(_fitted(session, event, self._progress.console.width))
            self._rate = Speed()

    def watch(self, reading: console.Reading) -> None:
        """Show how many pictures have been read, and that more is done when all have."""
        if reading.done < reading.total:
            self._progress.update(
                self._task,
                description=f"{reading.work} {counted(reading.total, reading.kind)}",
                total=reading.total,
                completed=reading.done,
            )
        else:
            self._progress.reset(self._task, total=None, description="preparing")

    def close(self) -> None:
        """Stop the bar and show the cursor again."""
        self._progress.stop()

    @property
    def finished(self) -> bool:
        """Tell whether the bar has come to its end."""
        return self._progress.finished

    def _begin(self, session: Session) -> None:
        """Stand where the training stands: what came before is not of its speed."""
        self._progress.remove_task(self._task)
        done = session.progress
        self._task = self._progress.add_task(
            f"epoch {done.epochs + 1}/{session.learner.recipe.epochs}",
            total=session.steps,
            completed=done.step,
            numbers="",
        )
        self._rate = Speed()

    def _step(self, session: Session, step: Step) -> None:
        self._rate.add(step.pictures)
        progress = session.progress
        seen, kind = max(progress.pictures, 1), session.pictures["train"].split.kind
        numbers = f"loss {progress.loss_sum / seen:.3f}  {percent(progress.correct / seen)}"
        if self._progress.console.width >= WIDE:
            numbers += f"  {self._rate.pictures_per_second():,.0f} {kind}/s"
            if progress.waiting >= SHOWN:
                numbers += f"  waiting {percent(progress.waiting, 0)}"
        self._progress.update(
            self._task,
            completed=step.number,
            description=f"epoch {step.epoch + 1}/{session.learner.recipe.epochs}",
            numbers=numbers,
        )

    def _above(self, text: str) -> None:
        self._progress.console.print(console.plain(text), highlight=False, soft_wrap=True)


class Speed:
    """Pictures a second since it was made."""

    def __init__(self) -> None:
        self._began, self._pictures = time.monotonic(), 0

    def add(self, pictures: int) -> None:
        """Count pictures."""
        self._pictures += pictures

    def pictures_per_second(self) -> float:
        """Compute the mean so far."""
        return self._pictures / max(time.monotonic() - self._began, 1e-9)


def parts(session: Session, event: Epoch, *, short: bool = False) -> list[str]:
    """Write what an epoch's line has: its number, training, validation, the time, the mark."""
    row, total = event.row, session.learner.recipe.epochs
    loss, accuracy = ("", "") if short else ("loss ", "accuracy ")
    shares = [f"{accuracy}{percent(row.get('validation_accuracy')):>8}"]
    if session.learner.recipe.monitor == "balanced-accuracy":
        shares.append(f"balanced {percent(row.get('validation_balanced_accuracy')):>8}")
    written = [
        f"epoch {row['epoch']:>{len(str(total))}}/{total}",
        f"loss {row['train_loss']:.4f}  {accuracy}{percent(row['train_accuracy']):>8}",
    ]
    if "validation_accuracy" in row:
        written.append(f"validation {loss}{row['validation_loss']:.4f}  {'  '.join(shares)}")
    written.append(duration(row["seconds"]))
    if row["waiting"] >= SHOWN:
        written.append(f"waiting {percent(row['waiting'], 0)}")
    return [*written, "best"] if event.best and "validation_accuracy" in row else written


def place(path: Path) -> str:
    """Write a path as one would type it here: below this folder, from this folder on."""
    here = Path.cwd()
    return shown(path.relative_to(here) if path.is_relative_to(here) else path)


def _fitted(session: Session, event: Epoch, room: int) -> str:
    """Write an epoch in one line, if need be without the names of its numbers, else in two."""
    for short in (False, True):
        line = "  ".join(parts(session, event, short=short))
        if len(line) <= room:
            return line
    first, *rest = parts(session, event, short=True)
    return f"{first}  {rest[0]}\n" + " " * (len(first) + 2) + "  ".join(rest[1:])
