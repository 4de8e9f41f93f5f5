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
    api.train(home / "data", out=home / "run", epochs=12, **TINY)
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

    run = api.train(Shades(["b", "c", "d"]), out=tmp_path / "run", epochs=12, **TINY)
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
        tmp_path / "list.csv", out=tmp_path / "run", epochs=12, schedule="constant", **TINY
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
    assert cli.main(["train", "--resume", str(run.folder), "--epochs", "13"]) == 0
    capsys.readouterr()
    # One label is another: measured as it is now, and said; it cannot be continued.
    path, label, split = rows[0]
    write([(path, "d", split), *rows[1:]])
    found = evaluated(capsys, run.folder)
    assert found["relabelled"] == {"pictures": 1, "example": [path, label, "d"]}
    assert found["accuracy"] == pytest.approx(1 - 1 / found["n"])
    assert cli.main(["evaluate", str(run.folder)]) == 0
    assert f"{path} was c, and is d" in capsys.readouterr().out
    assert cli.main(["train", "--resume", str(run.folder), "--epochs", "14"]) == 1
    assert f"{path} was c, and is d" in capsys.readouterr().err


def noise(number: int, side: int = 16) -> Image.Image:
    """A picture that nothing but memory could tell from the others."""
    random = np.random.default_rng([9, number])
    return Image.fromarray(random.integers(0, 255, (side, side, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with random labels, and a run that was trained on 22 of each 30."""
    home = tmp_path_factory.mktemp("remembered")
    for number in range(60):
        (home / "noise" / "pq"[number % 2]).mkdir(parents=True, exist_ok=True)
        noise(number).save(home / "noise" / "pq"[number % 2] / f"{number:03d}.png")
    choices = {**TINY, "size": 16, "arguments": {"hidden": 64}}
    api.train(home / "noise", out=home / "run", epochs=2, **choices)
    return home


def renamed(data: Path, place: Path) -> Path:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        (place / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / path.parent.name / f"other-{59 - number}.png")
    return place


def in_another_format(data: Path, place: Path) -> Path:
    for path in data.rglob("*.png"):
        (place / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.open(path).save(place / path.parent.name / f"{path.stem}.bmp")
    return place


def zipped(data: Path, place: Path) -> Path:
    return Path(shutil.make_archive(str(place), "zip", data))


def listed(data: Path, place: Path) -> Path:
    rows = [f"{path},{path.parent.name}" for path in sorted(data.rglob("*.png"))]
    place.with_suffix(".csv").write_text("\n".join(["path,label", *rows]))
    return place.with_suffix(".csv")


@pytest.mark.parametrize(
    "change", [lambda data, _: data, renamed, in_another_format, zipped, listed]
)
def test_pictures_that_were_trained_on_are_counted(
    change: Callable[[Path, Path], Path],
    remembered: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = change(remembered / "noise", tmp_path / "other")
    found = evaluated(capsys, remembered / "run", data)["trained_on"]
    counts = {key: found[key] for key in ("checked", "pictures", "near", "n", "validation")}
    assert counts == {"checked": "pixels", "pictures": 44, "near": 0, "n": 60, "validation": 4}
    table = folder.read_splits(remembered / "run")
    assert found["example"][1] in table["train"]
    left = [name for part in ("validation", "test") for name in table[part]]
    assert found["rest"]["n"] == len(left) == 16
    run = api.load(remembered / "run")
    right = sum(
        round(run.evaluate(split=p).accuracy * len(table[p])) for p in table if p != "train"
    )
    assert found["rest"]["accuracy"] == right / 16
    assert cli.main(["evaluate", str(remembered / "run"), str(data)]) == 0
    first, line = capsys.readouterr().out.splitlines()[:2]
    assert "60 pictures, 44 of them trained on)" in first
    assert line.startswith("44 of 60 pictures were trained on (")
    assert f"accuracy of the other 16, 4 of which chose the epoch: {right / 16:.2%}"[:-1] in line


def test_pictures_as_arrays_and_near_copies_are_counted(
    remembered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = api.load(remembered / "run")
    taught = folder.read_splits(run.folder)["train"][::4][:10]
    pairs = [
        (np.asarray(Image.open(remembered / "noise" / name)), int(name.startswith("q")))
        for name in taught
    ]

    class Own(list[Any]):
        classes = ("p", "q")

    found = run.evaluate(Own(pairs)).trained_on
    assert found is not None
    assert (found["pictures"], found["near"], found["rest"]) == (10, 0, None)
    for number, name in enumerate(taught):
        place = tmp_path / "changed" / name[0] / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        large = Image.open(remembered / "noise" / name).resize((48, 48), Image.Resampling.BICUBIC)
        large.save(place, quality=95)
    for number, kind in enumerate("pq"):  # and two that nobody has seen
        noise(200 + number).save(tmp_path / "changed" / kind / "new.png")
    assert cli.main(["evaluate", str(run.folder), str(tmp_path / "changed")]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("10 of 12 pictures were trained on, 10 of them as near-copies (")
    assert "accuracy of the other 2: " in line


def test_what_was_not_trained_on_is_passed_over_in_silence(
    remembered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        (tmp_path / "new" / "pq"[number % 2]).mkdir(parents=True, exist_ok=True)
        noise(100 + number).save(tmp_path / "new" / "pq"[number % 2] / f"{number:03d}.png")
    found = evaluated(capsys, remembered / "run", tmp_path / "new")["trained_on"]
    assert (found["pictures"], found["validation"], found["rest"]) == (0, 0, None)
    assert cli.main(["evaluate", str(remembered / "run"), str(tmp_path / "new")]) == 0
    assert "trained on" not in capsys.readouterr().out
    assert evaluated(capsys, remembered / "run")["trained_on"] is None, "its own test split"


def test_a_run_without_fingerprints_says_what_it_could_not_check(
    remembered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(remembered / "run", tmp_path / "run")
    (run / folder.FINGERPRINTS).unlink()
    found = evaluated(capsys, run, remembered / "noise")["trained_on"]
    assert (found["checked"], found["pictures"], found["rest"]["n"]) == ("names", 44, 16)
    assert cli.main(["evaluate", str(run), str(remembered / "noise")]) == 0
    assert "44 of 60 pictures were trained on (told by their names" in capsys.readouterr().out
    moved = renamed(remembered / "noise", tmp_path / "other")
    for place in (run, run / folder.BUNDLE):
        assert evaluated(capsys, place, moved)["trained_on"]["checked"] == "nothing"
        assert cli.main(["evaluate", str(place), str(moved)]) == 0
        assert "not checked whether these pictures were trained on" in capsys.readouterr().out


def test_a_damaged_byte_of_the_fingerprints_is_an_error_or_changes_nothing(
    remembered: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(remembered / "run", tmp_path / "run")
    path = run / folder.FINGERPRINTS
    whole, expected = path.read_bytes(), folder.read_fingerprints(run)
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            found = folder.read_fingerprints(run)
        except DataError:
            continue
        assert found == expected


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
    # One that nobody has pictures of is no class.
    parts["test"] = pairs("002")
    assert api.train(parts, out=tmp_path / "run", epochs=1, **TINY).classes == ("0", "2")


def test_an_evaluation_names_a_class_that_cannot_be_read(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = put(tmp_path / "other", {"b": 0, "c": 1}, 3, first=90)
    for path in (other / "c").iterdir():
        broken(path)
    assert evaluated(capsys, trained / "run", other)["lost_classes"] == ["c"]
    assert cli.main(["evaluate", str(trained / "run"), str(other)]) == 0
    assert "none of their pictures can be read: 'c'" in capsys.readouterr().out
