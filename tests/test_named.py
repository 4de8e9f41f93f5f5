import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from striate.data import SOURCES, find, reopen
from striate.data.named import LISTED, data_root
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
    assert ("test_batch" if name == "cifar10" else "test" if "cifar" in name else "t10k") in line
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
