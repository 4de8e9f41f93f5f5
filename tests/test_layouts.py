"""What lies in a folder is recognised, refused, or left out by name: never taken in silence."""

import io
import json
import shutil
import tarfile
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from striate.cli import main
from striate.data import find
from striate.data.sources.folder import LITTER, SYSTEM, ending
from striate.data.sources.layouts import folder
from striate.data.splits import Data
from striate.errors import DataError
from striate.images import KNOWN, SUFFIXES

BUFFER = io.BytesIO()
Image.new("L", (5, 4)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()


def put(root: Path, *paths: str) -> Path:
    """Write small files at these places; a place that ends in / is an empty folder."""
    for path in paths:
        place = root / path
        (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            place.write_bytes(PNG)
    return root


def zipped(root: Path, place: Path) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(root))
    return place


def found(data: Data) -> dict[str, set[str]]:
    """Split -> the classes that it has pictures of."""
    return {
        name: {data.classes[label] for label in split.labels} for name, split in data.splits.items()
    }


def each(tops: str, *below: str) -> list[str]:
    return [f"{top}/{path}" for top in tops.split() for path in below]


TWO = ("cat/1.png", "dog/1.png")
BOTH = {"cat", "dog"}


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (each("train_images test_images", *TWO), {"train", "test"}),
        (each("TrainSet ValSet TestSet", *TWO), {"train", "validation", "test"}),
        (each("train2017 val2017", *TWO), {"train", "validation"}),
        (each("dogs_train dogs_test", *TWO), {"train", "test"}),
        (each("my-training-data my-testing-data", *TWO), {"train", "test"}),
        (each("train test_images", *TWO), {"train", "test"}),
        (each("seg_train/seg_train seg_test/seg_test", *TWO), {"train", "test"}),
        (each("train/images test/images", *TWO), {"train", "test"}),
        ([*each("train", *TWO), "test/cat/1.png"], {"train", "test"}),
        (each("cat dog", "train/1.png", "test/1.png"), {"train", "test"}),
        (
            each("cat dog", "Train/1.png", "Val/1.png", "Test/1.png"),
            {"train", "validation", "test"},
        ),
        (each("photos/cat photos/dog", "train/1.png", "test/1.png"), {"train", "test"}),
        (["dog/train/1.png", *each("cat", "train/1.png", "test/2.png")], {"train", "test"}),
        (each("train_station bus_stop", "1.png"), {"train"}),
        (each("train_station bus_stop", "day/1.png", "night/1.png"), {"train"}),
        (each("valid invalid", "1.png"), {"train"}),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_splits_that_can_be_told_are_recognised(
    tmp_path: Path, paths: list[str], splits: set[str], packed: bool
) -> None:
    root = put(tmp_path / "root", *paths)
    data = find(zipped(root, tmp_path / "root.zip") if packed else root)
    assert set(data.splits) == splits
    if splits != {"train"}:
        assert set(data.classes) == found(data)["train"] == BOTH
        assert sum(map(len, data.splits.values())) == len(paths)
    else:
        assert len(data.classes) == 2


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (each("train test", "1.png"), r"has test, train, named like splits, but the pictures lie"),
        (each("train", "1.png"), r"has train, named like splits"),
        (each("train test1", "cat.1.png"), r"has test1, train, named like splits"),
        (each("train_images test_images", "1.png"), r"has test_images, train_images, named like"),
        ([*each("train_images", *TWO), "test_images/cow/1.png"], "their class folders differ"),
        (each("fold_1 fold_2 fold_3", *TWO), r"has parts of one data set \(fold_1, fold_2"),
        ([*each("train", *TWO), "train2/cat/1.png"], "two folders for one split|beside them"),
        ([*each("train", *TWO), "test/Cat/1.png"], r"'Cat' is in .*\(they are in 'cat'\)"),
        ([*each("cat dog", "1.png"), "cat /1.png"], r"differ only in blanks .* \('cat', 'cat '\)"),
        (each("train test", "cat /1.png", "dog/1.png", "cat/1.png"), "differ only in blanks"),
    ],
)
def test_what_is_named_like_splits_and_is_of_no_use_as_such_is_refused(
    tmp_path: Path, paths: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        folder(put(tmp_path, *paths))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("paths", "warning"),
    [
        (
            each("train test plane", "1.png"),
            "named like splits, but taken for classes: test, train",
        ),
        (each("test_images cow", "1.png"), "but taken for classes: test_images"),
        (
            ["cat/1.png", "cat/train/2.png", "dog/1.png"],
            "not all class folders have them: cat/train",
        ),
        ([*each("cat", "train/1.png", "test/1.png"), "dog/1.png"], "them: cat/test, cat/train"),
        (each("a b", *TWO), r"a, b hold folders of the same names (cat, dog): the outer ones"),
        (each("cat Cat dog", "1.png"), "classes look alike: 'Cat', 'cat'"),
        (["fire truck/1.png", "fire  truck/1.png"], "look alike: 'fire  truck', 'fire truck'"),
    ],
)
def test_what_may_be_meant_otherwise_is_said(
    tmp_path: Path, paths: list[str], warning: str
) -> None:
    warnings = folder(put(tmp_path, *paths)).warnings
    assert [line for line in warnings if warning in line], warnings


