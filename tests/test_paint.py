"""`striate paint`: pictures in, a PNG with its record out; stopped, resumed, repeated, queued."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from striate import cli
from striate.painting import record, tasks
from striate.painting.budgets import memory
from striate.painting.networks import vgg
from striate.painting.settings import Budget, Settings


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of VGG-16 under torchvision's names."""
    trunk = vgg.random("vgg16")
    tensors = {
        f"features.{one.place}.{kind}": trunk.get_buffer(f"{one.name}_{kind}").contiguous()
        for block in trunk.blocks
        for one in block
        for kind in ("weight", "bias")
    }
    path = tmp_path_factory.mktemp("weights") / "vgg.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photograph and a painting."""
    random = np.random.default_rng(0)
    for name, shape in (("photo.jpg", (48, 64, 3)), ("art.png", (40, 40, 3))):
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(weights: Path, *arguments: str, size: int = 32) -> int:
    network = ["--model", "vgg16", "--weights", str(weights), "--size", str(size)]
    loss = [] if "--loss" in arguments else ["--loss", "gram"]  # quicker than the default
    limit = [] if "--time" in arguments else ["--time", "1s"]
    return cli.main(["paint", *arguments, *network, *loss, *limit])


def test_the_painting_carries_its_record(
    here: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, "photo.jpg", "art.png=2", "-o", "out.png", "--json") == 0
    with Image.open("out.png") as image:
        assert (image.size, image.mode) == ((32, 24), "RGB")
    document = record.read_png(Path("out.png"))
    assert document["finished"]
    assert document["settings"]["size"] == 32
    assert set(document["sha256"]) == {"photo.jpg", "art.png", str(weights)}
    (row,) = json.loads(capsys.readouterr().out)
    assert row["stages"] == document["stages"]
    assert not list(here.glob("*.resume"))


def test_the_memory_said_is_that_of_the_most_expensive_level(here: Path) -> None:
    settings = Settings(model="vgg16", loss="gram", optimiser="adam", size=4096)
    work = record.Work(here / "photo.jpg", (record.StyleFile(here / "art.png"),), settings)
    network = vgg.random("vgg16")
    limit = 2677 * 2**20 + int(memory.SPARE * network.loaded)
    said = tasks.need(work, network, Budget(memory=limit))
    last = memory.fit((3072, 4096), network, settings, limit)
    before = memory.fit((2172, 2896), network, settings, limit)
    # The last has smaller tiles, since it would not fit otherwise.
    assert (last.tile, before.tile) == (1536, 2048)
    assert last.bytes < said.bytes == before.bytes <= limit
    assert said.tile == last.tile


@pytest.mark.usefixtures("here")
def test_again_gives_the_same_picture(weights: Path) -> None:
    assert paint(weights, "photo.jpg", "art.png", "-o", "one.png", "--start", "noise") == 0
    assert cli.main(["paint", "--again", "one.png", "-o", "two.png"]) == 0
    with Image.open("one.png") as one, Image.open("two.png") as two:
        assert one.tobytes() == two.tobytes()


def test_embedded_pictures_make_it_again_without_their_files(here: Path, weights: Path) -> None:
    assert paint(weights, "photo.jpg", "art.png", "-o", "one.png", "--embed") == 0
    (here / "photo.jpg").unlink()
    (here / "art.png").unlink()
    assert cli.main(["paint", "--again", "one.png", "-o", "two.png"]) == 0
    with Image.open("one.png") as one, Image.open("two.png") as two:
        assert one.tobytes() == two.tobytes()


@pytest.mark.usefixtures("here")
def test_again_refuses_another_file_of_the_same_name(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, "photo.jpg", "art.png", "-o", "one.png") == 0
    Image.new("RGB", (9, 9)).save("art.png")
    assert cli.main(["paint", "--again", "one.png", "-o", "two.png"]) == 1
    assert "is another file than the one painted from" in capsys.readouterr().err


def test_a_folder_is_a_queue_that_skips_what_is_done(
    here: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "many").mkdir()
    for number in range(2):
        Image.new("RGB", (20, 20), (90 * number, 50, 50)).save(here / "many" / f"{number}.png")
    assert paint(weights, "many", "art.png", "-o", "done", size=20) == 0
    first = {path.name: path.stat().st_mtime_ns for path in Path("done").iterdir()}
    assert sorted(first) == ["0.png.png", "1.png.png"]
    assert paint(weights, "many", "art.png", "-o", "done", size=20) == 0
    assert first == {path.name: path.stat().st_mtime_ns for path in Path("done").iterdir()}
    assert "is there already" in capsys.readouterr().err


