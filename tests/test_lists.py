"""Tables of paths and labels: the same data as the folder, and one line for what is wrong."""

import csv
import itertools
import json
import re
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
from striate.data import Data
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.sources import columns, lists, records
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
    """Return split, class and pixels of each picture."""
    whole = set()
    for name, split in found.splits.items():
        pictures, unreadable = read(split, COLOUR, workers=0)
        assert not unreadable
        assert pictures.pixels is not None
        for pixels, label in zip(pictures.pixels, split.labels, strict=True):
            whole.add((name, found.classes[label], pixels.numpy().tobytes()))
    return whole


@pytest.mark.parametrize("suffix", records.SUFFIXES)
@pytest.mark.parametrize(
    ("path", "label"), list(zip(columns.PATHS, itertools.cycle(columns.LABELS), strict=False))
)
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
    (flat / "deep").mkdir()
    shutil.copy(flat / "0.png", flat / "deep" / "more.png")
    assert any("2 pictures in" in warning for warning in sources.find(flat).warnings)


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


@pytest.mark.parametrize("column", ["split", "Set", "subset", "partition", "phase"])
def test_a_column_says_the_split(photos: Path, column: str) -> None:
    words = ("train", "Training", "dev", " test", "eval")
    rows = [{**row, column: words[n % 5]} for n, row in enumerate(rows_of(photos))]
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
    for name in named:
        (place / name).touch()
    for suffix in records.SUFFIXES:
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
    said = f"1 of 16 listed files not there ({photos.parent}/list.csv, line 18: gone.png)"
    assert found.warnings == (said,)


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
        ("a.csv", "path,label\nx.png,a\ny.png\n", "line 3: 1 cell, the header has 2"),
        ("a.csv", "path,label\nx.png,\n", "line 2: label is '', not a text"),
        ("a.csv", "path,label\n,a\n", "line 2: path is '', not a text"),
        ("a.csv", "path,label\nx.png,a\nx.png,b\n", "line 3: .*x.png is b .* and a .* in line 2"),
        ("a.csv", "path,label,split\nx.png,a,trian\n", "line 2: 'trian' is no split: write train"),
        (
            "a.csv",
            "path,label,split\nx,a,train\ny,b,train\nz,c,test\n",
            "class 'c' has no pictures",
        ),
        ("a.jsonl", '{"path": "x", "label": "a"}\nnot\n', "line 2 is no JSON"),
        ("a.jsonl", "[1]\n", "line 1 is no object"),
        ("a.jsonl", '{"path": "x", "label": [1.5]}\n', r"line 1: label is \['1.5'\]"),
        ("a.jsonl", '{"path": "x", "label": null}\n', "line 1: label is None"),
        ("a.jsonl", '{"path": "x", "label": NaN}\n', "line 1: label is None"),
        ("a.csv", "path,label,label\nx.png,a,b\n", "two columns named label"),
        (
            "a.csv",
            "path,label\nhttps://x.org/a.png,a\nhttp://x.org/b.png,b\n",
            r"URLs in 2 rows \(line 2: https://x.org/a.png\): URLs are not fetched",
        ),
        ("a.csv", "path,label\nx.png,a\ny.png,b\n", "none of 2 .* line 2: x.png.*start from"),
        ("a.csv", "path,label\nC:\\x.png,a\nC:\\y.png,b\n", "a whole path, of another computer"),
        ("a.csv", "C:\\x.png,a\nC:\\y.png,b\n", "its first line must be a header"),
        ("a.csv", f"path,label\n{'x' * 5000}.png,a\ny.png,b\n", r"line 2: x{100}\.\.\.\)"),
        ("a.csv", "path,label\n/x/x.png,a\n/x/y.png,b\n", "a whole path, of another computer"),
        ("a.csv", "path,label\nx,a\ny,b\n", "names need their ending"),
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
    (tmp_path / "x.png").touch()
    (tmp_path / "y.png").touch()
    text = "\ufeffpath,label\nx.png,caf\xe9\ny.png,b\n"
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):  # with the mark of each
        path.write_bytes(text.encode(encoding))
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


