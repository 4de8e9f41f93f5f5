"""Finished runs side by side, from folders of runs and of groups."""

from collections.abc import Callable, Iterable
from pathlib import Path

from striate import devices, seeing
from striate import report as reporting
from striate.api import Run
from striate.errors import DataError, UsageError
from striate.runs import group
from striate.seeing import Standings
from striate.seeing.settings import read_finished
from striate.stopping import Poll, unheard
from striate.wording import counted

from .group import Group

Tell = Callable[[str], None]


def compare(
    *runs: Run | Group | Path | str,
    out: Path | str | None = None,
    trust_code: bool = False,
    device: str = "auto",
    workers: int | None = None,
    poll: Poll = unheard,
    tell: Tell = lambda _: None,
) -> Standings:
    """Set finished runs side by side: results, recipes, and who is right where another is wrong.

    Runs that differ in their seed alone are one setting; each setting is held against the first. A
    group stands for its finished runs. With `out` an HTML file is written too. `tell` is given a
    line for what there cannot be.
    """
    paths = expanded(runs, tell)
    if len(paths) < 2:
        raise UsageError("two runs or more are compared: name them, as in compare(first, second)")
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


def expanded(runs: Iterable[Run | Group | Path | str], tell: Tell = lambda _: None) -> list[Path]:
    """Return the folders of runs; for a group those of its finished runs, and tell of others."""
    paths: list[Path] = []
    for one in runs:
        path = one.folder if isinstance(one, (Run, Group)) else Path(one).expanduser()
        if not group.is_group(path):
            paths.append(path)
            continue
        found = Group(path)
        if missing := len(found.choices) - len(found.runs):
            tell(f"{path}: {counted(missing, 'runs')} of {len(found.choices)} are not finished")
        if not found.runs:
            raise DataError(f"{path} has no finished run: the command that began it goes on")
        paths += [path / run.folder.name for run in found.runs]
    return paths
