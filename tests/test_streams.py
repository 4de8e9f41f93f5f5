"""stdout and stderr that are full, closed, or of few letters."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import cli, console
from striate import data as sources

TINY = ["--model", "mlp", "--arguments.hidden", "4", "--epochs", "1", "--batch-size", "512"]
FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert cli.main(["train", "digits", *TINY, "-o", str(path)]) == 0
    return path


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of sh in which STRIATE is the command."""
    words = {**os.environ, **environment, "STRIATE": f"{sys.executable} -m striate"}
    return subprocess.run(["sh", "-c", line], capture_output=True, env=words, check=False)


@pytest.mark.parametrize("where", [pytest.param(">/dev/full", marks=full), ">&-"])
@pytest.mark.parametrize("arguments", ["--version", "train --help"])
def test_results_that_cannot_be_written_are_one_line(where: str, arguments: str) -> None:
    found = shell(f"$STRIATE {arguments} {where}")
    assert found.returncode == 1
    (line,) = found.stderr.decode().splitlines()
    assert line.startswith("striate: cannot write to stdout: ")


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    found = shell("{ $STRIATE train --help; echo $? >&2; } | true")
    assert found.stderr.decode() in ("141\n", "0\n")


class Broken:
    """A stream that takes nothing."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def write(self, text: str) -> int:
        raise self.error if text else AssertionError

    def flush(self) -> None:
        raise self.error


ERRORS = [OSError(28, "No space left on device"), ValueError("closed file")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_progress_stops_a_training(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", Broken(error))
    assert cli.main(["train", "digits", *TINY, "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "result.json").exists()


def test_a_process_without_streams_trains(tmp_path: Path) -> None:
    r"""Started without stdin and stderr, in a folder and with a name that are no UTF-8."""
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    found = shell(f"cd {place}; $STRIATE train digits {' '.join(TINY)} -o $PWD/run <&- 2>&-")
    assert found.returncode == 0
    assert found.stdout.startswith(b"test accuracy")
    assert (place / "run" / "result.json").exists()
    command = json.loads((place / "run" / "environment.json").read_text())["command"]
    assert any(word.endswith("caf\\xe9/run") for word in command)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_letters_that_stdout_lacks_are_replaced(
    encoding: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / os.fsdecode("gr\u00fcn\u00df[b]".encode() + b"\xe9.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(photo)

    def printed(*more: str) -> str:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        assert cli.main(["predict", str(run), str(photo), *more]) == 0
        return stream.buffer.getvalue().decode(encoding)

    name = "gr\u00fcn\u00df[b]\\xe9.png"
    assert ("gr?n?[b]" if encoding == "ascii" else name) in printed()
    (row,) = json.loads(printed("--json"))
    assert row["file"] == f"{tmp_path}/{name}"
    assert printed("-o", str(tmp_path / "rows.jsonl")) == ""
    (written,) = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(written)["file"] == row["file"]


def test_the_streams_are_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert cli.main(["models"]) == 0
    assert (sys.stdout, sys.stderr) == before
    console.say("still there")
    assert capsys.readouterr().err == "still there\n"


def test_odd_names_go_through_a_fixed_table_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    r"""Bytes that are no UTF-8, a backslash, a newline and a name that looks escaped."""
    names = [os.fsdecode(b"caf\xe9.png"), "a\\b.png", "two\nlines.png", "\\xe9.png"]
    for label in ("[cat]", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, name in enumerate(names):
            pixels = np.random.default_rng([number, len(label)]).integers(0, 256, (16, 16))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / name)
    fixed = tmp_path / "clean.csv"
    assert cli.main(["data", str(tmp_path / "photos"), "--fix", str(fixed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unreadable"] == []
    found, before = (sources.find(place).splits["train"] for place in (fixed, tmp_path / "photos"))
    assert sorted(map(str, found.pictures)) == sorted(map(str, before.pictures))
    assert all(isinstance(path, Path) and path.exists() for path in found.pictures)