WRITTEN = {
    "semi.csv": "path;label;note\nphotos/{0};cross;a, b\nphotos/{1};ring;c\n",
    "quoted.csv": 'path;label\n"photos/{0}";cross\n"photos/{1}";"ring"\n',
    "tabs.csv": "path\tlabel\nphotos/{0}\tcross\nphotos/{1}\tring\n",
    "commas.tsv": "path,label\nphotos/{0},cross\nphotos/{1},ring\n",
    "told.csv": "sep=;\npath;label\nphotos/{0};cross\nphotos/{1};ring\n",
    "blanks.csv": 'path, label, note\nphotos/{0}, cross, "a, b"\nphotos/{1}, ring , c\n',
    "trailing.csv": "path;label\nphotos/{0};cross;;\n;;\nphotos/{1};ring;\n",
    "comma-in-header.csv": "path;label;note, long\nphotos/{0};cross;x\nphotos/{1};ring;y\n",
    "crlf.csv": "path;label\r\nphotos/{0};cross\r\nphotos/{1};ring\r\n",
    "windows.csv": "path,label\nphotos\\{0},cross\n.\\photos\\{1},ring\n",
    "windows.jsonl": '{{"path": "photos\\\\{0}", "label": "cross"}}\n'
    '{{"path": "photos/{1}", "label": "ring", "note": 1}}\n',
    "whole.csv": "path,label\nfile://{2}/photos/{0},cross\n{2}/photos/{1},ring\n",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_tables_are_read_as_people_write_them(photos: Path, name: str) -> None:
    home = photos.parent
    text = WRITTEN[name].format("cross/0.png", "ring/0.png", home)
    if name.startswith("windows"):
        text = text.replace("cross/0.png", "cross\\\\0.png" if "jsonl" in name else "cross\\0.png")
    (home / name).write_bytes(text.encode())
    found = sources.find(home / name)
    split = found.splits["train"]
    pictures = [path.relative_to(home).as_posix() for path in split.pictures]
    assert pictures == ["photos/cross/0.png", "photos/ring/0.png"]
    assert found.classes == ("cross", "ring")
    assert found.warnings == ()
    assert ("not used: note" in found.layout) == ("note" in text)
    assert "7 pictures beside them in no row" in found.layout


def test_a_file_whose_name_has_a_backslash_is_itself(photos: Path) -> None:
    shutil.copy(photos / "ring" / "0.png", photos / "cross\\0.png")
    (photos / "a.csv").write_text("path,label\ncross\\0.png,ring\ncross\\1.png,cross\n")
    names = [path.name for path in sources.find(photos / "a.csv").splits["train"].pictures]
    assert names == ["cross\\0.png", "1.png"]


@pytest.mark.parametrize("labels", [(True, False), (0.0, 1.0), (1, 2), ("cat", "dog")])
def test_a_label_is_the_same_class_in_every_format(photos: Path, labels: tuple[Any, Any]) -> None:
    rows = [{**row, "label": labels[n % 2]} for n, row in enumerate(rows_of(photos))]
    written = [{**row, "label": json.dumps(row["label"]).strip('"')} for row in rows]
    csv_file = sources.find(store(written, photos.parent / "list.csv"))
    for suffix in (".jsonl", ".parquet"):
        found = sources.find(store(rows, photos.parent / f"list{suffix}"))
        assert found.classes == csv_file.classes
        assert (found.splits["train"].labels == csv_file.splits["train"].labels).all()


def test_labels_have_one_form_and_those_that_look_alike_are_named(photos: Path) -> None:
    forms = ("caf\xe9", "cafe\u0301", " caf\xe9 ", "dog", "dog\t")
    rows = [{**row, "label": forms[n % 5]} for n, row in enumerate(rows_of(photos))]
    for suffix in records.SUFFIXES:
        found = sources.find(store(rows, photos.parent / f"list{suffix}"))
        assert found.classes == ("caf\xe9", "dog")
        assert found.warnings == ()
    rows[3]["label"] = "Dog"
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert any("'Dog'" in one and "'dog'" in one for one in found.warnings)


@pytest.mark.parametrize("words", [("True", "False"), ("1", "0"), ("yes", ""), (True, False)])
@pytest.mark.parametrize("column", ["is_valid", "is_test"])
def test_a_true_or_false_says_the_split(photos: Path, column: str, words: Any) -> None:
    rows = [{**row, column: words[n % 3 > 0]} for n, row in enumerate(rows_of(photos))]
    suffix = ".jsonl" if words == (True, False) else ".csv"
    found = sources.find(store(rows, photos.parent / f"list{suffix}"))
    held = {"is_valid": "validation", "is_test": "test"}[column]
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 10, held: 5}
    both = [{**row, "is_valid": n % 3 == 0, "is_test": n % 3 == 1} for n, row in enumerate(rows)]
    assert len(sources.find(store(both, photos.parent / "list.csv")).splits) == 3
    both[0]["is_test"] = True
    with pytest.raises(DataError, match="line 2 is both validation and test"):
        sources.find(store(both, photos.parent / "list.csv"))


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("fold", (0, 1, 2), "column fold of .* not used: to hold a fold out, add a column split"),
        ("is_valid", (1, 1, 1), "column is_valid of .* is not used"),
        ("is_train", (1, 1, 0), "column is_train of .* is not used: if it says the splits"),
        ("set", ("a", "b", "c"), "column set of .* is not used"),
    ],
)
def test_what_looks_like_a_split_and_is_none_is_named(
    photos: Path, column: str, values: tuple[Any, ...], words: str
) -> None:
    rows = [{**row, column: values[n % 3], "x": 1} for n, row in enumerate(rows_of(photos))]
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert set(found.splits) == {"train"}
    assert any(re.search(words, warning) for warning in found.warnings)
    assert f"not used: {column}, x" in found.layout
    # What says it plainly is used, and then nothing looks odd.
    named = [{**row, "split": ("train", "test")[n % 3 == 0]} for n, row in enumerate(rows)]
    found = sources.find(store(named, photos.parent / "list.csv"))
    assert set(found.splits) == {"train", "test"}
    assert found.warnings == ()
    named[1]["split"] = ""
    found = sources.find(store(named, photos.parent / "list.csv"))
    assert found.warnings == (f"1 row of {photos.parent}/list.csv without a split: to train on",)


