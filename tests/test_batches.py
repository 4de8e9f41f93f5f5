import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.batches import Pictures, order, read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.sources.layouts import folder
from striate.data.splits import Split
from striate.errors import DataError
from striate.images import PictureError
from striate.stopping import Reading

COLOUR = Preprocessing(size=(6, 5), channels=3, normalise="none")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("striate-decode")]


def test_closing_pictures_after_a_loop_that_was_left_stops_the_threads(photos: Path) -> None:
    pictures = Pictures(folder(photos).splits["train"], COLOUR, workers=2)
    for _ in pictures.all(1):
        break
    pictures.close()
    assert threads() == []


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 4, 15, 99])
def test_held_and_decoded_pictures_are_the_same(photos: Path, workers: int, size: int) -> None:
    split = folder(photos).splits["train"]
    rows = order(len(split), seed=1, epoch=2)
    held, _ = read(split, COLOUR, workers=workers)
    decoded, _ = read(split, COLOUR, workers=workers, held_bytes=0)
    assert held.pixels is not None
    assert decoded.pixels is None
    seen = 0
    for one, two in zip(held.batches(rows, size), decoded.batches(rows, size), strict=True):
        for a, b in zip(one, two, strict=True):
            assert torch.equal(a, b)
        assert torch.equal(one.rows, rows[seen : seen + size])
        for row, pixels, label in zip(*one, strict=True):
            assert torch.equal(pixels, COLOUR.pixels(split.pictures[int(row)]))
            assert label == split.labels[int(row)]
        seen += len(one.rows)
    assert seen == len(split) == len(held) == 15


def test_pictures_are_held_only_up_to_the_limit(photos: Path) -> None:
    split = folder(photos).splits["train"]
    exactly = 15 * 3 * 6 * 5
    assert read(split, COLOUR, workers=0, held_bytes=exactly)[0].pixels is not None
    assert read(split, COLOUR, workers=0, held_bytes=exactly - 1)[0].pixels is None


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_each_unreadable_picture_is_listed_once_and_the_others_kept(
    photos: Path, workers: int, held_bytes: int
) -> None:
    split = folder(photos).splits["train"]
    bad = ["cross/0.png", "ring/3.png", "stripes/5.png"]
    for name in bad:
        content = (photos / name).read_bytes()
        (photos / name).write_bytes(content[: len(content) // 2])
    pictures, unreadable = read(split, COLOUR, workers=workers, held_bytes=held_bytes)
    assert [entry.file for entry in unreadable] == bad
    assert all(entry.reason for entry in unreadable)
    assert pictures.split.names == [name for name in split.names if name not in bad]
    labels = np.repeat([0, 1, 2], [3, 4, 5])
    np.testing.assert_array_equal(pictures.labels.numpy(), labels)
    (batch,) = pictures.all(99)
    for pixels, name in zip(batch.pixels, pictures.split.names, strict=True):
        assert torch.equal(pixels, COLOUR.pixels(photos / name))
    pictures.close()
    with pytest.raises(PictureError, match=bad[0]):
        read(split, COLOUR, workers=workers, strict=True)
    assert threads() == []


def test_nothing_to_read_is_said_with_the_first_reason(photos: Path) -> None:
    split = folder(photos).splits["train"]
    for path in split.pictures:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture can be read; the first: cross/0.png: empty"):
        read(split, COLOUR, workers=0)
    with pytest.raises(DataError, match="there are no pictures"):
        read(Split([], np.zeros(0, np.int64), []), COLOUR, workers=0)


class Halted(BaseException):
    pass


def test_a_poll_may_stop_the_reading_between_two_batches(photos: Path) -> None:
    split = folder(photos).splits["train"].take(np.zeros(2000, np.int64))
    calls = itertools.count()

    def poll(reading: Reading | None = None, /) -> None:
        assert reading is not None
        assert reading == Reading(max(0, 64 * next(calls)), 2000, "pictures")
        if reading.done == 128:
            raise Halted

    with pytest.raises(Halted):
        read(split, COLOUR, workers=2, poll=poll)
    assert threads() == []
    assert next(calls) == 3


@given(st.integers(0, 300), st.integers(0, 2**63 - 1), st.integers(0, 10_000))
def test_an_order_is_a_permutation_that_follows_from_seed_and_epoch(
    count: int, seed: int, epoch: int
) -> None:
    torch.manual_seed(count)
    found = order(count, seed=seed, epoch=epoch)
    assert sorted(found.tolist()) == list(range(count))
    torch.manual_seed(count + 1)
    assert torch.equal(found, order(count, seed=seed, epoch=epoch))
    if count > 20:
        assert not torch.equal(found, order(count, seed=seed, epoch=epoch + 1))
        assert not torch.equal(found, order(count, seed=seed ^ 1, epoch=epoch))
