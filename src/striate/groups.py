"""What Python users hold of several runs: compare() and what it gives."""

from collections.abc import Callable
from pathlib import Path

from striate import devices, seeing
from striate import report as reporting
from striate.api import Run
from striate.errors import UsageError
from striate.seeing import Standings
from striate.seeing.settings import read_finished
from striate.stopping import Poll, unheard

__all__ = ["compare"]


def compare(
    *runs: Run | Path | str,
    out: Path | str | None = None,
    trust_code: bool = False,
    device: str = "auto",
    workers: int | None = None,
    poll: Poll = unheard,
    tell: Callable[[str], None] = lambda _: None,
) -> Standings:
    """Set finished runs side by side: results, recipes, and who is right where another is wrong.

    Runs that differ in their seed alone are one setting; each setting is held against the first.
    With `out` an HTML file is written too. `tell` is given a line for what there cannot be.
    """
    if len(runs) < 2:
        raise UsageError("two runs or more are compared: name them, as in compare(first, second)")
    paths = [run.folder if isinstance(run, Run) else Path(run).expanduser() for run in runs]
    found = seeing.standings(seeing.settings([read_finished(path) for path in paths]))
    if out is not None:
        notes = reporting.write_comparison(
            Path(out).expanduser(),
            found,
            trust_code=trust_code,
            device=devices.pick(device),
            workers=workers,
            poll=poll,
        )
        for note in notes:
            tell(note)
    return found
