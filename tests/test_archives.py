"""Archives read in place: the same pictures as the folder, and harm refused member by member."""

import dataclasses
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from striate import data as sources
from striate.data import Data
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.preparation.survey import survey
from striate.data.sources import shards
from striate.data.sources.archives import Archive, Inside
from striate.data.sources.lists import as_csv
from striate.data.sources.sharding import write_shards
from striate.errors import DataError, UsageError
from striate.images import PictureError

COLOUR = Preprocessing(size=(20, 20), channels=3, normalise="none")


def zipped(root: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method, strict_timestamps=False) as archive:
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(root.parent))
    return path


def tarred(root: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(root, root.name)
    return path


def member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def sharded(root: Path, place: Path, *, label: str, count: int = 2) -> Path:
    """Write a folder of class folders as shards with labels of a kind."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    classes = sorted({p.parent.name for p in files})
    place.mkdir()
    for number in range(count):
        with tarfile.open(place / f"train-{number:03d}.tar", "w") as archive:
            for key, file in list(enumerate(files))[number::count]:
                kind = file.parent.name
                folder = f"{kind}/" if label == "folder" else ""
                member(archive, f"{folder}{key:04d}.png", file.read_bytes())
                if label == "cls":
                    member(archive, f"{key:04d}.cls", f"{classes.index(kind)}\n".encode())
                if label == "json":
                    member(archive, f"{key:04d}.json", json.dumps({"label": kind}).encode())
    return place


def content(found: Data) -> dict[tuple[str, bytes], int]:
    """Count the pictures by class and pixels."""
    counts: dict[tuple[str, bytes], int] = {}
    for split in found.splits.values():
        pictures, unreadable = read(split, COLOUR, workers=2)
        assert not unreadable
        assert pictures.pixels is not None
        for pixels, at in zip(pictures.pixels, split.labels, strict=True):
            key = (found.classes[at], pixels.numpy().tobytes())
            counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize(
    "pack",
    [
        lambda root, at: zipped(root, at / "photos.zip"),
        lambda root, at: zipped(root, at / "photos.zip", zipfile.ZIP_STORED),
        lambda root, at: zipped(root, at / "photos.zip", zipfile.ZIP_LZMA),
        lambda root, at: tarred(root, at / "photos.tar"),
        lambda root, at: sharded(root, at / "shards", label="folder"),
        lambda root, at: sharded(root, at / "shards", label="json"),
        lambda root, at: sharded(root, at / "s", label="json") / "train-{000..001}.tar",
        lambda root, at: sharded(root, at / "s", label="json") / "train-*.tar",
    ],
)
def test_an_archive_holds_what_the_folder_does(
    photos: Path, tmp_path: Path, pack: Callable[[Path, Path], Path]
) -> None:
    packed = pack(photos, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found, expected = sources.find(str(packed)), sources.find(photos)
    assert found.classes == expected.classes
    assert content(found) == content(expected)
    assert survey(found.splits["train"].pictures) == survey(expected.splits["train"].pictures)
    again = sources.reopen(found.origin)
    assert list(again.splits["train"].names) == list(found.splits["train"].names)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked"


def test_numbers_in_cls_files_are_classes_in_their_order(photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "shards"
    place.mkdir()
    texts = ["10", "9", "2", *("0" * zeros + "7" for zeros in range(8))]
    with tarfile.open(place / "a.tar", "w") as archive:
        for key, text in enumerate(texts):
            picture = next(photos.rglob("*.png")).read_bytes()
            member(archive, f"{key}.png", picture)
            member(archive, f"{key}.cls", text.encode())
    found = sources.find(place)
    assert found.classes == ("2", *sorted(texts[3:]), "9", "10")
    assert [found.classes[label] for label in found.splits["train"].labels] == texts


def test_a_shards_name_says_its_split(photos: Path, tmp_path: Path) -> None:
    place = sharded(photos, tmp_path / "shards", label="json", count=3)
    (place / "train-001.tar").rename(place / "my-val-000.tar")
    (place / "train-002.tar").rename(place / "TEST_0.tar")
    assert set(sources.find(place).splits) == {"train", "validation", "test"}


def test_splits_in_an_archive_are_recognised(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("train", "val"):
        (root / name).mkdir(parents=True)
        for kind in photos.iterdir():
            (root / name / kind.name).symlink_to(kind)
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("train", "val"):
            for file in photos.rglob("*.png"):
                archive.write(file, f"set/{name}/{file.parent.name}/{file.name}")
    found, expected = sources.find(path), sources.find(root)
    assert {k: list(v.names) for k, v in found.splits.items()} == {
        k: list(v.names) for k, v in expected.splits.items()
    }


EVIL = ("../evil.png", "/evil.png", "cross/../../evil.png", "c:/evil.png", "cross\\..\\evil.png")


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_is_refused_and_the_rest_is_used(
    photos: Path, tmp_path: Path, name: str, kind: str
) -> None:
    if kind == "zip":
        path = zipped(photos, tmp_path / "a.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")
    else:
        path = tarred(photos, tmp_path / "a.tar")
        with tarfile.open(path, "a") as archive:
            member(archive, name, b"x")
    before = sorted(tmp_path.rglob("*"))
    found = sources.find(path)
    assert content(found) == content(sources.find(photos))
    assert len([w for w in found.warnings if "leads out of the archive" in w]) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(photos: Path, tmp_path: Path, kind: bytes) -> None:
    path = tarred(photos, tmp_path / "a.tar")
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("photos/cross/link.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    opened = Archive(path)
    assert [entry.reason for entry in opened.refused] == ["a link or a device, not a file"]
    assert "link.png" not in opened.files["photos/cross"]


def test_a_link_in_a_zip_is_refused(photos: Path, tmp_path: Path) -> None:
    path = zipped(photos, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("photos/cross/link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert [entry.reason for entry in Archive(path).refused] == ["a link or a device, not a file"]


def test_a_member_that_states_too_much_is_refused(photos: Path, tmp_path: Path) -> None:
    path = tarred(photos, tmp_path / "a.tar")
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("photos/cross/huge.png")
        info.size = 600 << 20
        archive.fileobj.write(info.tobuf())
    with path.open("r+b") as handle:
        handle.truncate(601 << 20)  # a hole: no disk is used
    reasons = [entry.reason for entry in Archive(path).refused]
    assert reasons == [f"{600 << 20} bytes, more than {512 << 20} are refused"]


def test_a_bomb_that_states_little_unpacks_no_more_than_it_states(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.png", bytes(50 << 20))
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the stated size
        struct.pack_into("<I", raw, raw.index(signature) + offset, 1000)
    path.write_bytes(raw)
    with pytest.raises(PictureError, match=r"bomb\.zip/a/x\.png: damaged in the archive"):
        Inside(Archive(path), "a/x.png").read()


def test_a_damaged_member_is_listed_once_and_the_rest_is_read(photos: Path, tmp_path: Path) -> None:
    path = zipped(photos, tmp_path / "a.zip", zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    place = raw.index(b"IDAT") + 8
    raw[place] ^= 255
    path.write_bytes(raw)
    split = sources.find(path).splits["train"]
    pictures, unreadable = read(split, COLOUR, workers=2)
    assert len(unreadable) == 1
    assert "Bad CRC-32" in unreadable[0].reason
    assert len(pictures) == len(split) - 1


@pytest.mark.parametrize("cut", [0, 0.01, 0.3])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_cut_archive_is_one_error(photos: Path, tmp_path: Path, kind: str, cut: float) -> None:
    pack = zipped if kind == "zip" else tarred
    path = pack(photos, tmp_path / f"a.{kind}")
    raw = path.read_bytes().rstrip(b"\0")  # a tar ends in zeros
    path.write_bytes(raw[: int(cut * len(raw))])
    with pytest.raises(DataError, match=rf"a\.{kind}[^\n]*$"):
        sources.find(path)


def test_a_tar_cut_between_two_members_says_so(photos: Path, tmp_path: Path) -> None:
    path = tarred(photos, tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1].offset
    path.write_bytes(path.read_bytes()[:last])
    warnings = sources.find(path).warnings
    assert any("no end mark: pictures may be missing" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.xz", "a.7z"])
def test_what_cannot_be_read_in_place_says_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"unpack it, or make a plain \.tar or a \.zip of it"):
        sources.find(tmp_path / name)


def test_a_second_member_of_a_name_is_refused(photos: Path, tmp_path: Path) -> None:
    path = tarred(photos, tmp_path / "a.tar")
    with tarfile.open(path, "a") as archive:
        member(archive, "photos/cross/0.png", b"other")
    assert [entry.reason for entry in Archive(path).refused] == ["a second member of that name"]


def test_a_picture_without_a_label_is_named(photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member(archive, "0.png", next(photos.rglob("*.png")).read_bytes())
    with pytest.raises(DataError, match=r"a\.tar/0\.png has no label \(1 such\)"):
        sources.find(tmp_path / "a.tar")


def test_a_missing_shard_is_named(photos: Path, tmp_path: Path) -> None:
    place = sharded(photos, tmp_path / "shards", label="json")
    with pytest.raises(DataError, match=r"stands for 4 shards, and .*train-002\.tar is not there"):
        sources.find(str(place / "train-{000..003}.tar"))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a-{0..2}.tar", ["a-0.tar", "a-1.tar", "a-2.tar"]),
        ("a-{008..010}.tar", ["a-008.tar", "a-009.tar", "a-010.tar"]),
        ("{1..2}-{0..1}.tar", ["1-0.tar", "1-1.tar", "2-0.tar", "2-1.tar"]),
    ],
)
def test_braces_count_as_they_do_in_a_shell(tmp_path: Path, pattern: str, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in shards.expand(tmp_path / pattern)] == names


def test_order_and_place_do_not_change_the_pixels(photos: Path, tmp_path: Path) -> None:
    split = sources.find(sharded(photos, tmp_path / "s", label="json")).splits["train"]
    streamed, _ = read(split, COLOUR, workers=2, held_bytes=0)
    held, _ = read(split, COLOUR, workers=0)
    rows = torch.randperm(len(split))
    for one, other in zip(streamed.batches(rows, 4), held.batches(rows, 4), strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)


def everything(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


@pytest.mark.parametrize("per_shard", [1, 4, 1000])
@pytest.mark.parametrize("seed", [0, 5])
def test_written_shards_hold_what_the_folder_does(
    photos: Path, tmp_path: Path, per_shard: int, seed: int
) -> None:
    found = sources.find(photos)
    out = tmp_path / "shards"
    written = list(write_shards(found, out, per_shard=per_shard, seed=seed))
    assert [shard.pictures for shard in written] == {1: [1] * 15, 4: [4, 4, 4, 3], 1000: [15]}[
        per_shard
    ]
    assert sorted(shard.path for shard in written) == sorted(out.iterdir())
    back = sources.find(out)
    assert back.classes == found.classes
    assert content(back) == content(found)
    again = tmp_path / "again"
    list(write_shards(found, again, per_shard=per_shard, seed=seed))
    assert everything(again) == everything(out)


def test_another_seed_is_another_order(photos: Path, tmp_path: Path) -> None:
    found = sources.find(photos)
    for seed in (0, 1):
        list(write_shards(found, tmp_path / str(seed), seed=seed))
    assert everything(tmp_path / "0") != everything(tmp_path / "1")


def test_written_shards_are_what_webdataset_expects(photos: Path, tmp_path: Path) -> None:
    """Members in groups of one key, the label as a number and by name, no paths, no owners."""
    out = tmp_path / "shards"
    list(write_shards(sources.find(photos), out))
    with tarfile.open(out / "train-000000.tar") as archive:
        members = archive.getmembers()
        for place in range(0, len(members), 3):
            picture, number, about = members[place : place + 3]
            key = picture.name.partition(".")[0]
            assert [m.name for m in (number, about)] == [f"{key}.cls", f"{key}.json"]
            document = json.loads(archive.extractfile(about).read())  # type: ignore[union-attr]
            kind = sorted(p.name for p in photos.iterdir())[
                int(archive.extractfile(number).read())  # type: ignore[union-attr]
            ]
            assert document["label"] == kind
            original = (photos / document["file_name"]).read_bytes()
            assert archive.extractfile(picture).read() == original  # type: ignore[union-attr]
            assert (picture.uid, picture.mtime, picture.uname) == (0, 0, "")


def test_splits_become_names_of_shards(photos: Path, tmp_path: Path) -> None:
    parts = sources.complete(sources.find(photos), validation_share=0.2, test_share=0.2, seed=0)
    found = dataclasses.replace(sources.find(photos), splits=parts)
    list(write_shards(found, tmp_path / "shards"))
    back = sources.find(tmp_path / "shards")
    assert {k: len(v) for k, v in back.splits.items()} == {k: len(v) for k, v in parts.items()}


def test_shards_are_not_written_over_something(photos: Path, tmp_path: Path) -> None:
    found = sources.find(photos)
    with pytest.raises(UsageError, match="not an empty folder"):
        list(write_shards(found, photos))
    (photos / "list.csv").write_text("path,label\ncross/0.png,a\nring/0,b\n")
    (photos / "ring" / "0.png").rename(photos / "ring" / "0")
    with pytest.raises(DataError, match=r"ring/0 has not the ending of a picture"):
        list(write_shards(sources.find(photos / "list.csv"), tmp_path / "bare"))
    with pytest.raises(UsageError, match="is not a file: shards are made of picture files"):
        list(write_shards(sources.find("digits"), tmp_path / "digits"))
    with pytest.raises(UsageError, match="holds 1 picture or more, not 0"):
        list(write_shards(found, tmp_path / "none", per_shard=0))


def test_the_shared_photographs_are_the_same_in_every_form(
    shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "photos"
    if not root.is_dir():
        pytest.skip("STRIATE_DATA has no photos")
    found = sources.find(root)
    expected = content(found)
    list(write_shards(found, tmp_path / "shards", per_shard=300))
    rows = [
        (path, found.classes[label], name)
        for name, split in found.splits.items()
        for path, label in zip(split.pictures, split.labels, strict=True)
    ]
    (tmp_path / "list.csv").write_bytes(as_csv(rows, tmp_path))
    forms = [
        tmp_path / "shards",
        tmp_path / "list.csv",
        zipped(root, tmp_path / "photos.zip"),
        tarred(root, tmp_path / "photos.tar"),
    ]
    for form in forms:
        again = sources.find(form)
        assert again.classes == found.classes
        assert content(again) == expected
        assert {k: len(v) for k, v in again.splits.items()} == {
            k: len(v) for k, v in found.splits.items()
        }