def test_names_are_one_in_every_form(tmp_path: Path) -> None:
    names = ("café", "naïve ", "Ångström")
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    data = folder(
        put(
            tmp_path,
            *(f"train/{name}/1.png" for name in decomposed),
            *(f"test/{name}/1.png" for name in names),
        )
    )
    assert data.classes == ("café", "naïve", "Ångström")
    assert data.splits["train"].labels.tolist() == data.splits["test"].labels.tolist() == [0, 1, 2]


RUN = ("recipe.toml", "data.json", "overview.png", "bundle/model.json", "bundle/x.png")


@pytest.mark.parametrize("packed", [False, True])
def test_runs_are_no_pictures_of_the_user(tmp_path: Path, packed: bool) -> None:
    root = put(tmp_path / "root", *TWO, *each("runs/a-1 runs/a-2 cat/old", *RUN))
    data = find(zipped(root, tmp_path / "root.zip") if packed else root)
    assert found(data) == {"train": BOTH}
    assert data.splits["train"].names == list(TWO)
    assert data.warnings == ("left out: cat/old, runs/a-1, runs/a-2 (3 runs of striate)",) or (
        set(data.warnings[0].split(" (")[0].removeprefix("left out: ").split(", "))
        == {"runs/a-1", "runs/a-2", "cat/old"}
    )
    if not packed:
        with pytest.raises(DataError, match="is a run of striate, not data"):
            find(root / "runs" / "a-1")


@pytest.mark.parametrize("name", sorted({*SYSTEM, "@eaDir", "#recycle", "@tmp"}))
def test_folders_of_systems_are_no_classes(tmp_path: Path, name: str) -> None:
    put(tmp_path, *TWO, f"{name.upper()}/1.png", f"cat/{name}/2.png")
    data = folder(tmp_path)
    assert data.splits["train"].names == list(TWO)
    said = f"left out: {name.upper()}, cat/{name} (2 folders of a system or a NAS)"
    assert data.warnings == (said,)


def test_virtual_environments_are_no_classes(tmp_path: Path) -> None:
    put(tmp_path, *TWO, "env/pyvenv.cfg", "env/lib/1.png")
    assert found(folder(tmp_path)) == {"train": BOTH}


@pytest.mark.parametrize("name", sorted(LITTER))
def test_what_systems_leave_in_every_folder_is_not_spoken_of(tmp_path: Path, name: str) -> None:
    put(tmp_path, *TWO, f"cat/{name}", ".DS_Store", "dog/._1.png")
    data = folder(tmp_path)
    assert (data.warnings, data.left_out) == ((), {})


