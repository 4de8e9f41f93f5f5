"""What a training survives: refused writes, power cuts at any operation, kill -9 at any moment."""

import errno
import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from striate import api, files, models
from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import DataError
from striate.models import Architecture
from striate.runs import bundle, checkpoints, folder

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
durability: Any = importlib.import_module("durability")

TINY = ("digits", "--arguments.width", "4", "--epochs", "2", "--save-every", "0.05")
PREPROCESSING = Preprocessing(size=(8, 8), channels=1, normalise="none")
ARCHITECTURE = Architecture("mlp", {"hidden": 2})
REFUSALS = [(errno.ENOSPC, "No space left on device"), (errno.EIO, "Input/output error")]


def content() -> dict[str, bytes]:
    net = models.build(ARCHITECTURE, 2, channels=1, size=(8, 8))
    return {**bundle.blobs(net, PREPROCESSING), checkpoints.OPTIMISER: b"state"}


CONTENT = content()


def save(run: Path, step: int, score: list[float] | None = None) -> None:
    document = bundle.card(ARCHITECTURE, PREPROCESSING, ("a", "b"))
    state = {"step": step, "score": score}
    checkpoints.save(run, {**document, "metrics": {"epoch": step}, "state": state}, CONTENT)


def start(run: Path) -> None:
    """Do what the start of a training writes."""
    folder.claim(run, overwrite=True)
    data = {"origin": {}, "fingerprints": {}, "classes": ["a", "b"]}
    folder.write_start(run, recipe={"epochs": 1}, data=data, splits={"train": [("x", "a")]})
    save(run, 0)


def saved(run: Path) -> None:
    """Save a checkpoint where one is pruned, and one of the same step is replaced."""
    save(run, 6)
    save(run, 6)


def end(run: Path) -> None:
    """Do what the end of a training writes, in place of an older bundle."""
    folder.write_history(run, [{"epoch": 1, "seconds": 0.1}])
    folder.write_bundle(run)
    result = {"accuracy": 0.5, "split": "test", "n": 2, "interval": [0.0, 1.0]}
    for name in (folder.PREDICTIONS, folder.OVERVIEW, folder.RESULT):
        files.write(run / name, files.json_bytes(result))


def trained(run: Path) -> Path:
    """Make a run of which the best checkpoint is none of the newest two."""
    start(run)
    next_start(run)
    for step, score in ((3, [0.9]), (4, [0.5]), (5, [0.4])):
        save(run, step, score)
    folder.write_bundle(run)
    return run


def next_start(run: Path) -> None:
    """Take the run as a new process does."""
    with files.lock(run / folder.LOCK):
        for place in (run, run / folder.CHECKPOINTS):
            files.remove_stale(place)


def count(act: Callable[[Path], None], whole: Path, copy: Path) -> int:
    shutil.copytree(whole, copy)
    with durability.faults(copy, -1, durability.crash) as done:
        act(copy)
    return len(done)


def copied(whole: Path, copy: Path) -> Path:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    return copy


def check(run: Path, act: Callable[[Path], None]) -> None:
    """See that nothing acknowledged is lost, that nothing is left over, and that it goes on."""
    next_start(run)
    assert not durability.leftovers(run)
    found, damage = checkpoints.latest(run)
    assert found.step >= 5
    assert not damage
    best = checkpoints.best(run)
    assert best is not None
    assert best.step == 3
    assert folder.load_bundle(run).metrics == {"epoch": 3}
    assert len(list(checkpoints.newest_first(run))) >= 3
    act(run)
    assert not durability.leftovers(run)
    assert folder.load_bundle(run / folder.BUNDLE).metrics == {"epoch": 3}


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk where the power cut is none: to sync is still an operation that can fail."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_a_file_is_synced_before_it_has_its_name_and_its_folder_after(tmp_path: Path) -> None:
    with durability.faults(tmp_path, -1, durability.crash) as done:
        files.write(tmp_path / "file", b"content")
    assert done == ["open", "write", "os.fsync", "os.replace", "os.open", "os.fsync"]
    with durability.faults(tmp_path, -1, durability.crash) as done:
        files.write_sealed(tmp_path / "folder", "card.json", {}, {"blob": b"content"})
    made = ["os.mkdir", "os.open", "os.fsync"]
    blobs = ["open", "write", "os.fsync"] * 2
    shown = ["os.open", "os.fsync", "os.rename", "os.open", "os.fsync"]
    assert done == [*made, *blobs, *shown, "os.unlink"]  # of an older one; here there is none


@pytest.mark.usefixtures("no_sync")
@pytest.mark.slow
@pytest.mark.parametrize("act", [saved, end])
@pytest.mark.parametrize(("number", "reason"), REFUSALS)
def test_every_refused_operation_is_reported_and_costs_nothing(
    tmp_path: Path, act: Callable[[Path], None], number: int, reason: str
) -> None:
    whole = trained(tmp_path / "whole")
    operations = count(act, whole, tmp_path / "copy")
    assert operations > 30
    for at in range(operations):
        run = copied(whole, tmp_path / "copy")
        with durability.faults(run, at, durability.refuse(number)):
            with pytest.raises(DataError, match=reason) as caught:
                act(run)
            assert str(run) in str(caught.value)
        check(run, act)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.slow
