import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from torchvision.datasets import ImageFolder

from striate.data import complete, find, reopen
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.splits import Data
from striate.errors import DataError, UsageError

GREY = Preprocessing(size=(4, 4), channels=1, normalise="none")


class Drawn(Dataset[Any]):
    """Pictures of a kind, with labels of a kind."""

    def __init__(self, count: int = 12, classes: int = 3) -> None:
        self.labels: list[Any] = [n % classes for n in range(count)]
        self.fetched = 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        self.fetched += 1
        return np.full((4, 4), place % 256, np.uint8), self.labels[place]


def made(count: int = 12) -> dict[str, Any]:
    return {"train": Drawn(count), "test": Drawn(6)}


def with_labels(*labels: Any) -> Drawn:
    found = Drawn()
    found.labels = list(labels)
    return found


def test_a_dataset_is_all_for_training() -> None:
    found = find(Drawn())
    assert isinstance(found, Data)
    split = found.splits["train"]
    assert found.classes == ("0", "1", "2")
    assert split.labels.tolist() == [0, 1, 2] * 4
    assert split.names[11] == "train/00011"
    assert [int(picture[0, 0]) for picture in split.pictures] == list(range(12))
    assert "Drawn".lower() in found.layout


def test_a_dict_of_datasets_is_splits_by_any_of_their_names() -> None:
    found = find({"train": Drawn(), "val": Drawn(3), "Testing": Drawn(6)})
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 12,
        "validation": 3,
        "test": 6,
    }
    assert found.splits["validation"].names[0] == "validation/00000"
    with pytest.raises(UsageError, match="unknown split 'holdout': choose one of train, valid"):
        find({"train": Drawn(), "holdout": Drawn()})
    with pytest.raises(UsageError, match="two splits for validation: train, val, dev"):
        find({"train": Drawn(), "val": Drawn(), "dev": Drawn()})


@pytest.mark.parametrize(
    "picture",
    [
        np.full((4, 4), 51, np.uint8),
        np.full((4, 4, 3), 51, np.uint8),
        torch.full((1, 4, 4), 51, dtype=torch.uint8),
        torch.full((3, 4, 4), 0.2),
        Image.new("L", (4, 4), 51),
        Image.new("RGB", (4, 4), (51, 51, 51)),
    ],
)
def test_pictures_may_be_arrays_tensors_or_pillows(picture: object) -> None:
    found = find([(picture, 0), (picture, 1)])
    pictures, unreadable = read(found.splits["train"], GREY, workers=1)
    assert unreadable == []
    assert pictures.pixels is not None
    assert pictures.pixels.unique().tolist() == [51]


def test_pictures_may_be_paths(photos: Path) -> None:
    found = find([(photos / "ring" / "0.png", 0), (photos / "cross" / "0.png", 1)])
    assert len(read(found.splits["train"], GREY, workers=1)[0]) == 2


@pytest.mark.parametrize(
    "label",
    [1, True, np.int64(1), np.uint8(1), torch.tensor(1), torch.tensor([1]), np.array(1)],
)
def test_labels_may_be_whole_numbers_of_any_kind(label: object) -> None:
    assert find(with_labels(0, label)).splits["train"].labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (1.0, "train/00001 has 1.0"),
        (1.5, "train/00001 has 1.5"),
        ("cat", "train/00001 has 'cat'"),
        (" ", "train/00001 has ' '"),
        (None, "train/00001 has None"),
        (torch.tensor(1.0), r"train/00001 has tensor\(1.\)"),
        (torch.eye(30), "train/00001 has Tensor tensor"),
        (-1, "labels are 0, 1, 2, ...: train/00001 has -1"),
        (2024_11_23, "train/00001 has 20241123"),
    ],
)
def test_a_label_that_is_no_class_is_refused_with_its_place(label: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        find(with_labels(0, label, 1))
    assert len(str(caught.value).splitlines()) == 1


def test_the_classes_are_named_by_the_dataset() -> None:
    data = Drawn()
    data.classes = ["ant", "bee", "cat", "dog"]  # type: ignore[attr-defined]
    for whole in (data, {"train": Drawn(), "test": data}):
        found = find(whole)
        assert found.classes == ("ant", "bee", "cat")
        assert found.warnings == ("1 of 4 classes left out, without pictures: dog",)
    data.classes = ["ant", "bee"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="names 2 classes but has the label 2"):
        find(data)
    data.classes = ["ant", "ant", "bee"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="two classes of one name"):
        find(data)


def test_two_datasets_number_their_classes_apart_and_agree_by_name() -> None:
    train, test = Drawn(), Drawn()
    train.classes, test.classes = ["ant", "bee", "cat"], ["cat", "bee", "ant", "dog"]  # type: ignore[attr-defined]
    found = find({"train": train, "test": test})
    assert found.classes == ("ant", "bee", "cat")
    for part, dataset in (("train", train), ("test", test)):
        names = [found.classes[label] for label in found.splits[part].labels]
        assert names == [dataset.classes[label] for _, label in dataset]  # type: ignore[attr-defined]


def test_classes_without_an_order_are_refused() -> None:
    data = Drawn()
    data.classes = {"ant", "bee", "cat"}  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="a set, which has no order"):
        find({"train": data})


