"""What a training survives: kill -9 at any moment, changed bits, full disks; one JSON document.

Example: OMP_NUM_THREADS=1 python benchmarks/durability.py --kills 60 --flips 2000 --faults
"""

import argparse
import contextlib
import errno
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import IO, Any, NamedTuple

from striate import files
from striate.errors import DataError

# A checkpoint after every step, so that many kills fall into a save.
TINY = ("digits", "--arguments.width", "4", "--epochs", "3", "--save-every", "0")
WEIGHTS = Path("bundle", "model.safetensors")
# Of the kills, how many hit a process that began with `python -m striate`, its imports included.
TRUE_PROCESSES = 5
ERRORS = (errno.ENOSPC, errno.EIO)


class CrashError(BaseException):
    """Stands for a power cut: no `except OSError` and no `except Exception` sees it."""


class _Disk:
    """Numbers the changes to the disk under a folder, and fails at one of them."""

    def __init__(self, under: Path, at: int, fail: Callable[[str], None]) -> None:
        self.done: list[str] = []
        self._inside, self._at, self._fail = under.resolve(), at, fail
        self._broken = False

    def count(self, name: str, target: Any) -> None:
        self.done.append(name)
        if self._broken or len(self.done) - 1 == self._at:
            self._broken = self._fail is crash  # a power cut stays
            self._fail(f"{name} {target}")

    def holds(self, target: Any) -> bool:
        return Path(target).resolve().is_relative_to(self._inside)

    def counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *arguments: Any, **options: Any) -> Any:
            by_number = isinstance(target, int) or options.get("dir_fd") is not None
            if by_number or self.holds(target):
                self.count(name, target)
            return real(target, *arguments, **options)

        return call

    def opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if isinstance(path, int) or "r" in mode or not self.holds(path):
                return real(path, mode, *arguments, **options)
            self.count("open", path)
            return _Writer(real(path, mode, *arguments, **options), self.count)

        return call