def test_two_columns_that_name_splits_are_one_too_many(photos: Path) -> None:
    rows = [
        {**row, "a": ("train", "test")[n % 2], "b": ("test", "train")[n % 2]}
        for n, row in enumerate(rows_of(photos))
    ]
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert set(found.splits) == {"train"}
    assert "columns a, b of" in found.warnings[0]


def test_rows_with_urls_are_left_out_and_counted(photos: Path) -> None:
    rows = [*rows_of(photos), {"file_name": "https://example.org/a.png", "label": "ring"}]
    found = sources.find(store(rows, photos.parent / "list.csv"))
    assert len(found.splits["train"]) == 15
    assert any("URLs in 1 row (line 17: https://" in warning for warning in found.warnings)


def test_where_the_files_are_is_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    store(rows_of(photos), deep / "list.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"it is there from {tmp_path}: move the table"):
        sources.find(deep / "list.csv")
    (deep / "list.csv").rename(tmp_path / "list.csv")
    (tmp_path / "images").mkdir()
    photos.rename(tmp_path / "images" / "photos")
    with pytest.raises(DataError, match="it is in images there: write images/ before it"):
        sources.find(tmp_path / "list.csv")


def test_captions_leave_the_labels_to_the_class_folders(photos: Path) -> None:
    rows = [
        {"file_name": path.relative_to(photos).as_posix(), "text": "a drawing"}
        for path in photos.rglob("*.png")
    ]
    store(rows, photos / "metadata.csv")
    found = sources.find(photos)
    assert content(found) == content(sources.find(photos))
    assert found.classes == ("cross", "ring", "stripes")
    assert "metadata.csv has no column for the label: the class folders say it" in found.warnings
    flat = photos / "ring"
    store([{"file_name": "0.png", "text": "a"}], flat / "metadata.csv")
    with pytest.raises(
        DataError, match=r"no column for the label: .* say which it is with --label-col"
    ):
        sources.find(flat)
