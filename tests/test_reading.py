"""Several processes read data as one does, each a part; what they find is what one would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import Processes, joined

from striate import data, ranks
from striate.data.batches import read
from striate.data.preparation.preprocessing import Moments, Preprocessing
from striate.data.splits import Split
from striate.errors import DataError
from striate.images import PictureError
from striate.inspection import Gathering

SMALL = Preprocessing(size=(24, 20), normalise="none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    """Eleven pictures in two classes; the first, one in the middle and the last are broken."""
    found: Path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(11):
        path = found / f"class{number // 6}" / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        sides = rng.integers(30, 60, 2)
        Image.fromarray(rng.integers(0, 256, (*sides, 3), dtype=np.uint8)).save(path)
        if number in (0, 5, 10):
            path.write_bytes(b"broken")
    return found


def reading(split: Split, **how: Any) -> dict[str, Any]:
    """Read a split, and say all that was found."""
    decoded = list[str]()

    class Counted(Preprocessing):
        def pixels(self, picture: Any) -> torch.Tensor:
            decoded.append(f"{picture}")
            return super().pixels(picture)

    gathering = Gathering()
    pictures, unreadable = read(
        split, Counted(SMALL.size, normalise="none"), workers=0, look=gathering.add, **how
    )
    prints = gathering.done(pictures.split)
    moments = pictures.moments
    return {
        "pixels": torch.cat([batch.pixels for batch in pictures.all(4)]).numpy(),
        "labels": pictures.labels.tolist(),
        "held": pictures.held_bytes,
        "unreadable": unreadable,
        "names": list(prints.names),
        "digests": prints.digests,
        "grey": None if prints.grey is None else prints.grey.numpy(),
        "colours": None if prints.colours is None else prints.colours.numpy(),
        "moments": None if moments is None else (moments.mean, moments.std),
        "decoded": len(decoded),
    }


WAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "held": lambda _: {"held_bytes": 1 << 30},
    "passing": lambda _: {"held_bytes": 0},
    "in a file": lambda cache: {"held_bytes": 0, "cache": cache},
}


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_find_what_one_finds(folder: Path, tmp_path: Path, count: int) -> None:
    split = data.find(folder).splits["train"]
    few = split.take(np.array([1]))  # fewer than there are processes
    parts = {"all": split, "one": few}

    def work() -> Any:
        return {
            (name, way): reading(part, **how(tmp_path / f"{ranks.count()}"))
            for way, how in WAYS.items()
            for name, part in parts.items()
        }

    alone = work()
    found = Processes(tmp_path, count, joined(work)).outcomes()
    assert [outcome.code for outcome in found] == [0] * count, found
    for key, expected in alone.items():
        for outcome in found:
            for name, value in expected.items():
                if name != "decoded":
                    np.testing.assert_equal(outcome.value[key][name], value, f"{key} {name}")
    assert len(alone["all", "held"]["unreadable"]) == 3
    assert alone["all", "passing"]["moments"] is not None
    # The few that all decode are decoded elsewhere; to decode the readable ones anew takes 8.
    for way, more in (("held", 0), ("passing", 8)):
        times = [outcome.value["all", way]["decoded"] - more for outcome in found]
        assert sorted(times) == sorted(
            len(range(11)[ranks.part(11, of=count, number=n)]) for n in range(count)
        )


def test_what_differs_between_processes_is_refused(folder: Path, tmp_path: Path) -> None:
    split = data.find(folder).splits["train"]
    pixels = np.arange(6 * 24 * 20, dtype=np.uint8).reshape(6, 24, 20)
    arrays = Split(pixels, np.zeros(6, np.int64), [f"{row}" for row in range(6)])

    def work() -> list[str]:
        said = []
        changed = Split(
            arrays.pictures[::-1] if ranks.rank() else pixels, arrays.labels, arrays.names
        )
        renamed = Split(pixels, arrays.labels, [f"{row}{ranks.rank()}" for row in range(6)])
        for other in (changed, renamed):
            with pytest.raises(DataError) as error:
                reading(other)
            said.append(str(error.value))
        return said

    for outcome in Processes(tmp_path, 2, joined(work)).outcomes():
        assert outcome.code == 0, outcome.err
        assert [line[:39] for line in outcome.value] == 2 * [
            "the pictures on rank 1 are not those of"
        ]

    strict = Processes(tmp_path, 2, joined(lambda: read(split, SMALL, workers=0, strict=True)))
    first, second = strict.outcomes()
    assert (first.code, second.code) == (70, 70)
    assert PictureError.__name__ in first.err + second.err


def test_moments_of_parts_are_those_of_all() -> None:
    batch = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    whole = Moments()
    whole.add(batch)
    before = whole.mean, whole.std
    whole.share()
    assert (whole.mean, whole.std) == before, "one process has no others"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float64])
def test_rows_are_filled_by_those_that_have_them(tmp_path: Path, dtype: torch.dtype) -> None:
    expected = torch.arange(7 * 6).view(7, 2, 3).to(dtype)

    def work() -> Any:
        own = ranks.mine(7)
        whole = torch.zeros_like(expected)
        whole[own] = expected[own]
        ranks.SENT = 16  # bytes: several messages
        ranks.fill(whole)
        ranks.fill(whole[:0])
        steps = list(ranks.in_step(iter(range(own.stop - own.start)), own.stop - own.start))
        return whole.numpy(), steps == list(range(own.stop - own.start))

    for outcome in Processes(tmp_path, 3, joined(work)).outcomes():
        assert outcome.code == 0, outcome.err
        whole, stepped = outcome.value
        np.testing.assert_array_equal(whole, expected.numpy())
        assert stepped