def test_a_queue_leaves_out_what_is_no_picture(
    here: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "many").mkdir()
    (here / "many" / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (20, 20), "red").save(here / "many" / "b.png")
    assert paint(weights, "many", "art.png", "-o", "done", size=20) == 0
    assert [path.name for path in Path("done").iterdir()] == ["b.png.png"]
    error = capsys.readouterr().err
    assert "left out: many/a.png: " in error
    assert "left out: 1 of 2 pictures" in error
    (here / "many" / "b.png").unlink()
    assert paint(weights, "many", "art.png", "-o", "done", size=20) == 1
    assert "none of the pictures in many could be read" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_queue_does_not_paint_its_own_paintings(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, ".", "art.png", "-o", "../" + Path.cwd().name) == 2
    assert "-o is the folder of the photographs" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_stopped_keeps_the_picture_and_goes_on(weights: Path) -> None:
    command = [sys.executable, "-m", "striate", "paint"]
    network = ["--model", "vgg16", "--weights", str(weights)]
    begin = [*command, "photo.jpg", "art.png", "-o", "out.png", "--size", "400", "--preview"]
    running = subprocess.Popen([*begin, *network], stderr=subprocess.DEVNULL)
    for _ in range(600):  # the first preview says that it paints
        if Path("out.png").exists():
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 128 + signal.SIGINT
    before = record.read_png(Path("out.png"))
    assert not before["finished"]
    assert cli.main(["paint", "--resume", "out.png", "--time", "3s"]) == 0
    after = record.read_png(Path("out.png"))
    assert after["finished"]
    assert after["stages"][: len(before["stages"])] == before["stages"]
    assert not Path("out.png.resume").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["16-bit", "alpha", "grey", "tiny", "narrow"])
def test_any_picture_is_painted(kind: str, weights: Path) -> None:
    random = np.random.default_rng(1)
    pictures = {
        "16-bit": Image.fromarray(random.integers(0, 2**16, (20, 30), dtype=np.uint16)),
        "alpha": Image.new("RGBA", (30, 20), (200, 10, 10, 128)),
        "grey": Image.new("L", (30, 20), 99),
        "tiny": Image.new("RGB", (1, 1), "red"),
        "narrow": Image.new("RGB", (200, 10), "red"),
    }
    pictures[kind].save("odd.png")
    for content, style in (("odd.png", "art.png"), ("photo.jpg", "odd.png")):
        assert paint(weights, content, style, "-o", "out.png") == 0
        with Image.open("out.png") as image:
            assert max(image.size) == 32
            assert torch.isfinite(torch.from_numpy(np.array(image)).float()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.jpg", "art.png"], "-o OUT.png"),
        (["photo.jpg", "art.png", "-o", "out.jpg"], "-o is a .png file"),
        (["photo.jpg", "art.png=-1", "-o", "out.png"], "share of a style"),
        (["photo.jpg", "art.png", "-o", "out.png", "--loss", "gramm"], "did you mean gram"),
        (["photo.jpg", "art.png", "-o", "out.png", "--time", "soon"], "a time like 60s"),
        (["photo.jpg", "art.png", "-o", "out.png", "--memory", "1M"], "MB at least"),
        (["photo.jpg", "-o", "out.png", "--mask", "art.png"], "REGION.png=STYLE"),
        ([".", "art.png", "-o", "out.png"], "-o names a folder as well"),
    ],
)
def test_wrong_requests_say_what_is_right(
    arguments: list[str],
    message: str,
    here: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert paint(weights, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert not (here / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "out.png"], "nothing to resume"),
        (["--resume", "out.png", "--size", "64"], "leave out --size"),
        (["--again", "one.png", "-o", "out.png", "--weights", "vgg.pth"], "leave out --weights"),
        (["photo.jpg", "--again", "one.png", "-o", "out.png"], "each stand alone"),
        (["--again", "one.png", "--resume", "out.png"], "each stand alone"),
        (["--again", "one.png"], "--again needs -o OUT.png"),
    ],
)
def test_what_a_record_knows_is_not_asked_for_again(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["paint", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(here.glob("out*"))


@pytest.mark.usefixtures("here")
def test_weights_of_another_network_are_refused(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["photo.jpg", "art.png", "-o", "out.png", "--weights", str(weights)]
    assert cli.main(["paint", *arguments, "--model", "vgg19"]) == 1
    assert "does not fit vgg19: features." in capsys.readouterr().err


def test_what_is_no_file_is_named_before_the_network_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "style.png")
    given = [str(tmp_path / "gone.jpg"), str(tmp_path / "style.png"), "-o", str(tmp_path / "o.png")]
    assert cli.main(["paint", *given]) == 1
    assert "gone.jpg is not there" in capsys.readouterr().err
    (tmp_path / "gone.jpg").touch()
    assert cli.main(["paint", given[0], str(tmp_path), *given[2:]]) == 1
    assert f"{tmp_path} is a folder" in capsys.readouterr().err
