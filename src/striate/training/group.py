"""A group of trainings in one folder: each begun, continued, or passed over where it is done."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from striate import files
from striate.data import Data
from striate.errors import Stopped, UsageError
from striate.runs import folder, group
from striate.stopping import Halt
from striate.usercode import Consent
from striate.version import __version__
from striate.wording import counted

from . import conductor, recipes
from .conductor import Happening
from .networks import architecture
from .start import Means
from .step import DivergedError


class Member(NamedTuple):
    """A run of the group: what comes next, or what became of it."""

    name: str
    line: str  # for people


class Plan(NamedTuple):
    """What a group is: its runs by name, each with the choices that are its own."""

    differs: tuple[str, ...]  # choices that are not the same in all
    runs: Mapping[str, Mapping[str, Any]]
    choices: Mapping[str, Any]  # of all; a network's arguments as `arguments.NAME`
    model: Any  # as `networks.architecture` takes it, where a run has none of its own


def seeds(choices: Mapping[str, Any], model: Any, count: int) -> Plan:
    """Plan runs that differ in their seed alone: from the one that is given on, else from 0."""
    if count < 2:
        raise UsageError(f"--seeds {count}: a group has two runs or more")
    first = int(choices.get("seed") or 0)
    rest = {name: value for name, value in choices.items() if name != "seed"}
    runs = {f"seed-{seed}": {"seed": seed} for seed in range(first, first + count)}
    return Plan(("seed",), runs, rest, model)


def folds(choices: Mapping[str, Any], model: Any, count: int) -> Plan:
    """Plan a cross-validation: a run for each part that is held out."""
    if not 2 <= count <= 1000:
        raise UsageError(f"--folds lies in 2 to 1000, not {count}")
    rest = {name: value for name, value in choices.items() if name != "fold"}
    runs = {f"fold-{fold}": {"fold": fold} for fold in range(1, count + 1)}
    return Plan(("fold",), runs, {**rest, "folds": count}, model)


def train(  # noqa: PLR0913
    data: Data,
    plan: Plan,
    *,
    path: Path,
    means: Means,
    halt: Halt,
    until: float | None = None,
    trust_code: bool = False,
) -> Generator[Happening | Member]:
    """Train the runs of a group that are not finished; yields what happens in each, and Members.

    No run is begun after `until` (of time.monotonic). A run whose numbers are not finite is left
    out and noted. Raises UsageError, DataError, and Stopped once the state of a run is saved.
    """
    files.make_folder(path)
    with _removed_unless_begun(path), files.lock(path / group.LOCK):
        files.remove_stale(path)
        document = _noted(path, data, plan)
        for number, (name, own) in enumerate(plan.runs.items(), 1):
            run, where = path / name, f"run {number} of {len(plan.runs)}, {name}"
            if done := _over(run, document):
                yield Member(name, f"{where}: {done}")
                continue
            if until is not None and time.monotonic() > until:
                yield Member(name, f"{where}: not begun, as the time is over")
                continue
            yield Member(name, where)
            try:
                with _told(path, len(plan.runs)):
                    yield from _carried_out(
                        data,
                        whole(plan, own, data),
                        run,
                        means=means,
                        halt=halt,
                        trust_code=trust_code,
                    )
            except DivergedError as error:
                document["failed"][name] = str(error)
                group.write(path, document)
                yield Member(name, f"{name} is left out: {error}")


@contextlib.contextmanager
def _removed_unless_begun(path: Path) -> Iterator[None]:
    """Remove a group of which no run was begun; what else may lie in its folder stays."""
    try:
        yield
    except BaseException:
        if all(one.name in (group.GROUP, group.LOCK) for one in path.iterdir()):
            files.remove(path)
        raise


def _over(run: Path, document: Mapping[str, Any]) -> str | None:
    """Say why there is nothing to do for a run."""
    if run.name in document["failed"]:
        return f"left out: {document['failed'][run.name]}"
    return "finished" if folder.is_run(run) and folder.read_result(run) else None


def _carried_out(
    data: Data,
    chosen: tuple[Mapping[str, Any], Any],
    run: Path,
    *,
    means: Means,
    halt: Halt,
    trust_code: bool,
) -> Iterator[Happening]:
    halt.poll()
    if folder.is_run(run):
        consent = Consent(run, trust_code)
        yield from conductor.resume(run, data, {}, means=means, halt=halt, consent=consent)
        return
    choices, model = chosen
    built, initial = architecture(model, choices, data)
    # What a killed process left before the run's start is no run, and is replaced.
    yield from conductor.train(
        data, choices, built, run=run, means=means, halt=halt, initial=initial, overwrite=True
    )


def whole(plan: Plan, own: Mapping[str, Any], data: Data) -> tuple[dict[str, Any], Any]:
    """Return the choices of one run, those of a named recipe beneath them, and its network."""
    choices: dict[str, Any] = {"arguments": {}}
    for name, value in (*plan.choices.items(), *own.items()):
        if name == "arguments":
            choices["arguments"] |= value
        elif name.startswith("arguments."):
            choices["arguments"][name.removeprefix("arguments.")] = value
        else:
            choices[name] = value
    model = choices.pop("model", plan.model)
    if not choices["arguments"]:
        del choices["arguments"]
    network, found = recipes.applied(model, choices, data.name)
    return found, network


def _noted(path: Path, data: Data, plan: Plan) -> dict[str, Any]:
    """Write what the group is; UsageError where the folder holds another, or something else."""
    document = described(data, plan)
    if not group.is_group(path):
        others = [one.name for one in path.iterdir() if one.name != group.LOCK]
        if others:
            raise UsageError(
                f"{path} holds {others[0]} and is no group: choose another folder with --out"
            )
    else:
        before = group.read(path)
        if other := group.difference(before, document):
            raise UsageError(
                f"{path} is a group of other runs: {other} is not the same; give the choices that "
                "it was begun with, or choose another folder with --out"
            )
        document["runs"] = {**before["runs"], **document["runs"]}
        document["failed"] = before["failed"]
    group.write(path, document)
    return document


def described(data: Data, plan: Plan) -> dict[str, Any]:
    """Return the document of a group."""
    choices, model = whole(plan, next(iter(plan.runs.values())), data)
    built, _ = architecture(model, choices, data)
    of_all = "model" not in plan.differs
    document = {
        "format": group.FORMAT,
        "striate": __version__,
        "differs": list(plan.differs),
        "data": data.origin.text,
        "model": built.name if of_all else "",
        "code": files.sha256(built.source.encode()) if of_all and built.source else None,
        "choices": {name: value for name, value in plan.choices.items() if value is not None},
        "runs": {name: dict(own) for name, own in plan.runs.items()},
        "failed": {},
    }
    # As it will be read: lists for tuples, text for paths.
    found: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return found


@contextlib.contextmanager
def _told(path: Path, runs: int) -> Iterator[None]:
    """Say how a group goes on that a signal has stopped."""
    try:
        yield
    except Stopped as stop:
        finished = sum(bool(folder.read_result(run)) for run in group.members(path))
        raise Stopped(
            f"stopped, {finished} of {counted(runs, 'runs')} finished in {path}: the same command "
            "goes on",
            stop.signal,
        ) from None
