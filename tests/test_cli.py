"""The commands: exit codes, what goes to stdout, what stays behind."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate import cli, data
from striate.choices import flag
from striate.cli.app import DATA_HELP
from striate.errors import SYNONYMS
from striate.painting.settings import Settings
from striate.training import recipe as recipes
from striate.wording import percent

TINY = ["--arguments.width", "4", "--epochs", "1", "--batch-size", "256"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert cli.main(["train", "digits", *TINY, "-o", str(path)]) == 0
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of complaint."""
    said = capsys.readouterr().err.strip().splitlines()
    found = [line for line in said if not line.startswith("reading ")]
    assert len(found) == 1, found
    assert found[0].startswith("striate: ")
    return found[0]


def test_training_prints_one_json_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", *TINY, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert set(found) == {
        "run",
        "accuracy",
        "split",
        "kind",
        "leak",
        "n",
        "interval",
        "balanced_accuracy",
        "top5",
        "loss",
        "epochs",
        "best_epoch",
        "ended",
        "train_seconds",
        "parameters",
        "processes",
        "step_size",
        "per_second",
    }
    assert found["run"] == "runs/digits-convnet-1"
    assert (here / found["run"] / "bundle" / "model.json").exists()
    assert found["split"] == "test"
    assert 0 <= found["accuracy"] <= 1
    assert "epoch 1/1" in captured.err


def test_the_next_run_gets_the_next_number(here: Path) -> None:
    for _ in range(2):
        assert cli.main(["train", "digits", *TINY]) == 0
    assert sorted(path.name for path in (here / "runs").iterdir()) == [
        "digits-convnet-1",
        "digits-convnet-2",
    ]


