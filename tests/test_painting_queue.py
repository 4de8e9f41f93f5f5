"""Paintings from files into files, in Python: events as they come, stopped, resumed, queued."""

import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from striate import painting
from striate.errors import DataError, Stopped, UsageError
from striate.painting import Frame, Means, Note, Painted, Started, StyleFile, record
from striate.painting.networks import vgg
from striate.painting.tasks import Event

Kind = TypeVar("Kind")
CHOICES: dict[str, Any] = {
    "model": "vgg16",
    "style_layers": "relu1_1",
    "content_layer": "relu1_2",
    "size": 24,
    "loss": "gram",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs in a folder, a painting, and weights of as much of VGG-16 as is used."""
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in ("photos/a.jpg", "photos/b.jpg", "art.png"):
        pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    trunk = vgg.random("vgg16", ["relu1_1"], "relu1_2")
    tensors = {
        f"features.{one.place}.{part}": trunk.get_buffer(f"{one.name}_{part}").contiguous()
        for one in trunk.blocks[0]
        for part in ("weight", "bias")
    }
    save_file(tensors, tmp_path / "vgg.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stopped_after(steps: int) -> Callable[[], None]:
    """Make a poll that asks to stop after so many steps."""
    left = iter(range(steps - 1, -1, -1))

    def poll() -> None:
        if next(left) == 0:
            raise Stopped("stopped", signal.SIGTERM)

    return poll


def of(kind: type[Kind], events: Iterable[Event]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


@pytest.mark.usefixtures("here")
def test_a_file_is_painted_step_by_step() -> None:
    events = list(
        painting.paint_file(
            "photos/a.jpg", "art.png", "out.png", weights="vgg.safetensors", **CHOICES
        )
    )
    started, *frames, painted = events
    assert isinstance(started, Started)
    assert isinstance(painted, Painted)
    assert started.out == painted.out == Path("out.png")
    assert started.need.bytes > 0
    assert len(of(Frame, frames)) == len(frames) == sum(s.steps for s in painted.frame.stages)
    document = record.read_png(Path("out.png"))
    assert document["finished"]
    assert document["style"] == painted.frame.style
    again = list(painting.paint_again("out.png", "again.png"))
    assert len(of(Frame, again)) == len(frames)
    assert pixels("again.png") == pixels("out.png")


@pytest.mark.usefixtures("here")
def test_a_painting_that_is_stopped_is_resumed() -> None:
    with pytest.raises(Stopped, match=r"--resume out\.png"):
        list(
            painting.paint_file(
                Path("photos/a.jpg"),
                [StyleFile(Path("art.png"), 2.0)],
                "out.png",
                weights="vgg.safetensors",
                means=Means(poll=stopped_after(3)),
                **CHOICES,
            )
        )
    before = record.read_png(Path("out.png"))
    assert not before["finished"]
    assert before["stages"] == [[24, 3]]
    (painted,) = of(Painted, painting.resume("out.png"))
    assert painted.frame.stages[0] == (24, 3)
    assert record.read_png(Path("out.png"))["finished"]
    with pytest.raises(UsageError, match="nothing to resume"):
        painting.resume("out.png")


def test_a_folder_is_gone_through_once(here: Path) -> None:
    (here / "photos" / "c.jpg").write_bytes(b"no picture")

    def queue(means: Means) -> list[Event]:
        how: dict[str, Any] = {"weights": "vgg.safetensors", "means": means, **CHOICES}
        return list(painting.paint_folder("photos", "art.png", "done", **how))

    with pytest.raises(Stopped, match="--resume"):
        queue(Means(poll=stopped_after(2)))
    found = queue(Means())
    assert [event.out.name for event in of(Painted, found)] == ["a.jpg.png", "b.jpg.png"]
    first, _ = of(Painted, found)
    assert first.frame.stages[0] == (24, 2)
    *_, last = found
    assert last == Note("left out: 1 of 3 pictures")
    later = of(Note, queue(Means()))
    assert [note.text for note in later[:2]] == [
        f"{Path('done')}/{name}.png is there already" for name in ("a.jpg", "b.jpg")
    ]
    for name in "ab":
        (here / "photos" / f"{name}.jpg").unlink()
    with pytest.raises(DataError, match="none of the pictures in photos could be read"):
        queue(Means())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("out", "means", "choices", "message"),
    [
        ("out.jpg", {}, {}, "is a .png file"),
        ("out.png", {"seconds": 0.0}, {}, "--time is more than 0"),
        ("out.png", {"memory": 2**20}, {}, "MB at least"),
        ("out.png", {}, {"sise": 24}, "did you mean size"),
    ],
)
def test_wrong_requests_paint_nothing(
    out: str, means: dict[str, Any], choices: dict[str, int], message: str
) -> None:
    how: dict[str, Any] = {
        "weights": "vgg.safetensors",
        "means": Means(**means),
        **CHOICES,
        **choices,
    }
    with pytest.raises(UsageError, match=message):
        list(painting.paint_file("photos/a.jpg", "art.png", out, **how))
    assert not Path(out).exists()
