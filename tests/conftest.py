"""What several tests share: hypothesis's profile, drawn pictures in folders, real data sets."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from pages import launched
from PIL import Image

from striate.data.sources.named import LISTED

settings.register_profile("striate", deadline=None, derandomize=True)
# `make fuzz`: other examples each time, and more of them.
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("striate")
MORE = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests run on torch's own convolutions, as where no library has faster ones."""
    parser.addoption("--without-onednn", action="store_true", help="run without oneDNN")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-onednn"):
        import torch

        torch.backends.mkldnn.set_flags(False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Multiply the examples of every law, also of those that say how many they want."""
    if config.getoption("--hypothesis-profile") != "fuzz":
        return
    for law in {item.function for item in items if isinstance(item, pytest.Function)}:
        own: settings | None = getattr(law, "_hypothesis_internal_use_settings", None)
        if own is not None:
            more = settings(own, max_examples=MORE * own.max_examples)
            law._hypothesis_internal_use_settings = more


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and the processes that they start, away from the user's own configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        yield


CLASSES = ("cross", "ring", "stripes")


def drawing(kind: str, number: int, side: int = 20) -> NDArray[np.uint8]:
    """One colour drawing of a class, uint8 (side, side, 3); each number gives another."""
    random = np.random.default_rng([CLASSES.index(kind), number])
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 + random.uniform(-2, 2, (2, 1, 1))
    shape = {
        "cross": (abs(x) < 2) | (abs(y) < 2),
        "ring": abs(np.hypot(x, y) - side / 4) < 2,
        "stripes": (x // 3) % 2 == 0,
    }[kind]
    ink, paper = random.integers(0, 100, 3), random.integers(150, 256, 3)
    return np.where(shape[..., None], ink, paper).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three classes with 4, 5 and 6 pictures."""
    for extra, kind in enumerate(CLASSES):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(4 + extra):
            path = tmp_path / "photos" / kind / f"{number}.png"
            Image.fromarray(drawing(kind, number)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets that STRIATE_DATA names; without one the test is skipped."""
    given = os.environ.get("STRIATE_DATA")
    if not given:
        pytest.skip("STRIATE_DATA is not set")
    root = Path(given)
    if not any((root / listed.folder).is_dir() for listed in LISTED.values()):
        pytest.skip(f"STRIATE_DATA={given} has none of {', '.join(LISTED)}")
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a headless Chromium, without a network; skip where there is none."""
    yield from launched()
