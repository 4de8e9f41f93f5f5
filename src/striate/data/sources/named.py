"""Named data sets, one per line: scikit-learn's digits, and torchvision's, downloaded, checked."""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.data.splits import Data, Origin, Split
from striate.errors import DataError


class Listed(NamedTuple):
    """A data set that torchvision knows."""

    factory: str  # class in torchvision.datasets
    folder: str  # under the root, in torchvision's layout
    about: str
    # The arguments of the training and of the test split, where they are not train=True and False.
    splits: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    files: tuple[str, ...] = ()  # where torchvision does not list them
    inside: str = ""  # a folder of its own, where torchvision makes none


LISTED = {
    "mnist": Listed("MNIST", "MNIST/raw", "60,000 + 10,000 handwritten digits, 28x28 grey"),
    "fashion-mnist": Listed(
        "FashionMNIST", "FashionMNIST/raw", "60,000 + 10,000 pieces of clothing, 28x28 grey"
    ),
    "kmnist": Listed("KMNIST", "KMNIST/raw", "60,000 + 10,000 cursive Japanese, 28x28 grey"),
    "cifar10": Listed("CIFAR10", "cifar-10-batches-py", "50,000 + 10,000 photographs, 32x32 RGB"),
    "cifar100": Listed("CIFAR100", "cifar-100-python", "50,000 + 10,000 photographs, 32x32 RGB"),
    "emnist": Listed(
        "EMNIST",
        "EMNIST/raw",
        "112,800 + 18,800 handwritten digits and letters (balanced), 28x28 grey",
        ({"split": "balanced", "train": True}, {"split": "balanced", "train": False}),
        tuple(
            f"emnist-balanced-{part}-{kind}-ubyte"
            for part in ("train", "test")
            for kind in ("images-idx3", "labels-idx1")
        ),
    ),
    "svhn": Listed(
        "SVHN",
        "SVHN",
        "73,257 + 26,032 house numbers, 32x32 RGB",
        ({"split": "train"}, {"split": "test"}),
        ("train_32x32.mat", "test_32x32.mat"),
        inside="SVHN",
    ),
    "stl10": Listed(
        "STL10",
        "stl10_binary",
        "5,000 + 8,000 photographs, 96x96 RGB",
        ({"split": "train"}, {"split": "test"}),
        ("train_X.bin", "train_y.bin", "unlabeled_X.bin", "test_X.bin", "test_y.bin"),
    ),
}


def data_root() -> Path:
    """Return the folder of downloaded data: $STRIATE_DATA, else one in the user's cache."""
    chosen = os.environ.get("STRIATE_DATA")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "striate"


def digits() -> Data:
    """Load scikit-learn's 1,797 handwritten digits, 8x8 grey; they have no splits of their own."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # 17 levels of grey, 0 to 16, spread over 0 to 255.
    pictures = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    split = Split(pictures, bunch.target.astype(np.int64), _names("all", len(pictures)))
    layout = "digits: 1,797 handwritten digits that come with scikit-learn, 8x8 grey, no splits"
    return Data("digits", Origin("named", "digits"), _ten(), {"train": split}, layout)


def listed(name: str) -> Data:
    """Return a data set of torchvision: train and test."""
    train, test = (_load(name, arguments) for arguments in LISTED[name].splits)
    splits = {"train": _split(train, "train"), "test": _split(test, "test")}
    classes = getattr(train, "classes", _ten())  # SVHN names none: they are digits
    return Data(
        name,
        Origin("named", name),
        # torchvision writes MNIST's classes as "0 - zero".
        tuple(label.split(" - ")[0] for label in classes),
        splits,
        f"{name}: {LISTED[name].about}, in {data_root()}",
    )


def _load(name: str, arguments: Mapping[str, Any]) -> Any:
    from torchvision import datasets

    factory: Callable[..., Any] = getattr(datasets, LISTED[name].factory)
    root = data_root()
    home = root / LISTED[name].inside
    # Standard output is for results: torchvision has printed to it.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return factory(home, **arguments, download=False)
        except (RuntimeError, *_DAMAGED) as error:
            # torchvision: "Dataset not found", or "... or corrupted" where an md5 is wrong.
            if "not found" not in str(error):
                raise DataError(
                    f"the files of {name} in {_place(name, root)} are damaged ({_short(error)}): "
                    "remove them, and they are fetched again"
                ) from error
            sys.stderr.write(f"fetching {name} into {root}\n")
        try:
            return factory(home, **arguments, download=True)
        except (RuntimeError, *_DAMAGED) as error:
            files = ", ".join(LISTED[name].files or _files(factory))
            raise DataError(
                f"{name} is not whole in {root} and cannot be fetched ({_short(error)}): put "
                f"{files} into {_place(name, root)}, or set STRIATE_DATA to the folder that has it"
            ) from error


# What torchvision's readers raise on files that are cut off or are others.
_DAMAGED = (AssertionError, EOFError, IndexError, KeyError, OSError, UnpicklingError, ValueError)


def _files(factory: Any) -> list[str]:
    if hasattr(factory, "resources"):
        return [Path(url).name for url, _ in factory.resources]
    listed = [file for file, _ in factory.train_list + factory.test_list]
    return [*listed, factory.meta["filename"]]


def _place(name: str, root: Path) -> Path:
    return root / LISTED[name].folder


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _split(dataset: Any, name: str) -> Split:
    pictures: NDArray[np.uint8] = np.asarray(dataset.data)
    if type(dataset).__name__ == "EMNIST":
        pictures = pictures.swapaxes(1, 2)  # its files hold the pictures on their sides
    if pictures.ndim == 4 and pictures.shape[1] == 3:  # SVHN and STL10: (N, C, H, W)
        pictures = np.moveaxis(pictures, 1, 3)
    found = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    labels = np.asarray(found, dtype=np.int64)
    return Split(pictures, labels, _names(name, len(labels)))


def _names(split: str, count: int) -> list[str]:
    return [f"{split}/{number:05d}" for number in range(count)]


def _ten() -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10))
