"""Command lines in several processes: training, answers, ends and restarts."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from processes import SECONDS, Processes, striate
from pyarrow import csv, parquet
from safetensors.torch import load_file
from torch import Tensor

from striate import cli

EXAMPLES = Path(__file__).parents[1] / "examples"


TINY = ("--arguments.width", 4, "--batch-size", 250, "--rate", 0.02, "--epochs", 2)


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "bundle" / "model.safetensors")


def history(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0.0, "waiting": 0.0} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Path:
    """A run of one process."""
    run: Path = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main([str(word) for word in ("train", "digits", *TINY, "-o", run)]) == 0
    return run


def same(run: Path, whole: Path) -> None:
    """Compare two runs: rounding apart they are one."""
    for found, expected in zip(history(run), history(whole), strict=True):
        assert found == pytest.approx(expected, rel=2e-3)
    result, expected = (json.loads((path / "result.json").read_text()) for path in (run, whole))
    assert result["accuracy"] == pytest.approx(expected["accuracy"], abs=0.006)  # 2 of 359
    assert (result["n"], result["step_size"]) == (expected["n"], 250)
    assert weights(run).keys() == weights(whole).keys()
    for name, value in weights(run).items():
        torch.testing.assert_close(value, weights(whole)[name], rtol=5e-3, atol=5e-3, msg=name)


def test_a_training_of_two_is_that_of_one(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = striate(tmp_path, 2, "train", "digits", *TINY, "-o", run, "--json").outcomes()
    assert [outcome.code for outcome in found] == [0, 0], found
    same(run, whole)
    document = json.loads(found[0].out)
    assert (document["processes"], document["step_size"]) == (2, 250)
    assert document["per_second"] > 0
    assert "2 processes share the 250 pictures of a step" in found[0].err
    assert (found[1].out, found[1].err) == ("", ""), "one of them speaks"


def _wait_for(path: Path, pattern: str, found: Processes) -> None:
    until = time.monotonic() + SECONDS
    while not list(path.glob(pattern)):
        alive = any(process.is_alive() for process in found.all)
        if not alive or time.monotonic() > until:
            pytest.fail(f"{[one.err for one in found.outcomes(1)]}")
        time.sleep(0.02)


def test_a_run_goes_on_with_more_and_with_fewer_processes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = striate(tmp_path / "two", 2, "train", "digits", *TINY, "-o", run)
    _wait_for(run, "checkpoints/step-000000006", begun)
    second = begun.all[1].pid
    assert second is not None
    for _ in range(2):  # as a scheduler and torchrun do: to one of them, and twice
        os.kill(second, signal.SIGTERM)
    found = begun.outcomes()
    said = found[0].err + found[1].err
    assert [outcome.code for outcome in found] == [143, 143], said
    assert len(re.findall("stopped after step", said)) == 1
    resumed = striate(tmp_path / "three", 3, "train", "--resume", run, "--save-every", 0)
    last = max(int(path.name[5:]) for path in run.glob("checkpoints/step-*"))
    if last < 11:
        _wait_for(run, f"checkpoints/step-{last + 1:09d}", resumed)
    first = resumed.all[0].pid
    assert first is not None
    os.kill(first, signal.SIGTERM)
    assert {outcome.code for outcome in resumed.outcomes()} <= {143, 0}
    assert cli.main(["train", "--resume", str(run)]) == 0
    same(run, whole)


def test_a_process_that_is_killed_ends_the_others(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = striate(tmp_path, 3, "train", "digits", *TINY[:-1], 500, "-o", run, "--save-every", 0)
    _wait_for(run, "checkpoints/step-00000000[2-9]", begun)
    begun.all[1].kill()
    since = time.monotonic()
    found = begun.outcomes()
    assert time.monotonic() - since < 20
    assert [found[0].code, found[2].code] == [1, 1]
    said = found[0].err + found[2].err
    assert said.count("another process of this work has ended") == 1, said
    assert "--resume RUN" in said
    assert "Traceback" not in said


def test_what_is_refused_is_said_once(tmp_path: Path) -> None:
    for words, expected in [
        (("train", "digits", "--model", "nosuch"), "unknown model 'nosuch'"),
        (("train", "digits", "--seeds", 2), "--seeds is of one process, and torchrun started 2"),
        (("train", "digits", "--rate", "find"), "--rate find is of one process"),
        (("describe", "lenet"), "striate describe is of one process, and torchrun started 2"),
        (("train", "digits", "--device", "cuda:1"), "--device cuda:1 is of one process"),
        (
            ("train", "digits", "--batch-statistics", "rank", "--batch-size", 3),
            "a batch of 2 has fewer than 2 pictures for each of 2 processes",
        ),
    ]:
        found = striate(tmp_path, 2, *words, "-o", tmp_path / "run").outcomes()
        said = found[0].err + found[1].err
        assert {outcome.code for outcome in found} <= {1, 2}, said
        assert 2 in {outcome.code for outcome in found}
        assert said.count(expected) == 1, said
        assert said.count("striate:") == 1, said


def rows(path: Path) -> list[dict[str, Any]]:
    """Read a table of any kind."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    read = {".parquet": parquet.read_table, ".csv": csv.read_csv}[path.suffix]
    found: list[dict[str, Any]] = read(path).to_pylist()
    return found


