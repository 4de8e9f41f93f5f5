"""Evaluation: labels by name, whatever has become of the data since the training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate import api, cli
from striate.errors import DataError
from striate.runs import folder

TINY: dict[str, Any] = {
    "model": "mlp",
    "arguments": {"hidden": 8},
    "size": 8,
    "batch_size": 8,
    "crop_padding": 0,
    "flip": False,
}


def shade(kind: int, number: int, side: int = 12) -> Image.Image:
    """A picture of a class: noise about one of a few colours."""
    random = np.random.default_rng([kind, number])
    pixels = random.integers(0, 60, (side, side, 3))
    pixels[..., kind % 3] += 60 + 60 * (kind // 3)
    return Image.fromarray(pixels.astype(np.uint8))


def put(root: Path, kinds: dict[str, int], count: int, first: int = 0) -> Path:
    for name, kind in kinds.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            shade(kind, number).save(root / name / f"{number:03d}.png")
    return root


def evaluated(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert cli.main(["evaluate", *map(str, words), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of split folders, and a run that knows it."""
    home = tmp_path_factory.mktemp("trained")
    put(home / "data" / "train", {"b": 0, "c": 1, "d": 2}, 12)
    put(home / "data" / "test", {"c": 1, "d": 2}, 6, first=50)
    api.train(home / "data", out=home / "run", epochs=25, **TINY)
    return home


def taken_away(data: Path) -> None:
    shutil.move(data / "train", data.parent / "away")


def added(data: Path) -> None:
    put(data / "train", {"a": 3, "e": 4}, 4)


def one_gone(data: Path) -> None:
    shutil.rmtree(data / "train" / "b")


@pytest.mark.parametrize("change", [taken_away, added, one_gone])
def test_an_own_split_is_labelled_by_name(
    change: Callable[[Path], None],
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    record = json.loads((home / "run" / "data.json").read_text())
    record["origin"]["text"] = str(home / "data")
    (home / "run" / "data.json").write_text(json.dumps(record))
    before = evaluated(capsys, home / "run")
    assert before["accuracy"] == 1
    change(home / "data")
    assert evaluated(capsys, home / "run") == before


def test_a_renamed_class_is_an_error_that_names_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    (home / "data" / "test" / "c").rename(home / "data" / "test" / "x")
    (home / "data" / "train" / "c").rename(home / "data" / "train" / "x")
    assert cli.main(["evaluate", str(home / "run"), str(home / "data")]) == 1
    assert "does not know ('x')" in capsys.readouterr().err


def test_an_own_dataset_may_list_its_classes_in_another_order(tmp_path: Path) -> None:
    class Shades:
        def __init__(self, classes: list[str]) -> None:
            self.classes = classes

        def __len__(self) -> int:
            return 36

        def __getitem__(self, row: int) -> tuple[Any, int]:
            return np.asarray(shade(row % 3, row)), self.classes.index("bcd"[row % 3])

    run = api.train(Shades(["b", "c", "d"]), out=tmp_path / "run", epochs=25, **TINY)
    for classes in ("bcd", "dcb", "abcde"):
        found = run.evaluate(Shades(list(classes)))
        assert found.accuracy == 1
        assert found.classes == ("b", "c", "d")


def test_a_table_whose_order_labels_or_splits_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = put(tmp_path / "pictures", {"c": 1, "d": 2, "e": 4}, 12)
    rows = [
        (f"pictures/{path.relative_to(data)}", path.parent.name, "test" if n % 3 == 0 else "train")
        for n, path in enumerate(sorted(data.rglob("*.png")))
    ]

    def write(rows: list[tuple[str, str, str]]) -> None:
        lines = ["path,label,split", *(",".join(row) for row in rows)]
        (tmp_path / "list.csv").write_text("\n".join(lines))

    write(rows)
    run = api.train(
        tmp_path / "list.csv", out=tmp_path / "run", epochs=25, schedule="constant", **TINY
    )
    before = evaluated(capsys, run.folder)
    assert before["relabelled"] is None
    # Rows in another order, a class before the others, and some that changed their splits.
    put(tmp_path / "pictures", {"a": 3}, 4)
    more = [(f"pictures/a/{number:03d}.png", "a", "train") for number in range(4)]
    moved = [
        (path, label, "test" if label == "c" and path.endswith(("1.png", "7.png")) else split)
        for path, label, split in rows
    ]
    write([*more, *reversed(moved)])
    assert evaluated(capsys, run.folder) == before
    assert cli.main(["train", "--resume", str(run.folder), "--epochs", "26"]) == 0
    capsys.readouterr()
    # One label is another: measured as it is now, and said; it cannot be continued.
    path, label, split = rows[0]
    write([(path, "d", split), *rows[1:]])
    found = evaluated(capsys, run.folder)
    assert found["relabelled"] == {"pictures": 1, "example": [path, label, "d"]}
    assert found["accuracy"] == pytest.approx(1 - 1 / found["n"])
    assert cli.main(["evaluate", str(run.folder)]) == 0
    assert f"{path} was c, and is d" in capsys.readouterr().out
    assert cli.main(["train", "--resume", str(run.folder), "--epochs", "27"]) == 1
    assert f"{path} was c, and is d" in capsys.readouterr().err


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_a_class_with_nothing_left_to_train_on_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = put(tmp_path / "data", {"b": 0, "c": 1, "d": 2}, 8)
    for path in (data / "c").iterdir():
        broken(path)
    choices = ["--model", "mlp", "--size", "8", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert cli.main(["train", str(data), *choices]) == 1
    said = capsys.readouterr().err
    assert "class 'c' has no pictures to train on (8 cannot be read, the first: c/0" in said
    assert not (tmp_path / "run").exists()
    # All that is readable of a class may have gone to the other splits.
    put(data, {"c": 1}, 8)
    run = api.train(data, out=tmp_path / "whole", epochs=1, **TINY)
    left = folder.read_splits(run.folder)["train"]
    for name in left:
        if name.startswith(("c/", "d/")):
            broken(data / name)
    assert cli.main(["train", str(data), *choices]) == 1
    assert "classes 'c', 'd' have no pictures to train on (10 cannot" in capsys.readouterr().err


def test_a_class_that_only_another_split_has_is_refused(tmp_path: Path) -> None:
    def pairs(labels: str) -> list[tuple[Any, int]]:
        return [(np.asarray(shade(int(n), row)), int(n)) for row, n in enumerate(labels)]

    parts = {"train": pairs("00022"), "test": pairs("0012")}
    with pytest.raises(DataError, match="class '1' has no pictures to train on: add some"):
        api.train(parts, out=tmp_path / "run", epochs=1, **TINY)
    # One that nobody has pictures of is none that could be taught.
    parts["test"] = pairs("002")
    assert api.train(parts, out=tmp_path / "run", epochs=1, **TINY).classes == ("0", "1", "2")


def test_an_evaluation_names_a_class_that_cannot_be_read(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = put(tmp_path / "other", {"b": 0, "c": 1}, 3, first=90)
    for path in (other / "c").iterdir():
        broken(path)
    assert evaluated(capsys, trained / "run", other)["lost_classes"] == ["c"]
    assert cli.main(["evaluate", str(trained / "run"), str(other)]) == 0
    assert "none of their pictures can be read: 'c'" in capsys.readouterr().out
