"""Groups of runs: seeds, folds and sweeps; what is skipped, continued, refused, and chosen."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CLASSES, drawing
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import striate
from striate import cli
from striate.data.folds import parts
from striate.errors import DataError, Stopped, UsageError
from striate.groups import Group, summaries
from striate.runs import folder, group
from striate.stopping import Halt
from striate.training import conductor
from striate.training.session import Epoch
from striate.training.step import DivergedError

CHOICES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "size": 16,
    "arguments": {"width": 2},
}
FLAGS = ["--epochs", "2", "--batch-size", "8", "--size", "16", "--arguments.width", "2"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes in splits: 8 pictures each to train on, 3 to test."""
    place = tmp_path_factory.mktemp("drawn") / "photos"
    for split, count in (("train", 8), ("test", 3)):
        for kind in CLASSES:
            (place / split / kind).mkdir(parents=True)
            for number in range(count):
                pixels = drawing(kind, number + 100 * (split == "test"))
                Image.fromarray(pixels).save(place / split / kind / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def seeds(drawn: Path) -> Group:
    """Two runs of other seeds."""
    return striate.train_group(drawn, seeds=2, out=drawn.parent / "seeds", **CHOICES)


def weights(run: Path) -> str:
    document = json.loads((run / "bundle" / "model.json").read_text())
    found: str = document["files"]["model.safetensors"]["sha256"]
    return found


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60).map(lambda labels: np.array(labels)),
    st.integers(2, 7),
    st.integers(0, 3),
)
def test_each_example_is_held_once_and_parts_are_alike(
    labels: np.ndarray[Any, Any], folds: int, seed: int
) -> None:
    found = parts(labels, folds, seed=seed)
    assert found.shape == labels.shape
    assert set(found.tolist()) <= set(range(folds))
    sizes = np.bincount(found, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        counts = np.bincount(found[labels == label], minlength=folds)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(found, parts(labels, folds, seed=seed))


def test_a_group_is_runs_of_other_seeds(drawn: Path, seeds: Group, tmp_path: Path) -> None:
    assert [run.folder.name for run in seeds.runs] == ["seed-0", "seed-1"]
    assert seeds.mean == pytest.approx(np.mean([run.accuracy for run in seeds.runs]))
    assert seeds.sd == pytest.approx(np.std([run.accuracy for run in seeds.runs], ddof=1))
    alone = striate.train(drawn, out=tmp_path / "alone", seed=1, **CHOICES)
    assert weights(alone.folder) == weights(seeds.runs[1].folder)


def test_the_same_call_goes_on_and_adds_seeds(drawn: Path, seeds: Group, tmp_path: Path) -> None:
    place = tmp_path / "group"
    shutil.copytree(seeds.folder, place)
    (place / "seed-1" / folder.RESULT).unlink()  # as if it had been stopped
    before = (place / "seed-0" / folder.RESULT).stat().st_mtime_ns
    said: list[str] = []
    found = striate.train_group(drawn, seeds=3, out=place, tell=said.append, **CHOICES)
    assert [run.folder.name for run in found.runs] == ["seed-0", "seed-1", "seed-2"]
    assert (place / "seed-0" / folder.RESULT).stat().st_mtime_ns == before
    assert weights(place / "seed-1") == weights(seeds.folder / "seed-1")
    assert "run 1 of 3, seed-0: finished" in said
    again: list[str] = []
    striate.train_group(drawn, seeds=3, out=place, tell=again.append, **CHOICES)
    assert [line.rpartition(": ")[2] for line in again] == ["finished"] * 3


def test_a_signal_leaves_a_group_that_goes_on(drawn: Path, seeds: Group, tmp_path: Path) -> None:
    halt = Halt()

    def stop(session: Any, event: Any) -> None:
        if isinstance(event, Epoch) and session.folder.name == "seed-1":
            halt.signal = 2

    place = tmp_path / "group"
    with pytest.raises(Stopped, match="stopped, 1 of 2 runs finished in"):
        striate.train_group(drawn, seeds=2, out=place, halt=halt, show=stop, **CHOICES)
    assert Group(place).unfinished == ["seed-1"]
    found = striate.train_group(drawn, seeds=2, out=place, **CHOICES)
    assert found.unfinished == []
    for run in found.runs:
        assert weights(run.folder) == weights(seeds.folder / run.folder.name)


def listing(run: Path) -> Mapping[str, str]:
    rows = pq.read_table(run / folder.SPLITS).to_pylist()
    return {row["file"]: row["split"] for row in rows}


def test_folds_hold_each_training_picture_once(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "crossed"
    arguments = ["train", str(drawn), "--folds", "3", "-o", str(place), *FLAGS]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert "(24 pictures in all)" in said.out
    assert "part 2 of 3 is held out for validation (8 pictures)" in said.err
    found = Group(place)
    listings = [listing(run.folder) for run in found.runs]
    held = [name for one in listings for name, split in one.items() if split == "validation"]
    every = sorted(f"train/{kind}/{number}.png" for kind in CLASSES for number in range(8))
    assert sorted(held) == every
    for run, one in zip(found.runs, listings, strict=True):
        assert sorted(one) == every  # none of the test split
        assert run.split == "validation"
        assert run.recipe["validation_share"] == pytest.approx(1 / 3)
    part = striate.train(drawn, out=tmp_path / "part", folds=3, fold=2, **CHOICES)
    assert weights(part.folder) == weights(found.runs[1].folder)


def test_a_sweep_is_chosen_by_validation(
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = conductor.train

    def diverging(data: Any, choices: Any, *rest: Any, **how: Any) -> Any:
        if (choices["rate"], choices["seed"]) == (0.2, 1):
            raise DivergedError("the loss is not finite")
        return train(data, choices, *rest, **how)

    monkeypatch.setattr(conductor, "train", diverging)
    place = tmp_path / "sweep"
    arguments = ["sweep", str(drawn), "--rate", "0.05,0.2", "--seed", "0,1", "-o", str(place)]
    arguments += [*FLAGS, "--validation-share", "0.4"]
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differs"] == ["rate", "seed"]
    assert found["failed"] == {"rate-0.2-seed-1": "the loss is not finite"}
    both = {one["rate"]: one for one in found["ranking"]}
    rows = [row for row in found["runs"] if row["state"] == "finished" and row["rate"] == 0.05]
    shares = [row["validation_accuracy"] for row in rows]
    assert both[0.05]["runs"] == ["rate-0.05-seed-0", "rate-0.05-seed-1"]
    assert both[0.05]["validation_accuracy"] == pytest.approx(np.mean(shares))
    assert both[0.05]["sd"] == pytest.approx(np.std(shares, ddof=1))
    assert both[0.2]["sd"] is None
    ordered = [one["validation_accuracy"] for one in found["ranking"]]
    assert ordered == sorted(ordered, reverse=True)
    for row in rows:
        history = folder.read_history(place / row["run"])
        assert row["validation_accuracy"] == max(line["validation_accuracy"] for line in history)
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert f"best by validation: rate {found['ranking'][0]['rate']}" in said
    assert "left out: rate-0.2-seed-1: the loss is not finite" in said


def test_no_run_is_begun_after_the_time(drawn: Path, tmp_path: Path) -> None:
    found = striate.sweep(
        drawn, rate=[0.1, 0.2], seconds_in_all=-1, out=tmp_path / "sweep", **CHOICES
    )
    assert found.unfinished == ["rate-0.1", "rate-0.2"]
    assert found.runs == []
    with pytest.raises(DataError, match="no finished run"):
        found.best  # noqa: B018
    with pytest.raises(DataError, match="no finished run"):
        striate.compare(found, found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train DATA --seeds 1", "a group has two runs or more"),
        ("train DATA --seeds 2 --folds 2", "of seeds or of folds"),
        ("train DATA --folds 1", "2 to 1000"),
        ("train DATA --folds 99", "more than the 24 pictures"),
        ("train DATA --folds 3 --validation-share 0.3", "leave out --validation-share"),
        ("train DATA --fold 2", "give --folds as well"),
        ("train DATA --folds 3 --fold 4", "1 to 3, not 4"),
        ("train DATA --seeds 2 --resume GROUP", "leave out --resume"),
        ("train DATA --seeds 2 --overwrite --out GROUP", "choose another --out"),
        ("train DATA --seeds 2 --out GROUP", "is a group of other runs: "),
        ("train DATA --seeds 2 --out DATA", "is no group: choose another folder"),
        ("train --resume GROUP", "is a group of runs: give one of them"),
        ("sweep DATA --rate 0.1", "several values"),
        ("sweep DATA --rate 0.1,0.1", "0.1 twice"),
        ("sweep DATA --rate 0.1,x", "--rate takes numbers, not 'x'"),
        ("sweep DATA --rate 0.1,5000", "0 to 1000"),
        ("sweep DATA --model lenet,lenett", "did you mean lenet"),
        ("sweep DATA --model convnet,mlp --arguments.width 4", "unknown argument of mlp 'width'"),
        ("sweep DATA --arguments.width 4,0", "width of "),
        ("sweep DATA --monitor loss,accuracy", "the same for all runs"),
        ("sweep DATA --split-seed 0,1", "the same for all runs"),
        ("sweep DATA --folds 2 --rate 0.1,0.2", "leave it out"),
        ("sweep DATA --rate 0.1,0.2 --validation-share 0", "leaves none"),
        ("sweep DATA --rate 0.1,0.2 --time soon", "a time like 60s"),
        ("predict GROUP DATA", "is a group of runs: give one of them"),
        ("evaluate GROUP -o answers.csv", "--out is of one run"),
    ],
)
def test_what_cannot_be_is_one_line(  # noqa: PLR0913
    drawn: Path,
    seeds: Group,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    stand = {"DATA": str(drawn), "GROUP": str(seeds.folder)}
    assert cli.main([stand.get(word, word) for word in words.split()]) in (1, 2)
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert list(tmp_path.glob("runs/*")) == []


def test_a_group_is_one_line_of_the_runs(seeds: Group, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = summaries(seeds.folder.parent)
    assert (row["runs"], row["done"], row["varies"]) == (2, 2, ["seed"])
    assert row["accuracy"] == seeds.mean
    assert cli.main(["runs", str(seeds.folder.parent)]) == 0
    said = capsys.readouterr().out
    assert "2 seeds, batch_size 8" in said
    assert f"± {100 * (seeds.sd or 0):.2f} %" in said


def test_a_group_is_evaluated_run_by_run(seeds: Group, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(seeds.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == pytest.approx(seeds.mean)
    assert found["sd"] == pytest.approx(seeds.sd)
    assert [row["run"] for row in found["runs"]] == ["seed-0", "seed-1"]
    assert cli.main(["evaluate", str(seeds.folder)]) == 0
    assert "(mean ± standard deviation of 2 runs)" in capsys.readouterr().out


def test_groups_are_compared_by_seed(drawn: Path, seeds: Group, tmp_path: Path) -> None:
    choices = {**CHOICES, "arguments": {"width": 3}}
    other = striate.train_group(drawn, seeds=2, out=tmp_path / "wider", **choices)
    found = striate.compare(seeds, other)
    assert [setting.name for setting in found.settings] == ["seeds", "wider"]
    assert found.choices == {"arguments.width": [2, 3]}
    assert found.pairs[0].difference is not None
    assert found.pairs[0].difference.mean == pytest.approx(other.mean - seeds.mean)


def test_a_damaged_document_is_known(seeds: Group, tmp_path: Path) -> None:
    place = tmp_path / "group"
    shutil.copytree(seeds.folder, place)
    text = (place / group.GROUP).read_text()
    (place / group.GROUP).write_text(text.replace("seed-1", "seed-2", 1))
    with pytest.raises(DataError, match="is damaged"):
        Group(place).runs  # noqa: B018
    with pytest.raises(DataError, match="is no group of runs"):
        Group(tmp_path)


def test_a_seed_is_not_of_two_commands(drawn: Path, seeds: Group) -> None:
    with pytest.raises(UsageError, match="is a group of other runs: epochs is not the same"):
        striate.train_group(drawn, seeds=2, out=seeds.folder, **{**CHOICES, "epochs": 3})
    with pytest.raises(UsageError, match="give seeds=5 or folds=5"):
        striate.train_group(drawn)
