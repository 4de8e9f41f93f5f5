import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from striate import usercode
from striate.data import SOURCES, find, reopen
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.sources.folder import list_examples
from striate.data.sources.layouts import folder
from striate.data.splits import NAMES, SYNONYMS, complete
from striate.errors import DataError, UsageError
from striate.wording import original, shown

GREY = Preprocessing(size=(4, 4), channels=1, normalise="none")


def put(root: Path, *paths: str) -> Path:
    """Write small pictures at these places; a place that ends in / is an empty folder."""
    for number, path in enumerate(paths):
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 4), number).save(place)
    return root


def listed(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Split -> [(class, name), ...]."""
    found = folder(root)
    return {
        name: [
            (found.classes[label], file)
            for label, file in zip(split.labels, split.names, strict=True)
        ]
        for name, split in found.splits.items()
    }


def test_class_folders_without_splits_are_all_for_training(photos: Path) -> None:
    found = folder(photos)
    assert found.classes == ("cross", "ring", "stripes")
    assert list(found.splits) == ["train"]
    assert np.bincount(found.splits["train"].labels).tolist() == [4, 5, 6]
    assert found.splits["train"].names[0] == "cross/0.png"
    assert found.layout.endswith("photos: 15 pictures in 3 class folders, no splits")
    assert found.warnings == ()
    assert found.name == "photos"


@pytest.mark.parametrize("word", [word for words in SYNONYMS.values() for word in words])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_every_word_for_a_split_is_recognised_in_any_case(tmp_path: Path, word: str, case) -> None:  # type: ignore[no-untyped-def]
    name = next(name for name in NAMES if word in SYNONYMS[name])
    top = case(word)
    put(tmp_path, f"{top}/cat/1.png", f"{top}/dog/2.png")
    if name != "train":
        put(tmp_path, "train/cat/1.png", "train/dog/2.png")
    found = listed(tmp_path)
    assert set(found) == {"train", name}
    assert found[name] == [("cat", f"{top}/cat/1.png"), ("dog", f"{top}/dog/2.png")]


def test_nested_pictures_belong_to_their_class_folder(tmp_path: Path) -> None:
    put(tmp_path, "cat/a/b/1.png", "cat/2.png", "dog/train/3.JPG", "dog/4.jpeg.png")
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    assert listed(tmp_path)["train"] == [
        ("cat", "cat/2.png"),
        ("cat", "cat/a/b/1.png"),
        ("dog", "dog/4.jpeg.png"),
        ("dog", "dog/train/3.JPG"),
    ]


def test_hidden_folders_and_litter_are_no_classes(tmp_path: Path) -> None:
    litter = (".git/1.png", "__MACOSX/1.png", ".ipynb_checkpoints/1.png", "lost+found/1.png")
    put(tmp_path, "cat/1.png", "dog/1.png", *litter)
    put(tmp_path, "cat/.ipynb_checkpoints/1.png", "cat/__MACOSX/2.png", "cat/.hidden.png")
    assert listed(tmp_path)["train"] == [("cat", "cat/1.png"), ("dog", "dog/1.png")]
    assert folder(tmp_path).warnings == ("left out: lost+found (a folder of a system or a NAS)",)


def test_an_empty_class_is_left_out_with_a_warning(tmp_path: Path) -> None:
    found = folder(put(tmp_path, "cat/1.png", "cow/", "dog/1.png"))
    assert found.classes == ("cat", "dog")
    assert found.warnings == (f"class folder {tmp_path}/cow has no pictures: left out",)


def test_a_class_that_only_the_test_has_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cow/1.png")
    with pytest.raises(DataError, match=r"class 'cow' is in .*/test but has no pictures to train"):
        folder(tmp_path)
    put(tmp_path, "train/cow/")  # an empty folder does not help
    with pytest.raises(DataError, match="class 'cow'"):
        folder(tmp_path)
    put(tmp_path, "train/cow/1.png")
    assert folder(tmp_path).classes == ("cat", "cow", "dog")


def test_a_class_that_the_test_lacks_keeps_its_label(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/1.png", "train/c/1.png", "test/c/1.png", "test/a/1.png")
    found = folder(tmp_path)
    assert found.splits["test"].labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "has no subfolders: put the pictures of each class into one"),
        (["1.png", "2.png"], "has no subfolders"),
        (["cat/", "dog/"], r"has no pictures in its subfolders \(cat, dog\)"),
        (["train/cat/1.png", "train/dog/1.png", "cow/1.png"], "beside them, cow: move it away"),
        (
            ["train/cat/1.png", "train/dog/1.png", "Training/cat/1.png"],
            "has two folders for one split: Training, train",
        ),
        (["\u00e9/1.png", "e\u0301/1.png"], r"accents are coded \('e\\u0301', '\\xe9'\)"),
    ],
)
def test_a_layout_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, paths: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        folder(put(tmp_path, *paths))
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith((str(tmp_path), "cannot read"))


@pytest.mark.parametrize("paths", [["cat/1.png"], ["cat/1.png", "dog/"], ["train/cat/1.png"]])
def test_one_class_can_be_looked_at_and_not_trained_on(tmp_path: Path, paths: list[str]) -> None:
    found = folder(put(tmp_path, *paths))
    assert found.classes == ("cat",)
    with pytest.raises(DataError, match=r"has one class only \(cat\): nothing can be told apart"):
        complete(found, validation_share=0.1, test_share=0.1, seed=0)


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    found = folder(put(tmp_path, "train/1.png", "test/2.png", "plane/3.png"))
    assert found.classes == ("plane", "test", "train")
    assert list(found.splits) == ["train"]
    assert found.warnings == ("named like splits, but taken for classes: test, train",)


def test_only_train_is_a_layout_of_splits(tmp_path: Path) -> None:
    found = folder(put(tmp_path, "train/cat/1.png", "train/dog/2.png"))
    assert found.classes == ("cat", "dog")
    assert list(found.splits) == ["train"]


def test_splits_without_train_can_be_evaluated_but_not_trained_on(tmp_path: Path) -> None:
    put(tmp_path, "val/cat/1.png", "val/dog/1.png", "test/cow/1.png")
    found = folder(tmp_path)
    assert found.classes == ("cat", "cow", "dog")
    assert found.splits["validation"].labels.tolist() == [0, 2]
    assert found.splits["test"].labels.tolist() == [1]
    with pytest.raises(DataError, match=r"no training pictures \(splits: test, validation\)"):
        complete(found, validation_share=0.1, test_share=0.1, seed=0)


def test_pictures_without_a_class_are_left_out_with_a_warning(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png")
    put(tmp_path, "0.png", "train/0.png", "annotations/", "val/")
    found = folder(tmp_path)
    assert list(found.splits) == ["train"]
    assert len(found.splits["train"]) == 2
    assert sorted(found.warnings) == sorted(
        (
            f"{tmp_path}/annotations has no pictures: left out",
            f"{tmp_path}/test has no class folders: left out",
            f"{tmp_path}/val has no pictures: left out",
            f"1 picture in {tmp_path} itself: left out",
            f"1 picture in {tmp_path}/train itself: left out",
        )
    )


NAME = st.text("abzAZ019 _-+éßЖ", min_size=1, max_size=6).map(str.strip).filter(bool)


@given(st.lists(NAME, min_size=2, max_size=8, unique=True))
def test_classes_and_pictures_sort_as_torchvision_has_them(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        # A class with a split's name and classes inside would be a split; here there are none.
        root = put(Path(place), *(f"{name}/{n}.png" for name in names for n in (10, 9, 1)))
        found, oracle = folder(root), ImageFolder(place)
        assert list(found.classes) == oracle.classes
        split = found.splits["train"]
        pairs = [
            (str(path), label) for path, label in zip(split.pictures, split.labels, strict=True)
        ]
        assert pairs == oracle.imgs


def test_numbers_sort_as_torchvision_has_them(tmp_path: Path) -> None:
    put(tmp_path, "10/1.png", "2/1.png", "1/1.png")
    assert folder(tmp_path).classes == ("1", "10", "2") == tuple(ImageFolder(tmp_path).classes)


ODD = ["new\nline", "two  spaces", "caf\udce9", "back\\slash", "\\xe9", "é", "日本", "\x1b[31m"]


def test_odd_names_are_lines_of_utf8_and_none_is_taken_for_another(tmp_path: Path) -> None:
    put(tmp_path, *(f"{name}/{other}.png" for name in ODD for other in ODD))
    found = folder(tmp_path)
    split = found.splits["train"]
    assert len(split) == len(ODD) ** 2 == len(set(split.names))
    assert len(found.classes) == len(ODD) == len(set(found.classes))
    for path, name in zip(split.pictures, split.names, strict=True):
        assert len(name.encode().splitlines()) == 1
        assert name.isprintable()
        assert tmp_path / original(name) == path
    json.dumps([*split.names, *found.classes], ensure_ascii=False).encode()
    kept, unreadable = read(split, GREY, workers=0)
    assert len(kept) == len(ODD) ** 2
    assert unreadable == []


def test_a_root_with_an_odd_name_is_found_again(tmp_path: Path) -> None:
    put(tmp_path / "caf\udce9\n", "cat/1.png", "dog/1.png")
    found = find(tmp_path / "caf\udce9\n")
    for text in (found.name, found.layout, found.origin.text):
        assert len(text.encode().splitlines()) == 1
    again = reopen(found.origin)
    assert again.splits["train"].pictures == found.splits["train"].pictures


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"])))
def test_what_is_shown_of_a_path_can_be_undone(name: str) -> None:
    assert original(shown(name)) == name


@given(st.binary())
def test_what_is_shown_of_any_bytes_is_utf8_and_can_be_undone(content: bytes) -> None:
    name = os.fsdecode(content)
    assert original(shown(name).encode().decode()) == name


def test_links_that_lead_round_in_circles_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "cat/deep/2.png", "dog/1.png", "cow/")
    (tmp_path / "cat" / "itself").symlink_to("itself")
    (tmp_path / "cat" / "deep" / "up").symlink_to("..")
    (tmp_path / "cat" / "all").symlink_to(tmp_path)
    (tmp_path / "dog" / "gone").symlink_to("nowhere")
    (tmp_path / "cow" / "both").symlink_to(tmp_path / "cow")
    (tmp_path / "loop").symlink_to("loop")
    assert listed(tmp_path)["train"] == [
        ("cat", "cat/1.png"),
        ("cat", "cat/deep/2.png"),
        ("dog", "dog/1.png"),
    ]


def test_links_to_pictures_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "store/x/1.png", "store/2.png", "root/dog/3.png", "root/cat/")
    (tmp_path / "root" / "cow").symlink_to(tmp_path / "store" / "x")
    (tmp_path / "root" / "cat" / "2.png").symlink_to(tmp_path / "store" / "2.png")
    (tmp_path / "again").symlink_to(tmp_path / "root")
    names = ["cat/2.png", "cow/1.png", "dog/3.png"]
    assert folder(tmp_path / "root").splits["train"].names == names
    assert folder(tmp_path / "again").splits["train"].names == names


def test_a_folder_that_is_linked_twice_is_listed_once(tmp_path: Path) -> None:
    put(tmp_path, "store/1.png", "cat/")
    for name in ("a", "b"):
        (tmp_path / "cat" / name).symlink_to(tmp_path / "store")
    assert list(list_examples(tmp_path / "cat", "pictures")) == [tmp_path / "cat" / "a" / "1.png"]


def test_what_only_looks_like_a_picture_is_unreadable_and_does_not_wait(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.png", "dog/folder.png/2.png")
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "gone.jpg").symlink_to("nowhere.jpg")
    pictures, unreadable = read(folder(tmp_path).splits["train"], GREY, workers=1)
    assert pictures.split.names == ["cat/1.png", "dog/1.png", "dog/folder.png/2.png"]
    assert [entry.file for entry in unreadable] == ["cat/gone.jpg", "cat/pipe.jpg"]


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder in which this process has no more rights than any user."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        superuser = os.geteuid() == 0
        if superuser:
            os.seteuid(65534)
        try:
            yield Path(place)
        finally:
            if superuser:
                os.seteuid(0)


@pytest.mark.parametrize("closed", [".", "cat", "cat/deep"])
def test_a_folder_that_may_not_be_read_is_not_passed_over(nobody: Path, closed: str) -> None:
    superuser = os.getuid() == 0
    if superuser:
        os.seteuid(0)
    put(nobody, "cat/1.png", "cat/deep/2.png", "dog/1.png")
    for place in nobody.rglob("*"):
        place.chmod(0o755)
    (nobody / closed).chmod(0)
    if superuser:
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match=r"cannot read .*: Permission denied"):
            folder(nobody)
    finally:
        if superuser:
            os.seteuid(0)
        (nobody / closed).chmod(0o755)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_reached_by_its_name_alone(name: str) -> None:
    assert name.isascii()
    assert not usercode.is_reference(name)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("mnst", UsageError, "did you mean mnist"),
        ("nowhere/at/all", DataError, "there is no file or folder nowhere/at/all"),
        (Path("nowhere"), DataError, "there is no file or folder nowhere"),
        ("gone.py:data", UsageError, "no file gone.py"),
    ],
)
def test_data_that_are_not_there_are_said_to_be(
    given: str | Path, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        find(given)


def test_a_file_is_no_folder(photos: Path) -> None:
    with pytest.raises(DataError, match="is no data: DATA is a name, a folder, "):
        find(str(photos / "ring" / "0.png"))


def test_the_folder_above_has_its_real_name(photos: Path) -> None:
    script = "from striate.data import find; print(find('..').name, find('.').name)"
    put(photos, "x/y/1.png", "x/z/1.png")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=photos / "x", capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["photos", "x"]
