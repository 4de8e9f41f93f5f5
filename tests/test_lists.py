"""Tables of paths and labels: the same data as the folder, and one line for what is wrong."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate import api
from striate import data as sources
from striate.data import Data, lists
from striate.data.batches import read
from striate.data.preprocessing import Preprocessing
from striate.errors import DataError, UsageError
from striate.inspection import clean, inspect

COLOUR = Preprocessing(size=(20, 20), channels=3, normalise="none")
Rows = list[dict[str, Any]]


def rows_of(photos: Path) -> Rows:
    return [
        {"file_name": path.relative_to(photos.parent).as_posix(), "label": path.parent.name}
        for path in sorted(photos.rglob("*.png"))
    ]


def store(rows: Rows, path: Path) -> Path:
    """Write rows in the format that the ending names, with the standard libraries."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as handle:
            separator = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(handle, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    return path


def content(found: Data) -> set[tuple[str, str, bytes]]:
    """Give split, class and pixels of each picture."""
    whole = set()
    for name, split in found.splits.items():
        pictures, unreadable = read(split, COLOUR, workers=0)
        assert not unreadable
        assert pictures.held is not None
        for pixels, label in zip(pictures.held, split.labels, strict=True):
            whole.add((name, found.classes[label], pixels.numpy().tobytes()))
    return whole


@pytest.mark.parametrize("suffix", lists.SUFFIXES)
@pytest.mark.parametrize("path", lists.PATHS)
@pytest.mark.parametrize("label", lists.LABELS)
def test_a_table_holds_what_the_folder_does(
    photos: Path, suffix: str, path: str, label: str
) -> None:
    rows = [{path.upper(): r["file_name"], label: r["label"]} for r in rows_of(photos)]
    found = sources.find(store(rows, photos.parent / f"list{suffix}"))
    expected = sources.find(photos)
    assert found.classes == expected.classes
    assert content(found) == content(expected)
    assert sources.reopen(found.origin).splits["train"].names == found.splits["train"].names
    assert path.upper() in found.layout


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_metadata_beside_the_pictures_is_found(photos: Path, tmp_path: Path, suffix: str) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    rows = []
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        shutil.copy(path, flat / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "label": path.parent.name})
    store(rows, flat / f"metadata{suffix}")
    found = sources.find(flat)
    assert content(found) == content(sources.find(photos))
    shutil.copy(flat / "0.png", flat / "more.png")
    assert any("1 picture in" in warning for warning in sources.find(flat).warnings)


def test_split_folders_have_metadata_of_their_own(photos: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        place = tmp_path / "set" / split
        place.mkdir(parents=True)
        rows = []
        for kind in ("cross", "ring"):
            shutil.copy(photos / kind / "0.png", place / f"{kind}.png")
            rows.append({"file_name": f"{kind}.png", "label": kind})
        store(rows, place / "metadata.csv")
    found = sources.find(tmp_path / "set")
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 2,
        "validation": 2,
    }
    assert found.splits["validation"].names[0] == "val/cross.png"


def test_a_column_says_the_split(photos: Path) -> None:
    words = ("train", "Training", "dev", "test", "eval")
    rows = [{**row, "split": words[n % 5]} for n, row in enumerate(rows_of(photos))]
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 6,
        "validation": 3,
        "test": 6,
    }


def test_numbers_as_labels_are_in_their_own_order(photos: Path) -> None:
    numbers = {"cross": 10, "ring": 9, "stripes": 2}
    rows = [{**row, "label": numbers[row["label"]]} for row in rows_of(photos)]
    for suffix in (".csv", ".jsonl", ".parquet"):
        found = sources.find(store(rows, photos.parent / f"list{suffix}"))
        assert found.classes == ("2", "9", "10")


def test_ways_to_write_a_number_are_classes_in_one_order(photos: Path) -> None:
    texts = ["0" * zeros + "7" for zeros in range(8)]
    rows = [row | {"label": texts[place % 8]} for place, row in enumerate(rows_of(photos))]
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert found.classes == tuple(sorted(texts))
    labels = [found.classes[label] for label in found.splits["train"].labels]
    assert labels == [row["label"] for row in rows]


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1
).filter(lambda name: name.strip() == name and name not in (".", "..") and len(name) < 40)


@given(st.dictionaries(NAMES, st.sampled_from(["a, b", 'say "c"', "d"]), min_size=2))
def test_odd_names_and_labels_survive(tmp_path_factory: Any, named: dict[str, str]) -> None:
    place = tmp_path_factory.mktemp("odd")
    if len(set(named.values())) < 2:
        return
    rows = [{"path": name, "label": label} for name, label in named.items()]
    for suffix in lists.SUFFIXES:
        found = sources.find(store(rows, place / f"list{suffix}"))
        split = found.splits["train"]
        back = {
            path.relative_to(place).as_posix(): found.classes[label]
            for path, label in zip(split.pictures, split.labels, strict=True)
        }
        assert back == named