@given(st.lists(st.integers(0, 9), min_size=2).filter(lambda labels: len(set(labels)) > 1))
def test_each_label_that_occurs_is_a_class_and_no_other(labels: list[int]) -> None:
    found = find(with_labels(*labels))
    assert found.classes == tuple(map(str, sorted(set(labels))))
    assert [int(found.classes[place]) for place in found.splits["train"].labels] == labels
    counts_from_0 = set(labels) == set(range(len(set(labels))))
    assert len(found.warnings) == (not counts_from_0)
    assert all("labels are" in warning for warning in found.warnings)


def test_labels_may_be_names() -> None:
    found = find({"train": with_labels("dog", "cat ", "dog"), "test": with_labels("cat")})
    assert found.classes == ("cat", "dog")
    assert [split.labels.tolist() for split in found.splits.values()] == [[1, 0, 1], [0]]
    assert find(with_labels("Cat", "cat")).warnings == ("classes look alike: 'Cat', 'cat'",)
    data = with_labels("ant", "bee")
    data.classes = ["bee", "ant"]  # type: ignore[attr-defined]
    assert find(data).classes == ("bee", "ant")


def test_parts_and_rows_of_datasets_keep_their_names(photos: Path) -> None:
    whole = ImageFolder(photos)
    some, others = random_split(whole, [8, 7], torch.Generator().manual_seed(0))
    nested = Subset(Subset(whole, range(4, 15)), range(11))
    parts: list[Any] = [some, others, nested, ConcatDataset([some, Subset(others, [0, 1])])]
    for dataset in parts:
        found = find(dataset)
        assert set(found.classes) <= {"cross", "ring", "stripes"}
        names = [found.classes[label] for label in found.splits["train"].labels]
        assert names == [whole.classes[dataset[row][1]] for row in range(len(dataset))]
    # Classes that no picture of the part has are none of it.
    assert find(nested).classes == ("ring", "stripes")
    assert "1 of 3 classes left out, without pictures: cross" in find(nested).warnings
    other = Drawn()
    other.classes = ["a", "b", "c"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="one label would stand for two classes"):
        find(ConcatDataset([whole, other]))


def test_the_labels_of_a_part_are_not_read_from_its_pictures() -> None:
    data = Drawn(500)
    data.targets = data.labels  # type: ignore[attr-defined]
    joined: Any = ConcatDataset([Subset(data, range(100, 300)), data])
    assert find(joined).splits["train"].labels.tolist() == [*data.labels[100:300], *data.labels]
    assert data.fetched <= 2


def test_classes_may_be_numbered_by_a_dict_and_a_count_is_no_list() -> None:
    for classes in ({"ant": 2, "bee": 0, "cat": 1}, {0: "bee", 2: "ant", 1: "cat"}):
        data = Drawn()
        data.classes = classes  # type: ignore[attr-defined]
        assert find(data).classes == ("bee", "cat", "ant")
    data.classes = 3  # type: ignore[attr-defined]
    assert find(data).classes == ("0", "1", "2")


def test_arrays_of_pictures_and_labels_are_taken() -> None:
    pictures, labels = np.zeros((4, 5, 5), np.uint8), np.array([0, 1, 1, 0])
    tensors = torch.tensor(pictures)[:, None], torch.tensor(labels)
    for arrays in ((pictures, labels), tensors):
        assert find(arrays).splits["train"].labels.tolist() == [0, 1, 1, 0]
    with pytest.raises(DataError, match="4 pictures and 3 labels"):
        find((pictures, labels[:3]))