def test_answers_are_shared_and_each_picture_is_asked_about_once(
    whole: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "ring" / "broken.png").write_bytes(b"no picture")
    many = [f"{path}" for path in sorted(photos.glob("*/*.png"))]
    commands: dict[str, tuple[Any, ...]] = {
        "answers.csv": ("evaluate", whole, "--json", "-o"),
        "rows.jsonl": ("predict", whole, *many, "-o"),
        "vectors.parquet": ("embed", photos, "--model", whole, "-o"),
    }

    def carried_out(at: Path) -> list[int]:
        at.mkdir(exist_ok=True)
        return [
            cli.main([str(word) for word in (*words, at / name)])
            for name, words in commands.items()
        ]

    assert carried_out(tmp_path / "one") == [0, 0, 0]
    found = Processes(tmp_path, 3, lambda: carried_out(tmp_path / "all")).outcomes()
    assert [outcome.value for outcome in found] == 3 * [[0, 0, 0]], found
    assert "wrote" not in found[1].err + found[2].err + found[1].out + found[2].out
    for name in commands:
        one, all_ranks = (rows(tmp_path / at / name) for at in ("one", "all"))
        assert len(one) == len(all_ranks) >= 15
        for before, after in zip(one, all_ranks, strict=True):
            assert before.keys() == after.keys()
            for key, value in before.items():
                is_number = isinstance(value, float) or key == "vector"
                near = pytest.approx(value, rel=1e-4, abs=1e-5) if is_number else None
                assert after[key] == (near if is_number else value), key


def test_a_frozen_network_is_taught_by_two_as_by_one(whole: Path, tmp_path: Path) -> None:
    words = ("train", "digits", "--weights", whole, "--unfreeze-at", 1, *TINY, "-o")
    assert cli.main([str(word) for word in (*words, tmp_path / "one")]) == 0
    found = striate(tmp_path, 2, *words, tmp_path / "two").outcomes()
    assert [outcome.code for outcome in found] == [0, 0], found
    same(tmp_path / "two", tmp_path / "one")


FALLING = """
import os
import signal

from torch import nn


class Falling(nn.Sequential):
    def forward(self, x):
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
        if self.training and self[1].num_batches_tracked == 8 and first:
            if os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def net(channels: int, classes: int) -> nn.Module:
    layers = nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes)
    return Falling(nn.Conv2d(channels, 4, 8), *layers)
"""


# What Slurm has, on one host: srun begins the task, scontrol lists the hosts.
STUBS = {
    "srun": '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
    "scontrol": "#!/bin/bash\necho localhost\n",
    "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n',
}


def test_a_job_of_slurm_restarts_what_was_killed_and_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FALLING)
    for name, text in STUBS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", "net.py:net", "--epochs", "2", "--batch-size", "250"]
    given = {"SLURM_NNODES": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    more = {"PROCESSES": "2", "PORT": f"{port}", "OMP_NUM_THREADS": "1", "PATH": path}
    found = subprocess.run(
        ["bash", EXAMPLES / "train.sbatch", "digits", "run", *words],
        cwd=tmp_path,
        env={**os.environ, **given, **more},
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    assert found.returncode == 0, found.stderr
    assert "after 1 restart by torchrun: going on with the run in run" in found.stderr
    assert len(history(tmp_path / "run")) == 2
    assert json.loads((tmp_path / "run" / "result.json").read_text())["processes"] == 2


def test_the_job_of_kubernetes_is_one() -> None:
    job = yaml.safe_load((EXAMPLES / "pytorchjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    [container] = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert container["name"] == "pytorch"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(job["spec"]["nprocPerNode"])
    *shell, script = container["command"]
    assert shell == ["bash", "-c"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "-m striate train" in script


def test_a_restarted_process_takes_no_other_run_for_its_own(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "splits.parquet").write_bytes(b"a start that was killed")
    (tmp_path / "part" / ".lock").touch()
    for name, choices, code, said in [
        ("run", ("--seed", 1), 2, "is a run of other choices (seed)"),
        ("run", ("--rate", 0.3), 2, "is a run of other choices (rate)"),
        ("run", (), 0, "after 2 restarts by torchrun: going on with the run in"),
        ("part", ("--epochs", 1), 0, "test accuracy"),
    ]:
        flags: dict[Any, Any] = dict(zip(TINY[::2], TINY[1::2], strict=True))
        flags |= dict(zip(choices[::2], choices[1::2], strict=True))
        words = [word for flag in flags.items() for word in flag]
        more = {"TORCHELASTIC_RESTART_COUNT": "2"}
        found = striate(
            tmp_path, 1, "train", "digits", *words, "-o", tmp_path / name, **more
        ).outcomes()[0]
        assert found.code == code, found.err
        assert said in found.out + found.err
