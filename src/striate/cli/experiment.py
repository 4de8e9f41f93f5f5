"""`striate experiment`: the chapter's claims, listed and tried."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate import console
from striate.errors import Stopped
from striate.wording import counted, duration, shown

from .app import OUTPUT, RUN_OPTIONS, AsJson, Device, app, examples, print_json, switch

if TYPE_CHECKING:
    from striate.experiments import Event, Result


@app.command(
    help_epilogue=examples("""
    striate experiment
    striate experiment pooling --short
    striate experiment batchnorm --time 30m -o batchnorm/
""")
)
def experiment(
    name: Annotated[
        str | None, Parameter(help="Experiment; without one all are listed with their claims.")
    ] = None,
    /,
    *,
    short: Annotated[
        bool, switch("The short form: two minutes at most on two cores, for a first look.")
    ] = False,
    time: Annotated[
        str | None,
        Parameter(
            group=RUN_OPTIONS, help="End by then, as in 90s, 30m, 2h; the next call goes on."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        Parameter(group=RUN_OPTIONS, help="Repetitions. [default: the experiment's own]"),
    ] = None,
    device: Device = "auto",
    out: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=OUTPUT, help="Folder. [default: experiments/NAME or NAME-short]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a claim of the textbook's chapter: does it hold, by how much, and how sure is that?

    Rows are measured, kept as they come, judged by a fixed rule, and drawn. What a folder holds
    already is not measured again. STRIATE_DATA is the folder of the data sets.
    """
    if name is None:
        _list(as_json=as_json)
        return
    from striate.quantities import seconds

    limit = seconds(time) if time else None
    found = _carried_out(name, short=short, seeds=seeds, limit=limit, device=device, out=out)
    if as_json:
        print_json(found.to_json())
        return
    console.tell(f"{found.name}: {found.verdict.outcome}")
    console.tell(found.verdict.line)
    console.tell(f"{shown(found.folder / 'page.html')}: {counted(len(found.rows), 'rows')}")


def _list(*, as_json: bool) -> None:
    with console.working("loading"):
        from striate.experiments import summary
    rows = summary()
    if as_json:
        print_json(rows)
        return
    console.table(
        ["experiment", "short", "long", "claim"],
        [
            [
                row["experiment"],
                *(_minutes(row[f"{form}_minutes"]) for form in ("short", "long")),
                row["claim"],
            ]
            for row in rows
        ],
    )
    console.say("times are about those on two quiet cores: striate experiment NAME --short")


def _minutes(minutes: float) -> str:
    return duration(60 * minutes)


def _carried_out(name: str, *, limit: float | None, device: str, **choices: Any) -> "Result":
    """Run with a bar for each cell on a terminal, and a line for each one done."""
    with console.working("loading"):
        from striate import experiments
        from striate.stopping import Halt
    order = experiments.order(name, **choices)
    console.say(f"{name}: {order.size.about}; in {shown(order.folder)}")
    screen = Screen()
    halt = Halt(console.stopping(), screen.watch)
    with halt.listening(), screen:
        try:
            return experiments.carried_out(
                order, device=device, limit=limit, poll=halt.poll, show=screen.show
            )
        except Stopped as stop:
            raise Stopped(
                f"stopped: what was measured is in {shown(order.folder)}, and the same command "
                "goes on",
                stop.signal,
            ) from None


class Screen:
    """What a person sees of an experiment: how far the cell is that is under way."""

    def __init__(self) -> None:
        self._bar = contextlib.ExitStack()
        self._watch: console.Watch | None = None

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def watch(self, reading: console.Reading) -> None:
        """Show how far the cell has come."""
        if self._watch:
            self._watch(reading)

    def show(self, event: "Event") -> None:
        """Show one event."""
        from striate.experiments.conductor import Begun, Left, Measured, line, said

        self._bar.close()
        self._watch = None
        if isinstance(event, Begun):
            words = f"{event.number}/{event.total} {said(event.cell)}"
            self._watch = self._bar.enter_context(console.working(words))
        elif isinstance(event, Measured):
            console.say(line(event))
        elif isinstance(event, Left):
            left = counted(event.cells, "cells")
            console.say(f"the time is over with {left} left: the same command goes on")