@pytest.mark.parametrize("number", [int, np.int64, str])
@pytest.mark.parametrize("text", [str, Path])
def test_pairs_of_a_path_and_a_label_are_a_table(photos: Path, number: Any, text: Any) -> None:
    rows = [
        (text(path), number(1 + label))
        for label, kind in enumerate(("cross", "ring"))
        for path in sorted((photos / kind).iterdir())
    ]
    found = find({"train": rows, "val": rows[:0]} if text is str else rows)
    assert found.classes == ("1", "2")
    assert found.splits["train"].labels.tolist() == [0] * 4 + [1] * 5
    assert list(found.splits["train"].names) == [str(path) for path, _ in rows]
    assert found.splits["train"].pictures == [Path(path) for path, _ in rows]
    assert len(read(found.splits["train"], GREY, workers=2)[0]) == 9  # in guarded processes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.png", 0), ("b.png", 1.5)], "train, pair 1: the label is a text or a whole number"),
        ([("a.png", 0), ("b.png",)], r"train, pair 1 is \('b.png',\), not a path and a label"),
        ([("a.png", 0), ("a.png", 1)], "pair 1: a.png is 1 in train here, and 0 in train in pair"),
        ([("a.png", 0), ("b.png", 1)], "none of 2 listed files is there .*pair 0: a.png"),
    ],
)
def test_pairs_that_cannot_be_used_are_named(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        find(rows)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("data", [[], Drawn(0), Drawn(5, classes=1), {}])
def test_fewer_than_two_classes_are_not_trained_on(data: object) -> None:
    with pytest.raises(DataError, match="nothing can be told apart"):
        complete(find(data), validation_share=0.1, test_share=0.1, seed=0)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield 1


@pytest.mark.parametrize(
    "data", [3, None, object(), Endless(), {"train": 3}, {"train": "mnist"}, iter([])]
)
def test_what_is_no_dataset_is_a_usage_error_in_one_line(data: object) -> None:
    with pytest.raises(UsageError, match="torch Dataset with __len__ and __getitem__") as caught:
        find(data)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("item", [np.zeros((4, 4), np.uint8), {"image": 1}, (1,), None])
def test_items_that_are_no_pairs_are_refused(item: object) -> None:
    with pytest.raises(DataError, match=r"train/00000 is a .*: a Dataset gives pairs"):
        find([item, item])


class Failing(Drawn):
    def __getitem__(self, place: int) -> tuple[Any, Any]:
        if place == 4:
            raise KeyError("no\nsuch row")
        return super().__getitem__(place)


def test_a_dataset_that_fails_is_named_with_the_place() -> None:
    with pytest.raises(DataError, match=r"train/00004: cannot be fetched: KeyError") as caught:
        find(Failing())
    assert len(str(caught.value).splitlines()) == 1


def test_a_picture_that_fails_is_left_out_where_its_label_is_known() -> None:
    data = Failing()
    data.targets = data.labels  # type: ignore[attr-defined]
    pictures, unreadable = read(find(data).splits["train"], GREY, workers=2)
    assert [entry.file for entry in unreadable] == ["train/00004"]
    assert len(pictures) == 11


def test_listed_targets_spare_a_pass_over_the_pictures() -> None:
    data = Drawn(500)
    for targets in (data.labels, np.array(data.labels), torch.tensor(data.labels)):
        data.targets, data.fetched = targets, 0  # type: ignore[attr-defined]
        assert find(data).splits["train"].labels.tolist() == data.labels
        assert data.fetched <= 2


def test_targets_that_the_pairs_contradict_are_not_believed(photos: Path) -> None:
    data = Drawn()
    data.targets = [(label + 1) % 3 for label in data.labels]  # type: ignore[attr-defined]
    assert find(data).splits["train"].labels.tolist() == data.labels
    turned = find(ImageFolder(photos, target_transform=lambda label: 0 if label == 1 else label))
    assert turned.splits["train"].labels.tolist() == [0] * 9 + [1] * 6
    assert turned.classes == ("cross", "stripes")


def test_torchs_own_datasets_are_taken(photos: Path) -> None:
    oracle = ImageFolder(photos)
    found = find(oracle)
    assert found.classes == ("cross", "ring", "stripes")
    assert found.splits["train"].labels.tolist() == oracle.targets
    part = find(Subset(oracle, [14, 0, 5]))
    assert part.splits["train"].labels.tolist() == [2, 0, 1]
    tensors = TensorDataset(torch.zeros(3, 1, 4, 4), torch.tensor([0, 1, 0]))
    assert find(tensors).splits["train"].labels.tolist() == [0, 1, 0]


class OneAtATime(Drawn):
    busy = threading.Lock()

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("two threads at once")
        try:
            return torch.rand(1, 200, 200), self.labels[place]
        finally:
            self.busy.release()


def test_a_dataset_is_asked_by_one_thread_at_a_time() -> None:
    assert read(find(OneAtATime(200)).splits["train"], GREY, workers=4)[1] == []


def test_a_function_or_class_is_called_and_opened_again() -> None:
    for maker, sizes in (
        (made, {"train": 12, "test": 6}),
        (functools.partial(made, count=9), {"train": 9, "test": 6}),
        (Drawn, {"train": 12}),
    ):
        found = find(maker)
        assert {name: len(split) for name, split in found.splits.items()} == sizes
        again = reopen(found.origin)
        assert {name: len(split) for name, split in again.splits.items()} == sizes
        assert again.origin == found.origin


def test_a_file_and_function_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def pairs():\n    return [(np.zeros((4, 4), np.uint8), n % 2) for n in range(6)]\n"
        "def number():\n    return 3\n"
        "def broken():\n    raise OSError('no disk')\n"
    )
    found = find(f"{path}:pairs")
    assert found.name == "pairs"
    path.unlink()
    assert len(reopen(found.origin).splits["train"]) == 6
    path.write_text(found.origin.source or "")
    with pytest.raises(UsageError, match="not int"):
        find(f"{path}:number")
    with pytest.raises(DataError, match="broken fails in line 7: OSError: no disk"):
        find(f"{path}:broken")


def test_an_object_must_be_passed_again() -> None:
    with pytest.raises(UsageError, match="pass the data again"):
        reopen(find(Drawn()).origin)
