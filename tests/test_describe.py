"""`striate describe`: its table, JSON, CSV and drawing, of names and of runs."""

import csv
import functools
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import striate
from striate import cli
from striate.cli import layertable
from striate.description import Description

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more cost time on pictures so small
    path = tmp_path_factory.mktemp("runs") / "digits"
    tiny = ["--arguments.width", "4", "--epochs", "1", "--optimiser", "adamw"]
    assert cli.main(["train", "digits", *tiny, "-o", str(path)]) == 0
    torch.set_num_threads(threads)
    return path


@functools.cache
def small(name: str) -> Description:
    return striate.describe(name, size=64)


def test_a_run_is_described_at_its_size_with_its_optimiser(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["describe", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["size"], found["optimiser"]) == ("convnet", [1, 8, 8], "adamw")
    assert found["totals"]["parameters"] == striate.load(run).result["parameters"]
    again = striate.load(run).describe(batch=1)
    assert json.loads(json.dumps(again.to_json())) == found
    assert cli.main(["describe", str(run / "bundle")]) == 0
    assert cli.main(["describe", str(run), "--classes", "3"]) == 2


def test_every_json_key_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["describe", "convnet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    page = (ROOT / "docs" / "describe.md").read_text()
    documented = set(re.findall(r"`(\w+)`", page[page.index("## JSON") :]))
    memory = found["memory"]["float32"]
    for keys in (found, found["totals"], found["memory"], memory, found["layers"][1]):
        assert set(keys) <= documented


def test_csv_has_the_rows_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["describe", "mnist-convnet", "--size", "1x28x28"]
    assert cli.main([*asked, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert cli.main([*asked, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [row["name"] for row in rows] == [layer["name"] for layer in layers]
    conv = rows[1]
    assert (conv["input"], conv["output"], conv["kernel"]) == ("1x28x28", "32x28x28", "5x5")
    assert (conv["padding"], conv["multiply_adds"]) == ("2+2x2+2", str(28 * 28 * 32 * 25))


@pytest.mark.parametrize("name", ["torchvision/alexnet", "timm/convnext_atto", "mlp"])
@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits_the_terminal_and_cuts_no_number(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = small(name)
    monkeypatch.setattr(layertable, "PIPED", width)
    layertable.show(found)
    lines = capsys.readouterr().out.splitlines()
    heading = next(line for line in lines if line.startswith("layer"))
    table = lines[lines.index(heading) : lines.index(heading) + len(found.layers) + 1]
    assert ("share of mult-adds" in heading) == (width == 140)
    if width >= 80:
        assert max(map(len, table)) <= width
        assert heading.split()[-1] in ("field", "mult-adds")
        for row, line in zip(found.layers, table[1:], strict=True):
            shown = re.sub(r" +[█▉▊▋▌▍▎▏]+ +[\d.]+ %$", "", line)
            if row.receptive_field:
                assert shown.split()[-1] == layertable.field(row)
            assert layertable.volume(row.output) in line
    assert "parameters" in "\n".join(lines)


def test_the_totals_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["describe", "torchvision/vgg16"]) == 0
    text = capsys.readouterr().out
    for line in (
        "138,357,544 parameters",
        "15,470,264,320 multiply-adds, 15.47 G",
        "61.05 MB of activations; 115.3 MB with every layer's output apart",
        "73.36 MB kept for the backward pass",
    ):
        assert line in text.splitlines()
    assert re.search(r"float32 +553 MB +73.4 MB +553 MB +553 MB +580 MB +2.48 GB", text)


def test_why_there_is_no_step_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten())\n"
    )
    assert cli.main(["describe", f"{tmp_path / 'mine.py'}:build"]) == 0
    assert "no step of training: 1 (BatchNorm2d)" in capsys.readouterr().out


def test_the_drawing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.svg"
    assert cli.main(["describe", "convnet", "--size", "1x28x28", "--draw", str(path)]) == 0
    assert "wrote" in capsys.readouterr().err
    root = ElementTree.parse(path).getroot()
    texts = [element.text for element in root if element.tag.endswith("text")]
    times = "\N{MULTIPLICATION SIGN}"
    assert {f"1{times}28{times}28", f"32{times}28{times}28", f"128{times}7{times}7"} <= set(texts)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convnt"], "did you mean convnet"),
        (["convnet", "--size", "3by4"], "--size is 224 or 3x224x224, not '3by4'"),
        (["convnet", "--size", "0"], "a size is 224"),
        (["convnet", "--batch", "0"], "1 picture or more"),
        (["convnet", "--draw", "net.png"], "--draw writes an .svg file, not net.png"),
        (["convnet", "--json", "--csv"], "choose --json or --csv"),
        (["convnet", "--arguments.widht", "3"], "did you mean width"),
        (["torchvision/alexnet", "--size", "20"], "features.5 (MaxPool2d), given 192x1x1"),
        (["convnet", "--optimiser", "sdg"], "did you mean sgd"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["describe", *arguments]) == 2
    found = capsys.readouterr().err.strip().splitlines()
    assert len(found) == 1
    assert said in found[0]


def test_a_description_is_the_same_again() -> None:
    one, two = (striate.describe("convnet", size=32) for _ in range(2))
    assert isinstance(one, Description)
    assert one == two
