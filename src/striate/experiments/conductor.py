"""An experiment carried out: cell after cell, the finished ones skipped, then judged and drawn."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from striate import devices, figures, files
from striate.errors import UsageError
from striate.stopping import Poll, unheard
from striate.version import __version__
from striate.wording import counted, duration

from . import headlines, page, record
from .claim import UNDECIDED, Cell, Experiment, Form, Lab, Row, Rows, Verdict

OWN = ("seconds", "device")  # what is added to each row


class Begun(NamedTuple):
    """A cell is about to be measured."""

    number: int  # from 1
    total: int
    cell: Cell


class Measured(NamedTuple):
    """A cell is done and its rows are on the disk."""

    number: int
    total: int
    cell: Cell
    seconds: float


class Left(NamedTuple):
    """The time was over before these were measured."""

    cells: int


class Finished(NamedTuple):
    """What the rows say, and where everything is."""

    verdict: Verdict
    rows: Rows
    left: int  # cells that the time did not allow
    folder: Path
    seconds: float  # of all cells, also of earlier calls


class Order(NamedTuple):
    """What is to be done."""

    name: str
    experiment: Experiment
    form: str
    seeds: int
    command: str
    folder: Path

    @property
    def size(self) -> Form:
        """The form that is run."""
        return self.experiment.forms[self.form]

    def cells(self) -> list[Cell]:
        """List the cells of all seeds, seed after seed."""
        every = self.experiment.cells(self.size.settings)
        return [{**cell, "seed": seed} for seed in range(self.seeds) for cell in every]


def conduct(
    order: Order,
    *,
    device: str = "auto",
    limit: float | None = None,
    poll: Poll = unheard,
) -> Generator[Begun | Measured | Left | Finished]:
    """Measure what is missing, within a limit in seconds; then judge, draw and write the page.

    No cell is begun that would be likely to pass the limit: as long as the longest until now.
    """
    if order.seeds < 1:
        raise UsageError(f"--seeds is 1 or more, not {order.seeds}")
    lab = Lab(devices.pick(device), order.folder, poll)
    files.make_folder(order.folder)
    with files.lock(order.folder / record.LOCK):
        rows = record.begin(order.folder, _document(order))
        left = yield from _measure(order, rows, lab, limit)
        if left:
            yield Left(left)
        yield _finish(order, rows, left, lab)


def _measure(
    order: Order, rows: list[Row], lab: Lab, limit: float | None
) -> Generator[Begun | Measured, None, int]:
    """Measure the cells that have no rows yet; return how many are left when the time is over."""
    cells = order.cells()
    todo = [cell for cell in cells if not record.of_cell(rows, cell)]
    began, longest = time.monotonic(), 0.0
    for place, cell in enumerate(todo):
        passed = time.monotonic() - began
        if limit is not None and place and passed + longest > limit:
            return len(todo) - place
        number = len(cells) - len(todo) + place + 1
        yield Begun(number, len(cells), cell)
        start = time.monotonic()
        found = list(measured(order, cell, lab))
        seconds = time.monotonic() - start
        longest = max(longest, seconds)
        shared = {"seconds": round(seconds / len(found), 3), "device": lab.device.type}
        rows += [{**row, **shared} for row in found]
        record.write_rows(order.folder, rows)
        yield Measured(number, len(cells), cell, seconds)
    return 0


def measured(order: Order, cell: Cell, lab: Lab) -> Iterator[Row]:
    """Yield a cell's rows, which follow from the cell and its seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(devices.seed_of(int(cell["seed"])))
        for row in order.experiment.measure(cell, order.size.settings, lab):
            assert cell.items() <= {**row, **cell}.items()
            yield {**cell, **{key: value for key, value in row.items() if key not in cell}}


def judged(order: Order, rows: Rows) -> Verdict:
    """Apply the rule to the seeds of which every cell is measured."""
    whole = whole_seeds(order, rows)
    if not whole:
        return Verdict(UNDECIDED, "no seed has all its cells measured yet")
    return order.experiment.verdict([row for row in rows if row["seed"] in whole])


def whole_seeds(order: Order, rows: Rows) -> set[int]:
    """Return the seeds whose cells all have rows."""
    missing = {c["seed"] for c in order.cells() if not record.of_cell(list(rows), c)}
    return set(range(order.seeds)) - missing


def _finish(order: Order, rows: list[Row], left: int, lab: Lab) -> Finished:
    verdict = judged(order, rows)
    seconds = sum(row["seconds"] for row in rows)
    found = Finished(verdict, rows, left, order.folder, seconds)
    machine = _read(order.folder)["machine"]
    title = f"{order.name}: {verdict.outcome}"
    whole = [row for row in rows if row["seed"] in whole_seeds(order, rows)]
    if whole:
        panels = order.experiment.panels(whole)
        files.write(order.folder / record.FIGURE, figures.charts(title, panels))
        files.write(order.folder / record.DRAWING, figures.charts(title, panels, form="svg"))
    facts = page.Facts(
        name=order.name,
        experiment=order.experiment,
        form=order.form,
        verdict=verdict,
        seeds=len(whole_seeds(order, rows)),
        command=order.command,
        machine=machine,
        device=devices.describe(lab.device),
        seconds=seconds,
        left=left,
        beside=headlines.lines(order.name, whole) if whole else [],
        pictures=sorted(p.name for p in order.folder.glob("pictures-*.png")),
    )
    files.write(order.folder / record.PAGE, page.markdown(facts).encode())
    files.write(order.folder / record.BROWSED, page.html(facts, order.folder).encode())
    return found


def _read(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(files.read(folder / record.DOCUMENT))
    return found


def _document(order: Order) -> dict[str, Any]:
    return {
        "experiment": order.name,
        "form": order.form,
        "settings": json.loads(json.dumps(dict(order.size.settings))),
        "version": __version__,
        "machine": machine(),
    }


def machine() -> str:
    """Name the machine and the versions that matter."""
    import platform

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(models, name)
    return (
        f"{name}, {counted(devices.processors(), 'processors')}, {platform.system()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )


def line(event: Measured) -> str:
    """Say in a line what was measured."""
    return f"{event.number} of {event.total}: {said(event.cell)} ({duration(event.seconds)})"


def said(cell: Cell) -> str:
    """Write a cell as people read it.

    >>> said({"norm": "batch", "rate": 0.1, "seed": 2})
    'norm batch, rate 0.1, seed 2'
    """
    return ", ".join(f"{key} {value}" for key, value in cell.items())
