import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from sklearn.datasets import load_digits

from striate.data import SOURCES, find, reopen
from striate.data.sources.named import LISTED, data_root
from striate.data.splits import complete
from striate.errors import DataError

DEAD = "http://127.0.0.1:9"  # nothing listens there: each download fails at once


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder, and no way to any other machine."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, DEAD)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_digits_are_scikit_learns_spread_over_all_greys() -> None:
    found = find("digits")
    split = found.splits["train"]
    pictures = np.asarray(split.pictures)
    assert pictures.shape == (1797, 8, 8)
    assert pictures.dtype == np.uint8
    levels = load_digits().images
    assert np.abs(pictures - levels / 16 * 255).max() <= 0.5
    assert (pictures.min(), pictures.max()) == (0, 255)
    np.testing.assert_array_equal(split.labels, load_digits().target)
    assert found.classes == tuple("0123456789")
    assert len(set(split.names)) == 1797


def test_digits_are_opened_again_in_the_same_order() -> None:
    found = find("digits")
    again = reopen(found.origin)
    np.testing.assert_array_equal(again.splits["train"].pictures, found.splits["train"].pictures)
    one, two = (complete(d, validation_share=0.1, test_share=0.2, seed=0) for d in (found, again))
    assert one["test"].names == two["test"].names


@pytest.mark.parametrize("name", LISTED)
def test_every_listed_set_has_train_and_test(
    name: str,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not (shared_data / LISTED[name].folder).is_dir():
        pytest.skip(f"STRIATE_DATA has no {name}")
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, DEAD)
    found = SOURCES[name]()
    assert tuple(found.splits) == ("train", "test")
    train, test = found.splits["train"], found.splits["test"]
    sizes = f"{len(train):,} + {len(test):,}"
    assert sizes in LISTED[name].about
    assert sizes in found.layout
    assert str(shared_data) in found.layout
    shape = (32, 32, 3) if name.startswith("cifar") else (28, 28)
    assert np.asarray(train.pictures).shape[1:] == shape
    for split in (train, test):
        assert np.unique(split.labels).tolist() == list(range(len(found.classes)))
    assert not set(train.names) & set(test.names)
    assert "0 - zero" not in found.classes
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", LISTED)
def test_a_missing_set_is_one_line_that_says_what_to_put_where(
    name: str, unreachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError) as caught:
        SOURCES[name]()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert str(unreachable / LISTED[name].folder) in line
    assert "STRIATE_DATA" in line
    known = {
        "cifar10": "test_batch",
        "cifar100": "test",
        "emnist": "emnist-balanced-test-images-idx3-ubyte",
        "svhn": "test_32x32.mat",
        "stl10": "test_X.bin",
    }
    assert known.get(name, "t10k") in line
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"fetching {name} into {unreachable}" in printed.err


class Planted:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_changed_cifar_batch_is_refused_before_it_is_unpickled(
    unreachable: Path, tmp_path: Path
) -> None:
    place = unreachable / LISTED["cifar10"].folder
    place.mkdir(parents=True)
    content = pickle.dumps(Planted(tmp_path / "ran"))
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]:
        (place / name).write_bytes(content)
    with pytest.raises(DataError, match="cifar10 is not whole in"):
        find("cifar10")
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)  # the trap works
    assert (tmp_path / "ran").exists()


def test_one_changed_bit_in_cifar_is_seen(shared_data: Path, unreachable: Path) -> None:
    if not (shared_data / LISTED["cifar10"].folder).is_dir():
        pytest.skip("STRIATE_DATA has no cifar10")
    place = unreachable / LISTED["cifar10"].folder
    shutil.copytree(shared_data / LISTED["cifar10"].folder, place)
    content = bytearray((place / "data_batch_3").read_bytes())
    content[len(content) // 2] ^= 1
    (place / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match="cifar10 is not whole in"):
        find("cifar10")


def idx(shape: tuple[int, ...], kept: float = 1.0) -> bytes:
    """A file as MNIST has them, cut off to a share of its bytes."""
    head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    content = head + bytes(int(np.prod(shape)))
    return content[: int(len(content) * kept)]


@pytest.mark.parametrize("kept", [0.5, 0.001, 0.0])
def test_a_cut_off_mnist_file_is_one_line_that_names_the_folder(
    unreachable: Path, kept: float
) -> None:
    place = unreachable / LISTED["mnist"].folder
    place.mkdir(parents=True)
    for stem in ("train", "t10k"):
        (place / f"{stem}-images-idx3-ubyte").write_bytes(idx((100, 28, 28), kept))
        (place / f"{stem}-labels-idx1-ubyte").write_bytes(idx((100,)))
    with pytest.raises(DataError, match=r"damaged .*: remove them, and they are fetched") as caught:
        find("mnist")
    assert str(place) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_one_line(
    unreachable: Path,
) -> None:
    unreachable.write_text("a file stands where the folder should be")
    with pytest.raises(DataError, match="mnist is not whole in"):
        find("mnist")


def test_the_environment_says_where_data_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_DATA", "~/pictures")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert data_root() == Path.home() / "pictures"
    monkeypatch.setenv("STRIATE_DATA", "")
    assert data_root() == Path("/somewhere/striate")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == Path.home() / ".cache" / "striate"


def test_names_of_data_are_known_without_opening_any() -> None:
    script = "import sys; from striate.data import SOURCES; print('torchvision' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def stored(pictures: np.ndarray, labels: np.ndarray, name: str, root: Path, part: str) -> None:
    """Write upright pictures (N, H, W, C) as the makers of a set do, and not as striate reads."""
    place = root / LISTED[name].folder
    place.mkdir(parents=True, exist_ok=True)
    if name == "emnist":
        on_their_sides = pictures.transpose(0, 2, 1, 3)
        for kind, array in (("images-idx3", on_their_sides[..., 0]), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            path = place / f"emnist-balanced-{part}-{kind}-ubyte"
            path.write_bytes(head + array.astype(np.uint8).tobytes())
    elif name == "svhn":
        ten_for_nought = np.where(labels == 0, 10, labels)[:, None]
        scipy.io.savemat(
            place / f"{part}_32x32.mat", {"X": pictures.transpose(1, 2, 3, 0), "y": ten_for_nought}
        )
    else:
        by_columns = pictures.transpose(0, 3, 2, 1)
        (place / f"{part}_X.bin").write_bytes(by_columns.tobytes())
        (place / f"{part}_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
        (place / "unlabeled_X.bin").touch()
        (place / "class_names.txt").write_text("\n".join(f"kind {n}" for n in range(10)))


@pytest.mark.parametrize(
    ("name", "side", "channels", "classes"),
    [("emnist", 28, 1, 47), ("svhn", 32, 3, 10), ("stl10", 96, 3, 10)],
)
def test_sets_that_lie_on_their_sides_come_upright(
    name: str,
    side: int,
    channels: int,
    classes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    for module in ("svhn", "stl10"):  # made here, they have other md5s
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda *_: True)
    random = np.random.default_rng(0)
    known = {}
    for part, count in (("train", 30), ("test", 12)):
        pictures = random.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
        labels = np.arange(count) % 10
        stored(pictures, labels, name, tmp_path, part)
        known[part] = (pictures, labels)
    found = find(name)
    assert len(found.classes) == classes
    for part, (pictures, labels) in known.items():
        split = found.splits[part]
        back = np.asarray(split.pictures).reshape(pictures.shape)
        np.testing.assert_array_equal(back, pictures)
        np.testing.assert_array_equal(split.labels, labels)