def test_a_folder_in_the_way_is_a_usage_error_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert cli.main(["train", "digits", *TINY, "-o", str(tmp_path)]) == 2
    assert "is not empty" in one_line(capsys)
    assert cli.main(["train", "digits", *TINY, "-o", str(tmp_path), "--overwrite"]) == 2
    assert "--overwrite replaces runs and nothing else" in one_line(capsys)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_run_is_replaced_when_that_is_asked_for(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        arguments = ["train", "digits", *TINY, "-o", str(tmp_path / "run"), "--overwrite"]
        assert cli.main([*arguments, "--seed", seed]) == 0
    assert "seed = 2" in (tmp_path / "run" / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "digist"], 2, "did you mean digits"),
        (["train", "digits", "--model", "convnett"], 2, "did you mean convnet"),
        (["train", "digits", "--model", "torchvision/resnet19"], 2, "did you mean resnet1"),
        (["train", "digits", "--epoch", "3"], 2, "--epochs"),
        (["train", "digits", "--epochs", "many"], 2, "many"),
        (["train", "digits", "--epochs", "0"], 2, "--epochs lies in 1"),
        (["train", "digits", "--optimiser", "sdg"], 2, "did you mean sgd"),
        (["train", "digits", "--arguments.wide", "3"], 2, "wide"),
        (["train", "digits", "--device", "gpu"], 2, "choose one of auto, cpu, cuda, mps"),
        (["train", "digits", "--precision", "bf16"], 2, "bfloat16"),
        (["train", "digits", "--size", "2"], 2, "4x4"),
        (["train", "digits", "--normalise", "imagenet"], 2, "--colour rgb"),
        (["train", "digits", "--config", "no.toml"], 2, "no.toml"),
        (["train", "digits", "--weights", "no.bin"], 2, "no.bin"),
        (["train", "digits", "--weights", "no.safetensors"], 1, "no.safetensors"),
        (["train", "digits", "--pretrained"], 2, "no published weights"),
        (["train"], 2, "DATA is missing"),
        (["train", "no/such/folder"], 1, "no file or folder no/such/folder"),
        (["train", "--resume", "no-run"], 1, "does not exist"),
        (["train", "--resume", "no-run", "--out", "x"], 2, "leave out --out and --overwrite"),
        (["train", "--resume", "no-run", "--overwrite"], 2, "leave out --out and --overwrite"),
        (["train", "digits", "--path-column", "x"], 2, "of tables, and digits is none"),
        (["trian", "digits"], 2, "train"),
        (["evaluate", "no-run"], 1, "does not exist"),
        (["predict", "no-run", "x.png"], 1, "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], code: int, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.rglob("*"))
    assert cli.main(arguments) == code
    assert said in one_line(capsys)
    left = [path for path in here.rglob("*") if path not in before and path.name != "runs"]
    assert left == []


def test_a_config_file_is_read_and_flags_win(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "my.toml").write_text("epochs = 7\nseed = 3\nbatch_size = 32\n[arguments]\nwidth = 6\n")
    monkeypatch.setenv("STRIATE_TRAIN_BATCH_SIZE", "16")
    asked = ["train", "digits", "--config", "my.toml", "--seed", "4", "--print-config"]
    assert cli.main(asked) == 0
    found = capsys.readouterr().out
    for line in ("epochs = 7", "seed = 4", "batch_size = 16", "width = 6", "crop_padding = 1"):
        assert line in found.splitlines()
    assert list(here.iterdir()) == [here / "my.toml"]


def test_an_unknown_key_in_the_config_file_is_a_usage_error(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "my.toml").write_text("epoch = 7\n")
    assert cli.main(["train", "digits", "--config", "my.toml"]) == 2
    assert "did you mean epochs" in one_line(capsys)


def test_show_draws_what_training_would_see_and_trains_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", "digits", *TINY, "--cutmix", "1", "--show"]
    assert cli.main([*asked, "sheet.png"]) == 0
    assert (here / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in here.iterdir()] == ["sheet.png"]
    assert cli.main([*asked, "sheet.jpg"]) == 2
    assert "--show writes a .png file, not sheet.jpg" in capsys.readouterr().err
    assert cli.main(["train", "--show", "sheet.png"]) == 2
    assert "--show draws pictures of DATA" in capsys.readouterr().err


def test_a_printed_config_trains_the_same_run(
    here: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["train", "digits", *TINY, "--print-config"]) == 0
    (here / "printed.toml").write_text(capsys.readouterr().out)
    assert cli.main(["train", "digits", "--config", "printed.toml", "-o", "again"]) == 0
    weights = [path / "bundle" / "model.safetensors" for path in (run, here / "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_evaluation_prints_the_documented_keys(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"accuracy", "top5", "n", "interval", "per_class", "confusions"} <= set(found)
    assert cli.main(["evaluate", str(run)]) == 0
    text = capsys.readouterr().out
    assert f"test accuracy {percent(found['accuracy'])}" in text
    assert "precision" in text


def test_evaluation_draws_its_confusion(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(run), "--confusion", "confusion.png"]) == 0
    assert "wrote confusion.png" in capsys.readouterr().err
    with Image.open(here / "confusion.png") as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 1000
    assert cli.main(["evaluate", str(run), "--confusion", "confusion.jpg"]) == 2
    assert "--confusion is a .png file" in one_line(capsys)


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("--epochs", "a whole number"),
        ("--ema", "a number"),
        ("--rate", "a number or find"),
        ("--batch-size", "a whole number or auto"),
    ],
)
def test_what_a_flag_takes_is_said_in_words(
    flag: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "digits", flag, "many"]) == 2
    assert one_line(capsys) == f"striate: {flag} takes {wanted}, not 'many'"


def test_arguments_are_given_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", "--arguments", "width=8"]) == 2
    assert one_line(capsys) == "striate: --arguments takes a name: --arguments.NAME VALUE"


def test_an_unknown_split_is_a_usage_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(run), "--split", "tests"]) == 2
    assert "it has" in one_line(capsys)


