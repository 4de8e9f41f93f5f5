"""Tables written as they come: read back by other libraries, and whole or not there."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from striate import api, cli, tables
from striate.errors import DataError, UsageError
from striate.files import TEMPORARY

SCHEMA = pa.schema([("file", pa.string()), ("share", pa.float64()), ("error", pa.string())])
ROWS: list[dict[str, Any]] = [
    {"file": 'a, "b"\n.png', "share": 0.1 + 0.2, "error": None},
    {"file": "ü.png", "share": None, "error": "damaged"},
]


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as handle:
        return [
            {
                "file": row["file"],
                "share": float(row["share"]) if row["share"] else None,
                "error": row["error"] or None,
            }
            for row in csv.DictReader(handle)
        ]


@pytest.mark.parametrize("suffix", tables.FORMATS)
@pytest.mark.parametrize("count", [0, 1, 2, 25_001])
def test_rows_are_read_back(tmp_path: Path, suffix: str, count: int) -> None:
    path = tmp_path / f"rows{suffix}"
    rows = [ROWS[n % 2] for n in range(count)]
    with tables.writing(path, SCHEMA) as add:
        for row in rows:
            add(row)
    assert read_back(path) == rows
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_what_fails_leaves_the_older_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(b"older")

    def rows() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise RuntimeError("halfway")

    def write() -> None:
        with tables.writing(path, SCHEMA) as add:
            for row in rows():
                add(row)

    with pytest.raises(RuntimeError, match="halfway"):
        write()
    assert path.read_bytes() == b"older"
    assert not list(tmp_path.glob(TEMPORARY + "*"))


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "rows.csv"
    with pytest.raises(DataError, match=r"cannot write .*rows\.csv"), tables.writing(path, SCHEMA):
        pass


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"rows\.xlsx: the ending says the format, \.jsonl"),
        tables.writing(tmp_path / "rows.xlsx", SCHEMA),
    ):
        pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    place = tmp_path_factory.mktemp("run") / "run"
    return api.train("digits", model="mlp", epochs=1, out=place, arguments={"hidden": 4})


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_predictions_are_written_as_they_are_printed(
    run: api.Run, photos: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "ring" / "bad.png").write_bytes(b"no picture")
    path = tmp_path / f"answers{suffix}"
    arguments = ["predict", str(run.folder), str(photos), "--top", "2"]
    assert cli.main([*arguments, "-o", str(path)]) == 0
    assert "16 pictures, 1 of them unreadable" in capsys.readouterr().err
    assert cli.main([*arguments, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    if suffix == ".csv":
        with path.open(newline="") as handle:
            found: list[dict[str, Any]] = list(csv.DictReader(handle))
    else:
        found = read_back(path)
    assert len(found) == len(expected) == 16
    for row, known in zip(found, expected, strict=True):
        assert row["file"] == known["file"]
        assert (row["error"] or None) == known["error"]
        for number, ranked in enumerate(known["classes"], 1):
            assert row[f"class_{number}"] == ranked["name"]
            assert float(row[f"probability_{number}"]) == ranked["probability"]


def test_rows_come_before_the_last_picture_is_read(run: api.Run, photos: Path) -> None:
    picture = next(photos.rglob("*.png"))
    rows = run.stream([str(picture)] * 1000)
    assert next(rows).file == str(picture)
    rows.close()  # type: ignore[attr-defined]


def test_a_wrong_ending_is_said_before_any_work(
    run: api.Run, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(run.folder), str(photos), "-o", "answers.txt"]) == 2
    assert "the ending says the format" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_an_evaluation_is_written_picture_by_picture(
    run: api.Run, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"answers{suffix}"
    assert cli.main(["evaluate", str(run.folder), "-o", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = pq.read_table(run.folder / "predictions.parquet").to_pylist()
    if suffix == ".csv":
        with path.open(newline="") as handle:
            found: list[dict[str, Any]] = list(csv.DictReader(handle))
    else:
        found = read_back(path)
    assert len(found) == printed["n"]
    for row, known in zip(found, expected, strict=True):
        assert [row[key] for key in ("file", "class", "predicted")] == [
            known[key] for key in ("file", "class", "predicted")
        ]
        assert float(row["probability"]) == known["probability"]
    right = sum(row["class"] == row["predicted"] for row in found)
    assert right / len(found) == printed["accuracy"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_reading_a_table_leaves_no_thread_behind(tmp_path: Path) -> None:
    """A thread of Arrow's that outlives the interpreter would abort a finished command."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"file": ["a.png", "b.png"]}), path)
    code = (
        "import os, sys\nfrom pathlib import Path\nimport pyarrow.parquet\n"
        "from striate import tables\npath = Path(sys.argv[1])\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\nbefore = count()\n"
        "tables.read_parquet(path), tables.read_parquet(path.read_bytes(), checksums=True)\n"
        "assert count() == before, (before, count())"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_only_one_function_reads_parquet() -> None:
    readers = [
        path.name
        for path in Path(tables.__file__).parent.rglob("*.py")
        if re.search(r"read_table|ParquetFile|ParquetDataset|read_pandas", path.read_text())
    ]
    assert readers == ["tables.py"]