@pytest.mark.parametrize("act", [saved, end])
def test_a_power_cut_at_every_operation_costs_nothing(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    whole = trained(tmp_path / "whole")
    for at in range(count(act, whole, tmp_path / "copy")):
        run = copied(whole, tmp_path / "copy")
        with durability.faults(run, at, durability.crash), pytest.raises(durability.CrashError):
            act(run)
        check(run, act)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.slow
@pytest.mark.parametrize(("number", "reason"), [*REFUSALS, (0, "a power cut")])
def test_every_operation_of_a_start_may_fail(tmp_path: Path, number: int, reason: str) -> None:
    fail = durability.refuse(number) if number else durability.crash
    error = DataError if number else durability.CrashError
    (tmp_path / "old").mkdir()
    old = trained(tmp_path / "old" / "run")
    for at in range(count(lambda copy: start(copy / "run"), tmp_path / "old", tmp_path / "copy")):
        run = copied(tmp_path / "old", tmp_path / "copy") / "run"
        with durability.faults(run.parent, at, fail), pytest.raises(error) as caught:
            start(run)
        if number:
            assert reason in str(caught.value)
            assert str(run) in str(caught.value)
        start(run)
        assert not durability.leftovers(run.parent)
        assert {p.name for p in run.iterdir()} <= {p.name for p in old.iterdir()} - {folder.BUNDLE}
        assert checkpoints.latest(run)[0].step == 0


def exit_at(run: Path, at: int) -> None:
    """Save, and end this process at once at an operation."""
    with durability.faults(run, at, lambda _: os._exit(9)):
        saved(run)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.slow
def test_a_process_may_end_at_any_operation_of_a_save(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    context = durability.forkserver()
    for at in range(0, count(saved, whole, tmp_path / "copy"), 8):
        run = copied(whole, tmp_path / "copy")
        process = context.Process(target=exit_at, args=(run, at))
        process.start()
        process.join()
        assert process.exitcode == 9
        check(run, saved)


class Pictures:
    """Two classes of pictures, a dark and a light one."""

    classes = ("dark", "light")

    def __len__(self) -> int:
        return 24

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        values = torch.linspace(0, 0.5, 64).view(1, 8, 8) + place % 2 / 2
        return values, place % 2


def train(run: Path, **more: Any) -> None:
    choices = {"model": "mlp", "arguments": {"hidden": 2}, "epochs": 1, "batch_size": 8}
    whole: dict[str, Any] = {"out": run, "overwrite": True, **choices} | more
    api.train(Pictures(), **whole)


def proceed(run: Path) -> None:
    """Continue a run; train again what did not become one."""
    if durability.has_begun(run):
        api.train(Pictures(), resume=run)
    else:
        train(run)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.slow
def test_a_whole_training_may_be_refused_anywhere(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    expected = durability.weights(tmp_path / "whole")
    with durability.faults(tmp_path, -1, durability.crash) as done:
        train(tmp_path / "run")
    operations = len(done)
    assert operations > 100
    for place, at in enumerate(range(1, operations, operations // 10)):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        number, reason = REFUSALS[place % 2]
        fail = durability.refuse(number)
        with durability.faults(tmp_path, at, fail), pytest.raises(DataError, match=reason):
            train(tmp_path / "run")
        proceed(tmp_path / "run")
        assert durability.weights(tmp_path / "run") == expected
        assert not durability.leftovers(tmp_path)
        assert not json.loads((tmp_path / "run" / folder.RESULT).read_text()).get("error")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """Return the weights of an uninterrupted run, and its seconds."""
    run = tmp_path_factory.mktemp("whole") / "run"
    ended = durability.spawned(["train", *TINY, "-o", str(run)])
    assert ended.code == 0, ended.stderr
    ended = durability.forked(durability.forkserver(), ["train", *TINY, "-o", f"{run}-forked"])
    assert ended.code == 0, ended.stderr
    assert durability.weights(Path(f"{run}-forked")) == durability.weights(run)
    return durability.weights(run), ended.seconds


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, whole: tuple[str, float], share: float
) -> None:
    expected, seconds = whole
    context, run = durability.forkserver(), tmp_path / "run"
    arguments = ["train", *TINY, "-o", str(run)]
    ended = durability.forked(context, arguments, kill=share * seconds)
    said, begun = durability.acknowledged(run, ended), durability.has_begun(run)
    assert said == 0 or begun
    assert said == 0 or checkpoints.latest(run)[0].step >= said
    go_on = ["train", "--resume", str(run)] if begun else [*arguments, "--overwrite"]
    last = durability.forked(context, go_on)
    assert last.code == 0, last.stderr
    assert durability.weights(run) == expected
    assert not durability.leftovers(run)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_has_saved_its_state(tmp_path: Path, number: signal.Signals) -> None:
    context, run = durability.forkserver(), tmp_path / "run"
    arguments = ["train", "digits", "--arguments.width", "4", "--epochs", "9999", "-o", str(run)]
    begun = (run / folder.METRICS).exists
    ended = durability.forked(context, arguments, kill=begun, number=number)
    assert ended.code == 128 + number
    assert "stopped after step" in ended.stderr
    assert f"continue with `striate train --resume {run}`" in ended.stderr
    assert checkpoints.latest(run)[0].step == durability.acknowledged(run, ended)
    assert not durability.leftovers(run)