@contextlib.contextmanager
def faults(under: Path, at: int, fail: Callable[[str], None]) -> Iterator[list[str]]:
    """Number the changes to the disk under a folder and call `fail` at one of them.

    Gives the list of the operations so far. A write that fails leaves half of its bytes.
    """
    disk = _Disk(under, at, fail)
    names = ("open", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir")
    kept = [(os, name, getattr(os, name)) for name in names]
    try:
        for place, name, real in kept:
            setattr(place, name, disk.counted(f"os.{name}", real))
        kept.append((io, "open", io.open))
        setattr(io, "open", disk.opener(io.open))  # noqa: B010 - mypy refuses the assignment
        yield disk.done
    finally:
        for place, name, real in kept:
            setattr(place, name, real)


class _Writer:
    """A file whose every write is counted, and torn where it fails."""

    def __init__(self, handle: IO[bytes], count: Callable[..., None]) -> None:
        self._handle, self._count = handle, count

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._handle.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def write(self, content: bytes) -> int:
        try:
            self._count("write", self._handle.name)
        except BaseException:
            self._handle.write(content[: len(content) // 2])
            self._handle.flush()
            raise
        return self._handle.write(content)


def refuse(number: int) -> Callable[[str], None]:
    """Make the failure of a system call with this errno."""

    def fail(what: str) -> None:
        raise OSError(number, os.strerror(number), what)

    return fail


def crash(what: str) -> None:
    """Fail as a power cut does; every later operation fails as well."""
    raise CrashError(what)


class Ended(NamedTuple):
    """How a training's process ended."""

    code: int  # negative: killed by this signal
    seconds: float
    stderr: str


def forkserver() -> ForkServerContext:
    """Return processes that fork from one that has imported torch, and has run nothing of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["striate.api", "striate.terminal", "torch._dynamo", "sklearn.datasets"]
    )
    return context


def carry_out(arguments: list[str], log: str) -> None:
    """Be `striate ARGUMENTS` in this process, with both streams in a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from striate import cli

    sys.exit(cli.main(arguments))


def forked(
    context: ForkServerContext,
    arguments: list[str],
    *,
    kill: float | Callable[[], bool] | None = None,
    number: int = signal.SIGKILL,
) -> Ended:
    """Run a command in a forked process; send it a signal after `kill` seconds, or once true."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place, "log")
        process: ForkServerProcess = context.Process(target=carry_out, args=(arguments, str(log)))
        began = time.monotonic()
        process.start()
        assert process.pid is not None
        if callable(kill):
            while process.is_alive() and not kill():
                process.join(0.01)
        else:
            process.join(kill)
        if process.is_alive():
            os.kill(process.pid, number)
        process.join()
        assert process.exitcode is not None
        seconds = time.monotonic() - began
        return Ended(process.exitcode, seconds, log.read_text() if log.exists() else "")


def spawned(arguments: list[str], *, kill: float | None = None) -> Ended:
    """Run `python -m striate ARGUMENTS`; kill -9 it after `kill` seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "striate", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, stderr = process.communicate(timeout=kill)
    except subprocess.TimeoutExpired:
        process.kill()
        _, stderr = process.communicate()
    return Ended(process.returncode, time.monotonic() - began, stderr)


def acknowledged(run: Path, ended: Ended) -> int:
    """Return the last step that the training said it has saved: an epoch's line, or its stop."""
    epochs = len(re.findall(r"^epoch +\d+/\d+ ", ended.stderr, re.MULTILINE))
    stops = re.findall(r"stopped after step (\d+), saved", ended.stderr)
    return max([epochs * steps_an_epoch(run) if epochs else 0, *map(int, stops)])


def steps_an_epoch(run: Path) -> int:
    """Read from the run's own records how many steps an epoch has."""
    counts = json.loads((run / "data.json").read_text())["splits"]
    return -(-int(counts["train"]) // 128)


def weights(run: Path) -> str:
    """Return the SHA-256 of a run's final weights."""
    return hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()


def leftovers(run: Path) -> list[str]:
    """List the temporaries in a run."""
    return [str(path) for path in run.rglob(files.TEMPORARY + "*")]


def has_begun(run: Path) -> bool:
    """Tell whether a killed run can be continued."""
    from striate.runs import checkpoints, folder

    try:
        checkpoints.latest(run)
    except DataError:
        return False
    return bool(folder.is_run(run))


def kills(count: int, place: Path, random_: random.Random) -> dict[str, Any]:
    """Kill trainings at moments uniform over their duration, then continue each to the end."""
    context = forkserver()
    forked(context, ["train", *TINY, "-o", str(place / "warm")])
    whole = forked(context, ["train", *TINY, "-o", str(place / "whole")])
    true = spawned(["train", *TINY, "-o", str(place / "true")])
    assert whole.code == true.code == 0, whole.stderr + true.stderr
    expected = weights(place / "whole")
    assert weights(place / "true") == expected, "forked and true processes train differently"
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for number in range(count):
        run = place / f"killed-{number}"
        arguments = ["train", *TINY, "-o", str(run)]
        if number < TRUE_PROCESSES:
            ended = spawned(arguments, kill=random_.uniform(0, true.seconds))
        else:
            ended = forked(context, arguments, kill=random_.uniform(0, whole.seconds))
        begun = _after_kill(run, ended, counts)
        go_on = ["train", "--resume", str(run)] if begun else [*arguments, "--overwrite"]
        if begun and number % 3 == 0:  # the continuation may be killed as well
            second = forked(context, go_on, kill=random_.uniform(0, whole.seconds))
            counts["killed_twice"] += second.code == -signal.SIGKILL
        last = forked(context, go_on)
        counts["failed_to_continue"] += last.code != 0
        problems += [last.stderr[-500:]] if last.code else []
        counts["different_weights"] += last.code == 0 and weights(run) != expected
        counts["temporaries_left"] += len(leftovers(run))
        shutil.rmtree(run)
    return {
        "kills": count,
        "of_true_processes": min(count, TRUE_PROCESSES),
        "seconds_forked": round(whole.seconds, 2),
        "seconds_true": round(true.seconds, 2),
        **counts,
        "problems": problems,
    }


def _after_kill(run: Path, ended: Ended, counts: Counter[str]) -> bool:
    """Count what a killed training left, and tell whether it can be continued."""
    from striate.runs import checkpoints

    said, begun = acknowledged(run, ended), has_begun(run)
    counts["survived_to_the_end"] += ended.code == 0
    counts["temporaries_found_and_removed"] += len(leftovers(run))
    counts["killed_before_it_was_a_run"] += not begun
    counts["runs_without_a_checkpoint"] += not begun and (run / "recipe.toml").exists()
    reached = checkpoints.latest(run)[0].step if begun else 0
    counts["lost_acknowledged"] += reached < said
    counts["saved_within_an_epoch"] += begun and reached % steps_an_epoch(run) > 0
    return begun


def flips(count: int, place: Path, random_: random.Random) -> dict[str, Any]:
    """Change one bit or cut one file of the newest checkpoint; the previous good one must do."""
    from striate.runs import checkpoints

    run = place / "flips"
    ended = forked(forkserver(), ["train", *TINY, "-o", str(run)])
    assert ended.code == 0, ended.stderr
    newest, second = list(checkpoints.newest_first(run))[:2]
    found: dict[str, Any] = {
        "flips": 0,
        "cuts": 0,
        "undetected": 0,
        "wrong_fallback": 0,
        "unnamed": 0,
        "tracebacks": 0,
    }
    targets = sorted(path for path in (run / "checkpoints").rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in targets]
    for _ in range(count):
        # A bit of all the bits, or a file cut: large files are not the only ones that matter.
        chosen = (
            random_.choices(targets, sizes)[0]
            if random_.random() < 0.5
            else random_.choice(targets)
        )
        content = chosen.read_bytes()
        with _replaced(chosen, _damaged(content, random_, found)):
            try:
                step, damage = checkpoints.latest(run)
            except Exception:
                found["tracebacks"] += 1
                continue
            is_newest = chosen.parent == newest.path
            fallback = second.step if is_newest else newest.step
            found["wrong_fallback"] += step.step != fallback
            verified = [c.path for c in checkpoints.newest_first(run)]
            found["undetected"] += chosen.parent in verified
            found["unnamed"] += is_newest and not (damage and str(chosen) in damage[0])
    return found


def _damaged(content: bytes, random_: random.Random, found: dict[str, Any]) -> bytes:
    if random_.random() < 0.2:
        found["cuts"] += 1
        return content[: random_.randrange(len(content))]
    found["flips"] += 1
    place = random_.randrange(len(content))
    flipped = content[place] ^ (1 << random_.randrange(8))
    return content[:place] + bytes([flipped]) + content[place + 1 :]


@contextlib.contextmanager
def _replaced(path: Path, content: bytes) -> Iterator[None]:
    """Put a damaged copy in a file's place for a while."""
    aside = path.with_name("whole")
    path.rename(aside)
    path.write_bytes(content)
    try:
        yield
    finally:
        aside.replace(path)


def save_faults(place: Path) -> dict[str, Any]:
    """Refuse, or cut the power, at every operation of a save that prunes an older checkpoint."""
    from striate.runs import checkpoints

    run = place / "faults"
    ended = forked(forkserver(), ["train", *TINY, "-o", str(run)])
    assert ended.code == 0, ended.stderr
    newest, _ = checkpoints.latest(run)
    # Scored lower: so the save removes the oldest, neither the best nor among the newest two.
    following = {**newest.document, "state": {**newest.document["state"], "score": None}}
    following["state"]["step"] = newest.step + 1
    names = _operations(run, place / "copy", following, newest.blobs)
    found: dict[str, Any] = {
        "operations": len(names),
        "kinds": sorted(set(names)),
        "injected": 0,
        "not_a_data_error": 0,
        "no_path_or_reason": 0,
        "lost": 0,
        "temporaries_left": 0,
        "older_pruned_too_early": 0,
    }
    fails: list[tuple[str, Callable[[str], None]]] = [
        *((os.strerror(number), refuse(number)) for number in ERRORS),
        ("crash", crash),
    ]
    for reason, fail in fails:
        for at in range(len(names)):
            copy = place / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(run, copy)
            _inject(copy, at, fail, reason, following, newest, found)
    return found


def _operations(
    run: Path, copy: Path, document: dict[str, Any], blobs: dict[str, bytes]
) -> list[str]:
    from striate.runs import checkpoints

    shutil.copytree(run, copy)
    with faults(copy, -1, crash) as done:
        checkpoints.save(copy, document, blobs)
    return done


def _inject(  # noqa: PLR0913
    run: Path,
    at: int,
    fail: Callable[[str], None],
    reason: str,
    document: dict[str, Any],
    newest: Any,
    found: dict[str, Any],
) -> None:
    from striate.runs import checkpoints

    found["injected"] += 1
    try:
        with faults(run, at, fail):
            checkpoints.save(run, document, newest.blobs)
        found["not_a_data_error"] += 1  # it said that it was done
    except DataError as error:
        found["no_path_or_reason"] += not (str(run) in str(error) and reason in str(error))
    except CrashError:
        pass
    except OSError:
        found["not_a_data_error"] += 1
    for folder in (run, run / checkpoints.FOLDER):
        files.remove_stale(folder)
    try:
        found["lost"] += checkpoints.latest(run)[0].step < newest.step
        whole = list(checkpoints.newest_first(run))
        found["older_pruned_too_early"] += len(whole) < 2
    except DataError:
        found["lost"] += 1
    found["temporaries_left"] += len(leftovers(run))


def main() -> None:
    """Carry out what is asked for, in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="trainings to kill")
    parser.add_argument("--flips", type=int, default=0, help="bits to flip and files to cut")
    parser.add_argument("--faults", action="store_true", help="fail at each operation of a save")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tasks: dict[str, Callable[[Path, random.Random], dict[str, Any]]] = {}
    if given.kills:
        tasks["kills"] = lambda place, random_: kills(given.kills, place, random_)
    if given.flips:
        tasks["flips"] = lambda place, random_: flips(given.flips, place, random_)
    if given.faults:
        tasks["faults"] = lambda place, _: save_faults(place)
    document: dict[str, Any] = {"seed": given.seed, "processors": os.cpu_count()}
    for name, task in tasks.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            found = task(Path(place), random.Random(given.seed))
        document[name] = {**found, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