def test_links_that_lead_up_are_no_classes(tmp_path: Path) -> None:
    root = put(tmp_path / "above" / "root", *TWO)
    (root / "loop").symlink_to(".")
    (root / "up").symlink_to("..")
    (root / "cat" / "all").symlink_to(root)
    data = folder(root)
    assert data.splits["train"].names == list(TWO)
    (line,) = data.warnings
    assert line.endswith("(3 links to folders that they lie in)")
    assert all(name in line for name in ("loop", "up", "cat/all"))


def test_a_class_by_two_names_is_one(tmp_path: Path) -> None:
    put(tmp_path, *TWO)
    (tmp_path / "a-cat").symlink_to("cat")
    data = folder(tmp_path)
    assert data.splits["train"].names == list(TWO)
    assert data.warnings == (f"{tmp_path}/a-cat is the same folder as cat: left out",)


LEFT = {
    ".heic": "I1.HEIC",
    ".avif": "x.avif",
    ".jp2": "y.jp2",
    ".jxl": "z.JXL",
    ".tga": "t.tga",
    ".sgi": "s.sgi",
    ".cr2": "r.CR2",
    "": "no-ending",
    ".jpg?...": "w.jpg?w=640",
    ".txt": "notes.txt",
    ".jpg_large": "d.jpg_large",
    ".jpg~": "e.jpg~",
}


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_are_not_read_are_counted_by_their_endings(tmp_path: Path, packed: bool) -> None:
    left = {name: file for name, file in LEFT.items() if name not in SUFFIXES}
    root = put(tmp_path / "root", *TWO, *(f"cat/{file}" for file in left.values()), "dog/n2")
    data = find(zipped(root, tmp_path / "root.zip") if packed else root)
    assert data.left_out == dict.fromkeys(left, 1) | {"": 2}
    assert data.splits["train"].names == list(TWO)
    (unread, others) = sorted(data.warnings, key=lambda line: "in formats that" not in line)
    for name in left:
        assert (name or "2 without an ending") in (unread if name in KNOWN else others)


@pytest.mark.parametrize("file", [file for name, file in LEFT.items() if name not in SUFFIXES])
def test_a_folder_of_nothing_else_says_what_it_holds(tmp_path: Path, file: str) -> None:
    put(tmp_path, f"cat/{file}", f"dog/{file}")
    what = ending(file) or "without an ending"
    with pytest.raises(DataError, match=r"has no pictures in its subfolders \(cat, dog\)") as said:
        folder(tmp_path)
    assert f"2 {what} (" in str(said.value)


def test_a_phones_export_is_pictures(tmp_path: Path) -> None:
    put(tmp_path, *(f"cat/I{n}.{end}" for n in range(9) for end in ("HEIC", "MOV")))
    put(tmp_path, *(f"dog/I{n}.{end}" for n in range(3) for end in ("JPG", "MOV")), "dog/b.MOV")
    data = folder(tmp_path)
    assert data.kind == "pictures"
    assert data.left_out[".mov"] == 13
    shutil.rmtree(tmp_path / "cat")
    put(tmp_path, *(f"cat/M{n}.MOV" for n in range(9)))
    assert folder(tmp_path).kind == "clips"


