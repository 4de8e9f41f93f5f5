"""Sounds and clips through every command: told by their files, trained, resumed, used."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from striate import api, cli, models
from striate.data import find
from striate.data.preparation import kinds
from striate.data.preparation.clips import Clips
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.preparation.spectrograms import Spectrograms
from striate.errors import DataError, UsageError
from striate.runs import bundle, folder
from striate.sounds import Sound, encode
from striate.training import plan
from striate.training.start import Means

SHORT = ["--epochs", "2", "--batch-size", "8"]
TINY: dict[str, Any] = {"epochs": 2, "batch_size": 8, "arguments": {"width": 4}}


def tone(name: str, number: int) -> Sound:
    """A low, high or rising tone of 0.3 s."""
    random = np.random.default_rng([len(name), number])
    time = np.arange(2400) / 8000
    pitch = 400 + 4000 * time if name == "rising" else {"low": 400.0, "high": 2000.0}[name]
    wave = 0.4 * np.sin(2 * np.pi * pitch * time + random.uniform(0, 6))
    return Sound(wave + 0.02 * random.normal(size=2400), 8000)


def moving(name: str, number: int) -> list[np.ndarray]:
    """Six frames of a bar that goes left or right, from anywhere."""
    start = np.random.default_rng([len(name), number]).integers(0, 16)
    step = {"left": -2, "right": 2}[name]
    picture = np.zeros((16, 16), np.uint8)
    picture[:, 4:8] = 255
    return [np.roll(picture, start + step * time, 1) for time in range(6)]


def video(frames: list[np.ndarray], path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape, "yuv420p"
        for frame in frames:
            rgb = np.repeat(frame[:, :, None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def gif(frames: list[np.ndarray]) -> bytes:
    images = [Image.fromarray(frame) for frame in frames]
    content = io.BytesIO()
    images[0].save(content, "GIF", save_all=True, append_images=images[1:])
    return content.getvalue()


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    for name in ("low", "high", "rising"):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for number in range(12):
            path = tmp_path / "tones" / name / f"{number}.wav"
            path.write_bytes(encode(tone(name, number)))
    return tmp_path / "tones"


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    for name in ("left", "right"):
        (tmp_path / "bars" / name).mkdir(parents=True)
        for number in range(14):
            (tmp_path / "bars" / name / f"{number}.gif").write_bytes(gif(moving(name, number)))
    return tmp_path / "bars"


def test_a_folder_is_of_what_most_of_its_files_are(heard: Path, seen: Path, photos: Path) -> None:
    assert find(photos).kind == "pictures"
    sounds, clips = find(heard), find(seen)
    assert sounds.kind == "sounds"
    assert "36 sounds in 3 class folders" in sounds.layout
    assert clips.kind == "clips"
    assert "28 clips in 2 class folders" in clips.layout
    shutil.copy(photos / "ring" / "0.png", heard / "low" / "cover.png")
    again = find(heard)
    assert again.kind == "sounds"
    assert len(again.splits["train"]) == 36


def test_gifs_that_stand_still_are_pictures(seen: Path) -> None:
    for path in seen.rglob("*.gif"):
        with Image.open(path) as image:
            image.convert("L").save(path, "GIF")
    assert find(seen).kind == "pictures"


def test_archives_and_tables_of_sounds_are_sounds(heard: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tones.zip", "w") as archive:
        for path in sorted(heard.rglob("*.wav")):
            archive.write(path, path.relative_to(heard))
    rows = [
        f"{path.relative_to(heard)},{path.parent.name}" for path in sorted(heard.rglob("*.wav"))
    ]
    (heard / "table.csv").write_text("path,label\n" + "\n".join(rows))
    for source in (tmp_path / "tones.zip", heard / "table.csv"):
        found = find(source)
        assert found.kind == "sounds"
        assert len(found.splits["train"]) == 36
        assert "36 sounds" in found.layout


def test_sounds_are_learned_from_the_command_line(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (heard / "low" / "odd.wav").write_bytes(b"RIFF and nothing more")
    run = tmp_path / "run"
    assert cli.main(["train", str(heard), "--epochs", "8", "-o", str(run), "--rate", "0.05"]) == 0
    told = capsys.readouterr()
    assert "sounds in 3 class folders" in told.err
    assert "1 unreadable sound left out" in told.err
    assert "sounds)" in told.out
    loaded = api.load(run)
    assert loaded.recipe["model"] == "audio-convnet"
    assert loaded.recipe["sample_rate"] == 8000
    assert loaded.accuracy == 1.0
    preprocessing = loaded.bundle.preprocessing
    assert isinstance(preprocessing, Spectrograms)
    assert preprocessing.length == 2400
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "sounds"
    assert cli.main(["predict", str(run), str(heard / "high"), "--top", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["classes"][0]["name"] for row in rows] == ["high"] * 12
    (answer,) = loaded.predict(tone("rising", 99), top=1)
    assert answer.file == "sound 0"
    assert answer.classes[0].name == "rising"
    with Image.open(run / folder.OVERVIEW) as image:
        assert image.width == 1600


def test_clips_are_learned_and_one_frame_of_them_is_not(seen: Path, tmp_path: Path) -> None:
    for name in ("left", "right"):
        for number in range(14, 40):
            (seen / name / f"{number}.gif").write_bytes(gif(moving(name, number)))
    choices: dict[str, Any] = {"epochs": 15, "batch_size": 8, "validation_share": 0.0}
    run = api.train(seen, out=tmp_path / "r3d", arguments={"width": 8}, **choices)
    assert run.recipe["model"] == "r3d"
    assert run.recipe["frames"] == 6
    assert not run.recipe["flip"]
    assert run.bundle.preprocessing.shape == (1, 6, 16, 16)
    assert run.accuracy == 1.0
    clip = np.stack(moving("left", 77))
    assert run.predict(clip, top=1)[0].classes[0].name == "left"
    assert run.evaluate(seen).metrics.n == 80
    flat = api.train(seen, out=tmp_path / "flat", frames=1, **choices)
    assert flat.recipe["model"] == "convnet"
    assert flat.bundle.preprocessing.shape == (1, 16, 16)
    assert flat.accuracy < 0.9  # of 16 clips, where half is what a guess gets


@pytest.mark.parametrize("kind", ["sounds", "clips"])
def test_a_stopped_training_of_either_ends_with_the_same_weights(
    kind: str, heard: Path, seen: Path, tmp_path: Path
) -> None:
    source = heard if kind == "sounds" else seen

    def stop(_: object, event: object) -> None:
        if getattr(event, "number", 0) == 3:
            raise KeyboardInterrupt

    whole = api.train(source, out=tmp_path / "whole", **TINY)
    with pytest.raises(KeyboardInterrupt):
        api.train(source, out=tmp_path / "part", means=Means(save_every=0.0), show=stop, **TINY)
    again = api.train(resume=tmp_path / "part")
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_videos_are_decoded_in_guarded_processes_and_damaged_ones_left_out(
    seen: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    for path in sorted(seen.rglob("*.gif")):
        frames = moving(path.parent.name, int(path.stem))
        video(frames, path.with_suffix(".mp4"))
        path.unlink()
    whole = (seen / "left" / "0.mp4").read_bytes()
    (seen / "left" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    found = find(seen)
    assert found.kind == "clips"
    assert len(found.splits["train"]) == 29
    run = api.train(seen, out=tmp_path / "run", **TINY)
    assert run.recipe["frames"] == 6
    record = folder.read_json(run.folder, folder.DATA)
    assert [entry["file"] for entry in record["unreadable"]] == ["left/cut.mp4"]
    (answer,) = run.predict(seen / "left" / "0.mp4")
    assert answer.error is None
    (damaged,) = run.predict(seen / "left" / "cut.mp4")
    assert damaged.error is not None
    assert damaged.error.startswith("no clip, or a damaged one")


def test_a_network_of_sounds_refuses_pictures(heard: Path, photos: Path, tmp_path: Path) -> None:
    run = api.train(heard, out=tmp_path / "run", **{**TINY, "epochs": 1})
    with pytest.raises(DataError, match="this network takes sounds, and the data are pictures"):
        run.evaluate(photos)
    with pytest.raises(DataError, match="has no sounds in it"):
        run.predict(photos)
    with pytest.raises(UsageError, match="looks at pictures, and tones has sounds"):
        api.inspect(heard)


def test_data_from_memory_are_told_by_the_first_one(tmp_path: Path) -> None:
    names = ("low", "high")
    sounds = [(tone(names[n % 2], n), n % 2) for n in range(20)]
    run = api.train(sounds, out=tmp_path / "sounds", **TINY)
    assert run.bundle.preprocessing.kind == "sounds"
    clips = [(np.stack(moving(("left", "right")[n % 2], n))[..., None], n % 2) for n in range(20)]
    assert find(clips).kind == "clips"


def test_a_bundle_without_a_kind_is_of_pictures(tmp_path: Path, photos: Path) -> None:
    run = api.train(photos, out=tmp_path / "run", epochs=1, size=16, arguments={"width": 4})
    place = run.folder / folder.BUNDLE
    before = bundle.load(place)
    card = json.loads((place / bundle.CARD).read_text())
    assert card["preprocessing"].pop("kind") == "pictures"
    content = {bundle.WEIGHTS: (place / bundle.WEIGHTS).read_bytes()}
    old = {k: v for k, v in card.items() if k not in ("files", "sha256")}
    bundle.save(tmp_path / "old", old, content)
    assert bundle.load(tmp_path / "old").preprocessing == before.preprocessing
    assert isinstance(before.preprocessing, Preprocessing)
    assert before.preprocessing.kind == "pictures"


def test_a_preview_draws_sounds_and_clips(heard: Path, seen: Path) -> None:
    for source in (heard, seen):
        with Image.open(io.BytesIO(api.preview(source))) as image:
            assert image.width > 400


def test_every_kind_has_its_network_and_its_training() -> None:
    assert set(kinds.KINDS) == set(plan.KINDS) == set(models.USUAL)
    assert set(models.USUAL.values()) <= set(models.MODELS)


def test_clips_and_sounds_know_their_shape() -> None:
    assert Spectrograms().shape == (1, 40, 61)
    assert Clips(4, Preprocessing((8, 9))).shape == (3, 4, 8, 9)


@pytest.mark.parametrize("command", ["data", "pooling"])
def test_a_command_for_pictures_offers_no_other_kind(
    command: str, heard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, str(heard)]) == 2
    assert "sounds" in capsys.readouterr().err
    for asked, offered in ((command, False), ("train", True)):
        assert cli.main([asked, "--help"]) == 0
        said = capsys.readouterr().out
        for word in ("spoken-digits", "moving-digits", "sounds"):
            assert (word in said) == offered, f"{asked} --help: {word}"
