"""Trainings in TensorBoard and MLflow: what arrives there is what the run has written."""

import builtins
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import striate
from striate import cli
from striate.cli.app import usual
from striate.errors import DataError, Stopped
from striate.tracking import MLflow, TensorBoard, Tracker, showing
from striate.training.loop import Step

TINY: dict[str, Any] = {"arguments": {"width": 4}, "epochs": 2, "batch_size": 512}
WORDS = ["train", "digits", "--arguments.width", "4", "--epochs", "1", "--batch-size", "512"]


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/default")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def scalars(place: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(place)).Reload()
    return {
        tag: [(point.step, point.value) for point in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


class StopAfter:
    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, _: Any, event: Any) -> None:
        self.left -= isinstance(event, Step)
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)


def cut_and_resumed(run: Path, trackers: tuple[Tracker, Tracker]) -> striate.Run:
    """Train until the fourth step with one tracker, and on to the end with another."""
    with pytest.raises(Stopped):
        striate.train("digits", out=run, show=showing([trackers[0], StopAfter(4)]), **TINY)
    trackers[0].close()
    found = striate.train(resume=run, show=trackers[1])
    trackers[1].finish(found.result)
    trackers[1].close()
    return found


def test_tensorboard_has_every_step_and_epoch_once(tmp_path: Path) -> None:
    run = cut_and_resumed(tmp_path / "one", (TensorBoard(), TensorBoard()))
    found = scalars(tmp_path / "one" / "tensorboard")
    assert [step for step, _ in found["step/loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["step/rate"]] == [1, 2, 3, 4, 5, 6]
    for tag, key in (
        ("loss/train", "train_loss"),
        ("accuracy/validation", "validation_accuracy"),
        ("balanced_accuracy/validation", "validation_balanced_accuracy"),
        ("epoch/rate", "rate"),
    ):
        assert [step for step, _ in found[tag]] == [3, 6]
        assert [value for _, value in found[tag]] == pytest.approx(
            [row[key] for row in run.history]
        )
    ((step, accuracy),) = found["result/test_accuracy"]
    assert step == 6
    assert accuracy == pytest.approx(run.accuracy)


def test_mlflow_has_one_run_that_a_resumed_one_goes_on_with(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/store"
    run = cut_and_resumed(tmp_path / "one", (MLflow(uri), MLflow(uri)))
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("striate")
    assert experiment is not None
    (there,) = client.search_runs([experiment.experiment_id])
    assert json.loads((tmp_path / "one" / "mlflow.json").read_text()) == {
        "uri": uri,
        "run_id": there.info.run_id,
    }
    assert (there.info.run_name, there.info.status) == ("one", "FINISHED")
    assert there.data.tags["striate.run"] == str(tmp_path / "one")
    assert there.data.params == {key: str(value) for key, value in run.recipe.items()}
    for key in ("train_loss", "validation_accuracy", "rate", "seconds"):
        points = client.get_metric_history(there.info.run_id, key)
        assert [(point.step, point.value) for point in points] == [
            (row["step"], row[key]) for row in run.history
        ]
    assert there.data.metrics["test_accuracy"] == run.accuracy


def test_a_run_that_was_stopped_is_killed_there(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/store"
    tracker = MLflow(uri)
    with pytest.raises(Stopped):
        striate.train("digits", out=tmp_path / "one", show=showing([tracker, StopAfter(1)]), **TINY)
    tracker.close()
    known = json.loads((tmp_path / "one" / "mlflow.json").read_text())
    assert MlflowClient(tracking_uri=uri).get_run(known["run_id"]).info.status == "KILLED"


def test_a_training_goes_on_where_mlflow_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(MlflowClient, "log_batch", lost)
    tracker = MLflow(f"file://{tmp_path}/store")
    run = striate.train("digits", out=tmp_path / "one", show=tracker, **TINY)
    tracker.finish(run.result)
    tracker.close()
    said = [line for line in capsys.readouterr().err.splitlines() if "MLflow" in line]
    assert said == ["MLflow: connection refused: no more is sent, metrics.jsonl has it all"]


def test_the_command_tracks_beside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*WORDS, "-o", "runs/a", "--tensorboard", "--mlflow"]) == 0
    assert scalars(tmp_path / "runs" / "a" / "tensorboard")["loss/train"]
    assert (tmp_path / "default").is_dir()
    assert cli.main([*WORDS, "-o", "runs/a", "--overwrite", f"--tensorboard={tmp_path}/logs"]) == 0
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a"]
    assert not (tmp_path / "runs" / "a" / "tensorboard").exists()
    capsys.readouterr()
    assert cli.main([*WORDS, "-o", "runs/b", "--mlflow=nowhere://at-all"]) == 1
    assert "MLflow at nowhere://at-all: " in capsys.readouterr().err
    assert not (tmp_path / "runs" / "b").exists()


@pytest.mark.parametrize(
    ("flag", "library"), [("--tensorboard", "tensorboard"), ("--mlflow", "mlflow")]
)
def test_a_library_that_is_not_installed_is_named(
    flag: str,
    library: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == library or name == f"torch.utils.{library}":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert cli.main([*WORDS, "-o", str(tmp_path / "a"), flag]) == 2
    assert f"pip install {library}" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_mlflow_that_cannot_be_opened_is_said_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="MLflow at "):
        MLflow(f"file://{tmp_path}/file/below")


def test_a_flag_alone_stands_for_the_usual_place() -> None:
    assert usual(["train", "digits", "--mlflow", "--tensorboard=logs"]) == [
        "train",
        "digits",
        "--mlflow=",
        "--tensorboard=logs",
    ]
    assert usual(["train", "digits"]) == ["train", "digits"]