def archived(place: Path, names: list[str]) -> Path:
    """Write PNG files by these very names, as no program would."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name in names:
                info = zipfile.ZipInfo("x")
                info.filename = name
                archive.writestr(info, PNG)
        return place
    with tarfile.open(place, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(PNG)
            tar.addfile(member, io.BytesIO(PNG))
    return place


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_backslashes_are_folders(tmp_path: Path, suffix: str) -> None:
    names = [rf"photos\{top}\{n}.png" for top in ("cat", "dog") for n in range(2)]
    data = find(archived(tmp_path / f"a{suffix}", names))
    assert data.splits["train"].names == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert any("4 names with backslashes: read as folders" in line for line in data.warnings)


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize(
    ("above", "why"),
    [
        ("/", "it is absolute"),
        ("\\\\server\\", "it is absolute"),
        ("C:/", "it begins with a drive"),
        ("C:\\", "it begins with a drive"),
        ("../", "it has .. in it"),
        ("x\\..\\..\\", "it has .. in it"),
    ],
)
def test_names_that_lead_out_are_refused_with_the_reason_even_where_nothing_is_left(
    tmp_path: Path, suffix: str, above: str, why: str
) -> None:
    bad = [f"{above}{path}" for path in TWO]
    with pytest.raises(DataError, match="and 1 more") as said:
        find(archived(tmp_path / f"a{suffix}", bad))
    assert why in str(said.value)
    data = find(archived(tmp_path / f"b{suffix}", [*bad, *TWO]))
    assert data.splits["train"].names == list(TWO)
    (line,) = [line for line in data.warnings if why in line]
    assert "and 1 more" in line


class Coded(zipfile.ZipInfo):
    """A member whose name is written as given, without the flag of UTF-8."""

    raw: bytes

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits & ~0x800


def coded(place: Path, names: list[bytes], extra: list[bytes]) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for raw, more in zip(names, extra, strict=True):
            info = Coded("x")
            info.raw, info.filename, info.extra = raw, raw.decode("cp437"), more
            archive.writestr(info, PNG)
    return place


def test_names_in_a_zip_are_utf8_where_they_can_be(tmp_path: Path) -> None:
    names = ["café/1.png", unicodedata.normalize("NFD", "né/1.png"), "日本/1.png"]
    place = coded(tmp_path / "a.zip", [name.encode() for name in names], [b""] * 3)
    data = find(place)
    assert set(data.classes) == {"café", "né", "日本"}
    assert data.warnings == ()
    assert find(place).splits["train"].pictures[0].read() == PNG


def test_names_in_an_old_coding_are_said_to_be_guessed(tmp_path: Path) -> None:
    old = "café/1.png".encode("cp437")
    data = find(coded(tmp_path / "a.zip", [old, b"dog/1.png"], [b""] * 2))
    assert set(data.classes) == {"café", "dog"}
    assert "1 name in a coding that is not said" in data.warnings[0]


def test_a_name_in_utf8_beside_an_old_one_is_taken(tmp_path: Path) -> None:
    import struct
    import zlib

    old, new = b"caf_/1.png", "кофе/1.png".encode()
    old = old.replace(b"_", b"\x82")
    field = struct.pack("<BI", 1, zlib.crc32(old)) + new
    extra = struct.pack("<HH", 0x7075, len(field)) + field
    data = find(coded(tmp_path / "a.zip", [old, b"dog/1.png"], [extra, b""]))
    assert set(data.classes) == {"кофе", "dog"}
    assert data.warnings == ()


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_what_is_compressed_as_a_whole_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    with tarfile.open(place, "w:gz") as archive:
        archive.add(put(tmp_path / "root", *TWO), "root")
    with pytest.raises(DataError, match=r"compressed as a whole \(gzip\).* unpack it"):
        find(place)


def test_what_lies_beside_a_folder_that_is_passed_through_is_said(tmp_path: Path) -> None:
    put(tmp_path, *each("photos", *TWO), "a.png", "b.txt", *each("runs/a", *RUN), "@eaDir/1.png")
    data = folder(tmp_path)
    assert found(data) == {"train": BOTH}
    assert data.left_out == {".txt": 1}
    assert sorted(data.warnings) == [
        f"1 picture in {tmp_path} itself: left out",
        "left out: 1 .txt (1 file, no picture by its ending)",
        "left out: @eaDir (a folder of a system or a NAS)",
        "left out: runs/a (a run of striate)",
    ]


def test_files_beside_a_table_of_the_folder_are_counted_too(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.cr2", "4.txt", "runs/a/recipe.toml", "runs/a/data.json")
    (tmp_path / "metadata.csv").write_text("file_name,label\n1.png,a\n2.png,b\n")
    data = find(tmp_path)
    assert data.left_out == {".cr2": 1, ".txt": 1}
    assert any("runs/a (a run of striate)" in line for line in data.warnings)


def test_endings_are_counted_once_a_file(tmp_path: Path) -> None:
    put(tmp_path, *TWO, "loose.txt", "notes/a.md", "cat/deep/b.md", "dog/c.MD")
    assert folder(tmp_path).left_out == Counter({".md": 3, ".txt": 1})


SMALL = ["--size", "8", "--epochs", "2", "--model", "mlp", "--arguments.hidden", "8"]


def run(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = main(list(argv))
    out, err = capfd.readouterr()
    return code, out, err


@pytest.fixture
def trained(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Path:
    """The pictures' folder, worked in, with a run of them and files that are not read."""
    monkeypatch.chdir(photos)
    (photos / "ring" / "I.CR2").write_bytes(b"x")
    (photos / "ring").rename(photos / unicodedata.normalize("NFD", "rîng "))
    assert run(capfd, "train", ".", *SMALL)[0] == 0
    return photos


