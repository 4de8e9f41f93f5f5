"""Members of shards in samples: one picture each, and the label that is its own."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import data as sources
from striate.data import Data
from striate.errors import DataError


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def shard(path: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write a shard; what ends in a picture's ending and is empty becomes a picture."""
    with tarfile.open(path, "w") as archive:
        for number, (name, given) in enumerate(members.items()):
            content = given.encode() if isinstance(given, str) else given
            content = content or picture(number)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def named(found: Data) -> dict[str, str]:
    """Return the class of each picture."""
    split = found.splits["train"]
    return {
        name.partition("/")[2]: found.classes[label]
        for name, label in zip(split.names, split.labels, strict=True)
    }


@pytest.mark.parametrize("ending", ["cls", "CLS", "class", "json", "txt", "label.cls"])
@pytest.mark.parametrize("key", ["{}", "all/{}", "v1.0/{}", "a.b/c.d/{}"])
def test_a_label_is_its_pictures_by_the_key(tmp_path: Path, ending: str, key: str) -> None:
    members: dict[str, bytes | str] = {}
    for number, label in enumerate(("cat ", "dog", "cat", "dog", "cat")):
        members[f"{key.format(number)}.png"] = ""
        text = json.dumps({"label": label}) if ending == "json" else f"{label}\n"
        members[f"{key.format(number)}.{ending}"] = text
    found = sources.find(shard(tmp_path / "a.tar", members))
    classes = ("cat", "dog", "cat", "dog", "cat")
    assert named(found) == {f"{key.format(n)}.png": label for n, label in enumerate(classes)}
    assert f"labels by .{ending.rpartition('.')[2].lower().replace('class', 'cls')}" in found.layout
    assert found.warnings == ()


def test_a_sample_has_one_picture_and_the_others_are_counted(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for key in "abcd":
        members |= {
            f"{key}.seg.png": "",
            f"{key}.png": "",
            f"{key}.jpg": "",
            f"{key}.depth.png": "",
        }
        members[f"{key}.cls"] = str("ac".count(key))
    found = sources.find(shard(tmp_path / "a.tar", members))
    assert named(found) == {"a.jpg": "1", "b.jpg": "0", "c.jpg": "1", "d.jpg": "0"}
    (said,) = found.warnings
    assert said == (
        "a sample has one picture: further ones are left out (4 .seg.png, 4 .png, 4 .depth.png)"
    )
    parts = {f"{key}.{part}": "" for key in "ab" for part in ("mask.png", "image.jpg")}
    found = sources.find(shard(tmp_path / "b.tar", {**parts, "a.cls": "0", "b.cls": "1"}))
    assert named(found) == {"a.image.jpg": "0", "b.image.jpg": "1"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        # All after the first dot is the ending: these are one sample.
        (
            {"all/v1.0_1.png": "", "all/v1.0_2.png": "", "all/v1.0_1.cls": "0"},
            r"v1\.0_1\.png and v1\.0_2\.png are 2 pictures of one sample: .* no dot before it",
        ),
        ({"a.png": "", "A.cls": "0"}, r"A\.cls is the label of no picture \(beside it are none\)"),
        ({"x/a.png": "", "y/a.cls": "0"}, r"y/a\.cls is the label of no picture"),
        ({"a.png": "", "a.cls": "0", "b.heif2": "x", "b.cls": "1"}, r"b\.cls is .* are \.heif2\)"),
        ({"c/a.png": "", "c/v1.0_a.cls": "0"}, r"v1\.0_a\.cls is the label of no picture"),
        ({"a.png": "", "b.json": '{"label": "x"}'}, r"b\.json is the label of no picture"),
        ({"a.png": "", "a.PNG": ""}, r"a\.png and a\.PNG are one member of a sample twice"),
        ({"a.png": "", "a.fine.cls": "0", "a.coarse.cls": "0"}, "several labels: a.fine.cls and"),
        (
            {"x/a.png": "", "x/a.cls": "0", "y/b.png": ""},
            r"y/b\.png has no label: of 3 pictures 2 have one in \.cls; write one for each",
        ),
        (
            {"x/a.png": "", "x/a.cls": "0", "y/b.png": "", "y/b.json": '{"label": 1}'},
            r"no label: of 3 pictures 1 have one in \.json and 2 have one in \.cls",
        ),
        ({"a.png": "", "a.cls": " \n", "b.png": "", "b.cls": "1"}, r"a\.png has no label: of 3"),
        ({"a.png": "", "a.json": '{"label": ["x", "y"]}'}, r"a\.json: label is \['x', 'y'\], not"),
    ],
)
def test_what_is_no_sample_is_an_error_that_names_it(
    tmp_path: Path, members: dict[str, bytes | str], words: str
) -> None:
    # Folders of class names would hide it: a shard never falls back on them by halves.
    with pytest.raises(DataError, match=words) as caught:
        sources.find(shard(tmp_path / "a.tar", {**members, "w.cls": "0", "w.png": ""}))
    assert len(str(caught.value).splitlines()) == 1


def test_captions_are_no_labels_and_files_beside_no_picture_are_counted(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {
        "README.txt": "a set",
        "stats.json": '{"n": 6}',
        "._0.png": "x",
    }
    for number in range(6):
        kind = "ab"[number % 2]
        members[f"{kind}/{number}.png"] = ""
        members[f"{kind}/{number}.txt"] = f"drawing number {number}"
    (tmp_path / "shards").mkdir()
    shard(tmp_path / "shards" / "0.tar", members)
    for path in (tmp_path / "shards", shard(tmp_path / "b.tar", members)):
        found = sources.find(path)
        assert found.classes == ("a", "b")
        assert "labels by folders" in found.layout or path.is_file()
    (said,) = sources.find(tmp_path / "shards").warnings
    assert said.startswith("beside no picture and left out: 2 of .json and .txt")
    alone = {name.rpartition("/")[2]: content for name, content in members.items()}
    with pytest.raises(DataError, match=r"has no label \(6 such\)"):
        sources.find(shard(tmp_path / "c.tar", alone))


def test_a_json_with_a_label_makes_a_tar_of_folders_a_shard(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for number in range(4):
        members[f"day-{number % 2}/{number}.png"] = ""
        members[f"day-{number % 2}/{number}.json"] = json.dumps({"label": "ab"[number // 2]})
    assert sources.find(shard(tmp_path / "a.tar", members)).classes == ("a", "b")
    boxes = {
        name: text if name.endswith("png") else '{"boxes": []}' for name, text in members.items()
    }
    assert sources.find(shard(tmp_path / "b.tar", boxes)).classes == ("day-0", "day-1")


def test_refused_members_are_counted_by_their_reason(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"a.png": "", "a.cls": "0", "b.png": "", "b.cls": "1"})
    with tarfile.open(path, "a") as archive:
        for name in ("a.png", "b.png", "../c.png"):
            archive.addfile(tarfile.TarInfo(name))
    found = sources.find(path)
    assert found.warnings == (
        f"2 members: a second member of that name: left out ({path}/a.png for one)",
        f"{path}/../c.png: its name leads out of the archive: it has .. in it: left out",
    )
