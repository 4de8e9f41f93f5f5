"""Runs that differ in nothing but seed or fold, gathered as one setting."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from striate.errors import DataError, UsageError
from striate.runs import folder
from striate.wording import shown

VARIED = ("seed", "fold")  # choices that do not make another setting
# Of a name that several runs share, what stands at its end for one of them.
_NUMBERED = re.compile(r"[-_. ]*(?:seed|fold|run)?[-_. ]*\d*$", re.IGNORECASE)

Key = tuple[int, ...]  # the values of VARIED


class Trained(NamedTuple):
    """What the files of a run say, of which none is executed."""

    path: Path
    recipe: dict[str, Any]
    data: dict[str, Any]  # data.json
    result: dict[str, Any]  # empty of an unfinished one

    @property
    def key(self) -> Key:
        """By what it is told from the other runs of its setting."""
        return tuple(int(self.recipe.get(name) or 0) for name in VARIED)


class Setting(NamedTuple):
    """Runs that differ in their seed, or in their fold, alone."""

    name: str
    runs: tuple[Trained, ...]

    @property
    def by_key(self) -> dict[Key, Trained]:
        """The runs by seed and fold."""
        return {run.key: run for run in self.runs}


def read(path: Path) -> Trained:
    """Read what a run's files say of it."""
    whole = folder.require_whole(path)
    data = folder.read_json(whole, folder.DATA)
    return Trained(whole, folder.read_recipe(whole), data, folder.read_result(whole))


def read_finished(path: Path) -> Trained:
    """Read a run; DataError where it has no result yet."""
    found = read(path)
    if not found.result:
        raise DataError(f"{path} is not finished: continue it with `striate train --resume {path}`")
    return found


def settings(runs: Sequence[Trained]) -> list[Setting]:
    """Gather runs into settings, in the order of their first ones; no run is given twice."""
    places: set[Path] = set()
    alike: dict[str, list[Trained]] = {}
    for run in runs:
        place = run.path.resolve()
        if place in places:
            raise UsageError(f"{run.path} is given twice: name each run once")
        places.add(place)
        alike.setdefault(_signature(run), []).append(run)
    names = _unique([_name(members) for members in alike.values()], list(alike.values()))
    return [
        Setting(name, tuple(members)) for name, members in zip(names, alike.values(), strict=True)
    ]


def _signature(run: Trained) -> str:
    """Return what is equal for runs of one setting: all choices but VARIED, and the data."""
    choices = {name: value for name, value in run.recipe.items() if name not in VARIED}
    # The parts of a cross-validation differ by fold; of other runs they are the same or not.
    data = run.data["fingerprints"] if not run.recipe.get("folds") else run.data["origin"]["text"]
    return json.dumps([choices, data, run.data["classes"]], sort_keys=True)


def _name(members: Sequence[Trained]) -> str:
    first = members[0].path.resolve()
    if len(members) == 1:
        return shown(first.name)
    names = [member.path.resolve().name for member in members]
    same = [letters[0] for letters in itertools.takewhile(_is_one, zip(*names, strict=False))]
    return shown(_NUMBERED.sub("", "".join(same)) or first.parent.name)


def _is_one(letters: Sequence[str]) -> bool:
    return len(set(letters)) == 1


def _unique(names: Sequence[str], members: Sequence[Sequence[Trained]]) -> list[str]:
    """Write the folder before names that stand for several settings, then a number behind."""
    found: list[str] = []
    for name, runs in zip(names, members, strict=True):
        parent = shown(runs[0].path.resolve().parent.name)
        wide = f"{parent}/{name}" if names.count(name) > 1 and parent != name else name
        same = sum(other == wide or other.startswith(f"{wide} (") for other in found)
        found.append(f"{wide} ({same + 1})" if same else wide)
    return found