def test_a_run_in_the_folder_of_pictures_is_no_class_of_the_next(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capfd, "train", ".", *SMALL)
    assert code == 0
    assert "15 pictures in 3 class folders" in err
    assert "left out: runs/photos-mlp-1 (a run of striate)" in err
    assert "left out: 1 .cr2 (1 picture in formats that are not read" in err
    record = json.loads((trained / "runs" / "photos-mlp-2" / "data.json").read_text())
    assert record["classes"] == ["cross", "rîng", "stripes"]
    assert record["left_out"] == {".cr2": 1}
    code, out, _ = run(capfd, "data", ".", "--json")
    assert json.loads(out)["left_out"] == {".cr2": 1}
    put(trained / "raw", "1.CR2", "2")
    code, _, err = run(capfd, "predict", "runs/photos-mlp-1", "raw")
    assert code == 1
    assert "raw has no pictures in it; left out: 1 .cr2 (" in err
    assert "1 without an ending" in err
    assert run(capfd, "data", "runs/photos-mlp-1")[0] == 1


def test_names_in_another_form_are_the_same_classes_and_pictures(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, before, _ = run(capfd, "evaluate", "runs/photos-mlp-1", "--json")
    (trained / unicodedata.normalize("NFD", "rîng ")).rename(trained / "rîng")
    code, after, _ = run(capfd, "evaluate", "runs/photos-mlp-1", "--json")
    assert (code, json.loads(after)) == (0, json.loads(before))
    code, out, err = run(capfd, "evaluate", "runs/photos-mlp-1", ".", "--json")
    assert code == 0
    assert [row["n"] for row in json.loads(out)["per_class"]] == [4, 5, 6]
    assert "left out: 1 .cr2" in err
    assert any("1 .cr2" in note for note in json.loads(out)["notes"])


def test_one_class_is_measured(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained / "cross", tmp_path / "more" / "cross")
    table = tmp_path / "one.csv"
    table.write_text("path,label\n" + "".join(f"photos/cross/{n}.png,cross\n" for n in range(4)))
    said = set()
    for data in (tmp_path / "more", tmp_path / "more" / "cross", table):
        code, out, _ = run(capfd, "evaluate", "runs/photos-mlp-1", str(data))
        assert code == 0
        assert "4 pictures" in out
        assert "one class only, cross: this accuracy is its recall" in out
        said.add(out.splitlines()[0])
    assert len(said) == 1
    code, _, err = run(capfd, "train", str(tmp_path / "more"))
    assert code == 1
    assert "has one class only (cross): nothing can be told apart" in err
    assert "one class only (cross)" in run(capfd, "data", str(tmp_path / "more"))[1]


def test_two_pictures_a_class_are_trained_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "few", *(f"{name}/{n}.png" for name in "abcdef" for n in range(2)))
    out = tmp_path / "run"
    code, _, err = run(capfd, "train", str(tmp_path / "few"), "--out", str(out), *SMALL)
    assert code == 0
    assert "train 6, test 6 pictures" in err
    assert "test: 20 % was asked for" in err
    assert "50 % (6 of 12)" in err
    assert "no validation split: no class has two pictures left" in err
    assert len(json.loads((out / "data.json").read_text())["warnings"]) == 2