def test_what_is_written_is_read_again(photos: Path) -> None:
    found = sources.find(photos)
    split = found.splits["train"]
    rows = [
        (path, found.classes[label], "train" if n % 3 else "test")
        for n, (path, label) in enumerate(zip(split.pictures, split.labels, strict=True))
    ]
    place = photos.parent / "deep"
    place.mkdir()
    for home in (photos, place):
        (home / "list.csv").write_bytes(lists.as_csv(rows, home))
        again = sources.find(home / "list.csv")
        written = {
            (path.resolve(), again.classes[label], name)
            for name, part in again.splits.items()
            for path, label in zip(part.pictures, part.labels, strict=True)
        }
        assert written == {(path.resolve(), label, name) for path, label, name in rows}


def test_the_same_row_twice_counts_once_and_a_missing_file_is_unreadable(photos: Path) -> None:
    rows = rows_of(photos)
    gone = {"file_name": "gone.png", "label": "ring"}
    found = sources.find(store([*rows, rows[0], gone], photos.parent / "list.csv"))
    _, unreadable = read(found.splits["train"], COLOUR, workers=0)
    assert len(found.splits["train"]) == len(rows) + 1
    assert [(entry.file, entry.reason) for entry in unreadable] == [
        ("gone.png", "cannot be read: No such file or directory")
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "", "has no rows"),
        ("a.csv", "path,label\n", "has no rows"),
        (
            "a.csv",
            "picture,label\nx.png,a\n",
            "no column for the picture's path: name one file_name",
        ),
        ("a.csv", "path,kind\nx.png,a\n", r"no column for the label: .* \(it has path, kind\)"),
        ("a.csv", "path,label\nx.png,a\ny.png\n", "line 3: 1 cells, the header has 2"),
        ("a.csv", "path,label\nx.png,\n", "line 2: label is '', not a text"),
        ("a.csv", "path,label\n,a\n", "line 2: path is '', not a text"),
        ("a.csv", "path,label\nx.png,a\nx.png,b\n", "line 3: .*x.png is b .* and a .* in line 2"),
        ("a.csv", "path,label\nx.png,a\ny.png,a\n", "one class only"),
        ("a.csv", "path,label,split\nx.png,a,trian\n", "line 2: 'trian' is no split: write train"),
        (
            "a.csv",
            "path,label,split\nx,a,train\ny,b,train\nz,c,test\n",
            "class 'c' has no pictures",
        ),
        ("a.jsonl", '{"path": "x", "label": "a"}\nnot\n', "line 2 is no JSON"),
        ("a.jsonl", "[1]\n", "line 1 is no object"),
        ("a.jsonl", '{"path": "x", "label": 1.5}\n', "line 1: label is 1.5"),
        ("a.jsonl", '{"path": "x", "label": true}\n', "line 1: label is True"),
        ("a.parquet", "no parquet", "is damaged"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        sources.find(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_utf8_is_refused_and_a_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("path,label\nx.png,caf\xe9\ny.png,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8"):
        sources.find(path)
    path.write_bytes("\ufeffpath,label\nx.png,caf\xe9\ny.png,b\n".encode())
    assert sources.find(path).classes == ("b", "caf\xe9")


def test_a_run_trains_from_a_table_and_goes_on(photos: Path, tmp_path: Path) -> None:
    path = store(rows_of(photos), photos.parent / "list.csv")
    run = api.train(str(path), out=tmp_path / "run", epochs=1, model="mlp", size=8)
    assert run.folder.name == "run"
    assert run.evaluate().metrics.n == run.result["n"]


def test_a_cleaned_list_has_no_damage_no_copies_and_no_leaks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    root = tmp_path / "set"

    def put(place: str, number: int) -> None:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    for number in range(6):
        put(f"train/a/{number}.png", number)
        put(f"train/b/{number}.png", 10 + number)
    put("test/a/0.png", 100)
    put("test/b/0.png", 101)
    put("test/b/1.png", 102)
    put("test/a/leak.png", 1)  # of train/a/1
    put("train/a/again.png", 2)  # of train/a/2
    put("train/b/wrong.png", 3)  # of train/a/3, in another class
    (root / "train" / "a" / "broken.png").write_bytes(random.bytes(20))
    found = sources.find(root)
    cleaned = clean(found, inspect(found))
    assert cleaned.left_out == {"unreadable": 1, "conflicting": 2, "leaks": 1, "copies": 1}
    (root / "clean.csv").write_bytes(lists.as_csv(cleaned.kept, root))
    report = inspect(sources.find(root / "clean.csv"))
    assert report.warnings == []
    assert report.splits == {"train": 10, "test": 4}
    stay = {kept.path.relative_to(root).as_posix() for kept in cleaned.kept}
    assert "test/a/leak.png" in stay
    assert not {"train/a/1.png", "train/a/3.png", "train/b/wrong.png"} & stay


def test_only_files_can_be_cleaned() -> None:
    found = sources.find("digits")
    with pytest.raises(UsageError, match="digits is not made of files"):
        clean(found, inspect(found))