def test_prediction_fails_only_if_nothing_could_be_read(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.png").write_bytes(b"no picture")
    assert cli.main(["predict", str(run), "bad.png", "missing.png", "--json"]) == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [bool(row["error"]) for row in rows] == [True, True]
    assert "none of the pictures could be read" in captured.err
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(here / "good.png")
    assert cli.main(["predict", str(run), "bad.png", "good.png"]) == 0
    text = capsys.readouterr().out
    assert "unreadable" in text
    assert "good.png" in text


def test_runs_are_listed_the_best_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("0", "1"):
        assert cli.main(["train", "digits", *TINY, "--seed", seed]) == 0
    (here / "runs" / "no-run").mkdir()
    capsys.readouterr()
    assert cli.main(["runs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2
    assert rows[0]["accuracy"] >= rows[1]["accuracy"]
    assert cli.main(["runs"]) == 0
    assert "digits-convnet-1" in capsys.readouterr().out


def test_runs_stand_by_their_data_with_what_differs(
    here: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlp = ["--model", "mlp", "--arguments.hidden", "4", "--batch-size", "512"]
    asked = [["digits", *mlp, "--epochs", "1", "--seed", seed] for seed in ("0", "1")]
    asked += [[str(photos), *mlp, "--epochs", "1"]]
    for given in asked:
        assert cli.main(["train", *given]) == 0
    (here / "runs" / "digits-mlp-2" / "result.json").unlink()
    (here / "runs" / "digits-mlp-2" / "metrics.jsonl").unlink()
    capsys.readouterr()
    assert cli.main(["runs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["differs"] for row in rows if row["data"] == "digits"] == [{"seed": 0}, {"seed": 1}]
    assert all(row["train_seconds"] > 0 for row in rows), "the checkpoint knows"
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("run ")]
    assert lines[heads[0] - 1].startswith(str(photos))
    assert lines[heads[1] - 1] == "digits, 359 examples of its test split"
    assert re.search(r"digits-mlp-1 .* %.* seed 0$", lines[heads[1] + 1])
    assert re.search(r"digits-mlp-2 .* unfinished .* seed 1$", lines[heads[1] + 2])


def theirs() -> list[tuple[str, str]]:
    """List the flags of other programs that a training understands, and ours."""
    names = {*recipes.names(), "workers", "out"}
    return [(theirs, ours) for theirs, ours in SYNONYMS.items() if ours in names]


VALUES = {"rate": "0.25", "model": "mlp", "optimiser": "adamw", "colour": "rgb", "schedule": "step"}


@pytest.mark.parametrize(("word", "ours"), theirs())
def test_flags_of_other_programs_are_understood(
    word: str, ours: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {**VALUES, "normalise": "none", "label_smoothing": "0.25"}.get(ours, "8")
    printed = []
    for written in (flag(word), flag(ours)):
        assert cli.main(["train", "digits", written, value, "--print-config"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert list(here.iterdir()) == []
    if ours in recipes.names():
        (here / "my.toml").write_text(f"{word} = 1\n")
        assert cli.main(["train", "digits", "--config", "my.toml"]) == 2
        assert f"did you mean {ours}?" in one_line(capsys)


def test_a_command_without_such_a_flag_says_what_was_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["paint", "a.png", "b.png", "--lr", "1"]) == 2
    assert "--lr" in one_line(capsys)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_is_written_after_it_was_said_and_agreed_to(
    shell: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    asked = ["--install-completion", "--shell", shell]
    assert cli.main(asked) == 2
    said = one_line(capsys)
    assert list(here.iterdir()) == []
    assert cli.main([*asked, "--yes"]) == 0
    written = {str(path) for path in here.rglob("*") if path.is_file()}
    assert written == set(re.findall(rf"{re.escape(str(here))}[^\s,:]*", said))
    assert set(re.findall(rf"{here}[^\s,:]*", capsys.readouterr().err)) == written


def test_no_runs_is_no_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert here
    assert cli.main(["runs"]) == 0
    assert "no runs" in capsys.readouterr().err


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    rows = {row.pop("name"): row for row in json.loads(capsys.readouterr().out)}
    assert {"mlp", "convnet", "mnist-convnet", "mnist-convnet-listed"} <= set(rows)
    assert rows["vgg16"]["smallest"] == 32
    assert rows["resnet50"]["arguments"] == {"norm": "batch", "width": 64, "stride_in_1x1": False}
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-3]] == list(rows)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--arguments.norm", "group", "--arguments.stride_in_1x1", "true"], 0, ""),
        (["--arguments.norm", "gruop"], 2, "unknown norm of resnet50 'gruop': did you mean group"),
        (["--arguments.stride_in_1x1", "yes"], 2, "is true or false, not 'yes'"),
    ],
)
def test_a_networks_arguments_are_flags(
    given: list[str], code: int, words: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photos.parent / "bottlenecks"
    arguments = ["train", str(photos), "--model", "resnet50", "--arguments.width", "2", *given]
    assert cli.main([*arguments, "--epochs", "1", "--out", str(out)]) == code
    assert words in capsys.readouterr().err
    if code == 0:
        net = striate.load(out).model
        assert not [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert net.get_submodule("layer2.0.conv1").stride == (2, 2)


def test_a_network_refuses_before_pictures_are_read(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = photos / "cross" / "0.png"
    picture.write_bytes(picture.read_bytes()[:40])  # its header can be read, its pixels cannot
    arguments = ["train", str(photos), "--size", "32", "--strict"]
    assert cli.main([*arguments, "--model", "alexnet"]) == 2
    assert "alexnet needs pictures of 63x63 or more, not 32x32" in one_line(capsys)
    assert cli.main([*arguments, "--model", "mlp"]) == 1
    assert "0.png" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "runs"])
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"striate {command}" in text
    assert "--json" in text


def test_every_choice_of_a_recipe_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    missing = [name for name in recipes.names() if flag(name) not in text]
    assert missing == []


def test_help_is_short_and_explains_the_usual_flags_and_help_all_every_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["train", "--help"]) == 0
    short = capsys.readouterr().out.splitlines()
    assert cli.main(["train", "--help-all"]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert len(short) < 100 < len(whole)
    assert max(map(len, short)) <= 80
    explained = [re.findall(r"^│ (--[a-z-]+)", line) for line in whole]
    flags = {found[0] for found in explained if found}
    assert flags >= {flag(name) for name in recipes.names()} | {"--help-all", "--cache"}
    usual = "\n".join(short).partition("Usual flags")[2].partition("╰")[0]
    assert 18 <= len(re.findall(r"^│ --", usual, flags=re.MULTILINE)) <= 24
    assert "--batch-size INT|auto" in usual
    assert "--mixup" not in usual
    assert all(name in "\n".join(short) for name in flags)


def test_every_setting_of_a_painting_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["paint", "--help"]) == 0
    text = capsys.readouterr().out
    missing = [f.name for f in dataclasses.fields(Settings) if flag(f.name) not in text]
    assert missing == []


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom striate import cli\n"
        "for name in ('train', 'paint'):\n    cli.main([name, '--help'])\n"
        "cli.main(['train', '--help-all'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert in_a_process("-c", code).returncode == 0


def test_the_package_runs_as_a_module() -> None:
    found = in_a_process("-m", "striate", "--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found.stdout.strip())


def test_the_bar_is_shown_on_a_terminal_and_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from striate import terminal

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(terminal.view(), terminal.Bar)
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(terminal.view(), terminal.Lines)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert isinstance(terminal.view(), terminal.Lines)


def test_the_bar_trains_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate import terminal

    bar = terminal.Bar()
    monkeypatch.setattr(terminal, "view", lambda: bar)
    assert cli.main(["train", "digits", *TINY, "-o", str(tmp_path / "run")]) == 0
    assert bar.finished


def test_work_under_way_is_shown_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from striate import console

    with console.working("looking"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(console, "is_plain", lambda: False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.working("looking"):
        pass
    shown = capsys.readouterr()
    assert "looking" in shown.err
    assert shown.out == "", "stdout is for results"


TEN = ["--size", "8", "--epochs", "1", "--batch-size", "8", "--model", "mlp"]


def test_pictures_that_have_moved_are_found_again(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", str(photos), *TEN, "-o", "run"]) == 0
    before = json.loads((here / "run" / "data.json").read_text())
    photos.rename(here / "moved")
    for arguments in (["evaluate", "run"], ["train", "--resume", "run"]):
        capsys.readouterr()
        assert cli.main(arguments) == 1
        assert "are gone from" in (said := one_line(capsys))
        assert "`striate train NEW --resume RUN` notes their new place" in said
    assert cli.main(["train", "moved", "--resume", "run"]) == 0
    assert f"the pictures are in {here / 'moved'} now: noted in the run" in capsys.readouterr().err
    after = json.loads((here / "run" / "data.json").read_text())
    assert after["origin"]["text"] == str(here / "moved")
    assert {key for key in before if before[key] != after[key]} == {"origin", "layout"}
    assert cli.main(["evaluate", "run"]) == 0
    # Nothing is noted where they are no longer the same.
    shutil.copytree("moved", "other")
    for path in (here / "other").rglob("*.png"):
        Image.new("RGB", (20, 20)).save(path)
    assert cli.main(["train", "other", "--resume", "run"]) == 1
    assert json.loads((here / "run" / "data.json").read_text()) == after
    next((here / "moved").rglob("*.png")).unlink()
    capsys.readouterr()
    assert cli.main(["train", "--resume", "run"]) == 1
    assert "1 of this run's pictures" in one_line(capsys)


def test_every_command_that_takes_a_table_takes_the_names_of_its_columns(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{path.relative_to(here)};{path.parent.name};x" for path in photos.rglob("*.png")]
    (here / "a.csv").write_text("\n".join(["Bild;Sorte;x", *rows, "photos/gone.png;ring;x"]))
    named = ["--path-column", "bild", "--label-column", "Sorte"]
    for arguments in (["data"], ["train", *TEN], ["shards", "-o", "none"]):
        assert cli.main([*arguments, "a.csv", *named[:2]]) == 1
        assert "say which it is with --label-column (it has Bild, Sorte, x)" in one_line(capsys)
    assert cli.main(["data", "a.csv", "--path-column", "bidl", *named[2:]]) == 2
    assert "unknown column of a.csv 'bidl': did you mean Bild?" in one_line(capsys)
    assert cli.main(["data", "a.csv", *named, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["classes"]["ring"] == {"train": 5}
    assert "1 of 16 listed files not there (a.csv, line 17: photos/gone.png)" in report["warnings"]
    (here / "a.csv").write_text("\n".join(["Bild;Sorte;x", *rows]))
    assert cli.main(["train", "a.csv", *named, *TEN, "-o", "run"]) == 0
    assert cli.main(["train", "a.csv", *named, "--resume", "run"]) == 0
    assert cli.main(["evaluate", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", "run", *named]) == 2
    assert "of a table: give it as DATA" in one_line(capsys)
    (here / "a.csv").write_text(
        "\n".join(["Bild;Sorte;x", *rows, "https://example.org/a.png;ring;"])
    )
    assert cli.main(["evaluate", "run", "a.csv", *named, "--split", "train"]) == 0
    assert "a.csv has URLs in 1 row" in capsys.readouterr().err
    assert cli.main(["shards", "a.csv", *named, "-o", "shards"]) == 0
    assert "a.csv has URLs in 1 row" in capsys.readouterr().err
    assert cli.main(["data", "shards"]) == 0


def test_a_step_of_one_picture_is_refused_for_batch_norm_of_one_number(
    here: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resnet = ["--model", "torchvision/resnet18", "--size", "32", "--epochs", "1", "-o", "run"]
    assert cli.main(["train", str(photos), "--batch-size", "1", *resnet]) == 2
    assert "give --batch-size 2 or more, or a larger --size" in one_line(capsys)
    assert not (here / "run").exists()
    # Where one picture is left over it is never a step of its own, and of one alone no class is
    # told from another.
    for path in sorted(photos.rglob("*.png"))[1:]:
        path.write_bytes(b"")
    whole = ["--test-share", "0", "--validation-share", "0"]
    assert cli.main(["train", str(photos), *resnet, *whole]) == 1
    assert "no pictures to train on" in one_line(capsys)


@pytest.mark.parametrize("name", data.SOURCES)
def test_help_names_each_source_of_data(name: str) -> None:
    assert re.search(rf"\b{name}\b", DATA_HELP)


@pytest.mark.parametrize(
    "given", [["train", "digits", "--print-config"], ["sweep", "digits", "--epochs", "none"]]
)
def test_flags_that_are_not_given_are_none_beside_pydantic(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Once it is imported, as a server's libraries do, cyclopts checks defaults by their types."""
    pytest.importorskip("pydantic")
    cli.main(given)
    assert "validation error" not in capsys.readouterr().err
