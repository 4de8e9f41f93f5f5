import ctypes
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate import decoding
from striate.data.splits import Chosen, is_stored
from striate.decoding import AHEAD, Decoders, Failed, guarded, wire
from striate.images import PictureError

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


class Numbers(Sequence[Any]):
    """What is not a list is looked at in threads."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: Any) -> Any:
        return place


def ahead(work: Any, pictures: Any, chunks: Any, workers: int) -> Any:
    """Decode as data do: what is in a list in guarded processes."""
    return decoding.ahead(work, pictures, chunks, workers, guarded=is_stored(pictures))


def numbers(kind: str, count: int) -> Any:
    made = {"threads": Numbers(count), "array": np.arange(count), "processes": list(range(count))}
    return made[kind]


def left() -> list[str]:
    """Name the threads and processes that are left of the decoders."""
    names = [t.name for t in threading.enumerate() if t.name.startswith("striate-decode")]
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    children = listed.read_text().split() if listed.exists() else []
    own = [c for c in children if command(c) == command("self")]  # a fork has its parent's name
    return names + own


def command(process: str) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def square(number: Any) -> int:
    return int(number) ** 2


KINDS = pytest.mark.parametrize("kind", ["threads", "array", "processes"])


@KINDS
@settings(max_examples=25, deadline=None)
@given(chunks=st.lists(st.lists(st.integers(0, 99), max_size=40), max_size=6), n=st.integers(0, 3))
def test_results_keep_their_order_for_any_number_of_workers(
    kind: str, chunks: list[list[int]], n: int
) -> None:
    found = list(ahead(square, numbers(kind, 100), chunks, n))
    assert found == [[item * item for item in chunk] for chunk in chunks]
    assert left() == []


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_more_than_a_few_chunks_are_done_ahead(n: int) -> None:
    done: list[int] = []
    results = ahead(done.append, Numbers(50), [[number] for number in range(50)], n)
    for number in range(20):
        assert next(results) == [None]
        assert len(done) <= number + 1 + AHEAD
    results.close()


@KINDS
@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("bad", [0, 7, 19])
def test_an_unusable_picture_has_its_reason_in_its_place(kind: str, n: int, bad: int) -> None:
    def work(number: Any) -> int:
        if number == bad:
            raise PictureError("picture", "bad")
        return int(number)

    chunks = [[2 * k, 2 * k + 1] for k in range(10)]
    expected = [[Failed("bad") if k == bad else k for k in chunk] for chunk in chunks]
    assert list(ahead(work, numbers(kind, 20), chunks, n)) == expected


@KINDS
@pytest.mark.parametrize("n", [0, 2])
def test_a_mistake_in_the_work_comes_out_in_its_turn(kind: str, n: int) -> None:
    def work(number: Any) -> int:
        if number == 9:
            raise ValueError("nine")
        return int(number)

    results = ahead(work, numbers(kind, 20), [[2 * k, 2 * k + 1] for k in range(10)], n)
    for number in range(4):
        assert next(results) == [2 * number, 2 * number + 1]
    with pytest.raises(ValueError, match="nine"):
        next(results)
    assert left() == []


@linux
def test_a_mistake_that_cannot_be_sent_is_told_in_words() -> None:
    class OddError(Exception):
        pass

    def work(_: Any) -> int:
        raise OddError("in its own way")

    with pytest.raises(RuntimeError, match="OddError: in its own way"):
        list(ahead(work, [1], [[0]], 1))


@KINDS
def test_closing_early_stops_everything_and_drops_the_rest(kind: str) -> None:
    results = ahead(square, numbers(kind, 1000), [[n] for n in range(1000)], 2)
    next(results)
    assert left()
    results.close()
    assert left() == []


ARRAYS: dict[str, NDArray[Any]] = {
    "grey": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "turned": np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[::-1],
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(0.1),
    "large": np.arange(5_000_000, dtype=np.float64),  # more than the shared memory has
}


@linux
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_tensors_come_over_whole_and_may_be_written_to(name: str) -> None:
    array = ARRAYS[name]

    def work(_: int) -> tuple[Any, Any]:
        return np.array(array), torch.from_numpy(np.array(array))

    (((found, tensor), again),) = ahead(work, [0, 1], [[0, 1]], 1)
    for one in (found, tensor.numpy(), again[0]):
        assert one.dtype == array.dtype
        np.testing.assert_array_equal(one, array)
        one[...] = 0
    np.testing.assert_array_equal(again[1].numpy(), array)


def crash(_: int) -> None:
    ctypes.string_at(0)


def hang(_: int) -> None:
    time.sleep(600)


def kill(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hoard(_: int) -> None:
    try:
        hoarded = np.ones(3 << 30, np.uint8)
    except MemoryError as error:
        raise PictureError("picture", "too large") from error
    raise AssertionError(hoarded.nbytes)


@linux
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (crash, "its decoder crashed"),
        (kill, "its decoder crashed"),
        (hoard, "too large"),
        (hang, "its decoder took more than 0.5 seconds"),
    ],
)
@pytest.mark.parametrize("n", [1, 3])
def test_what_kills_a_process_fails_one_picture(
    harm: Any, reason: str, n: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(guarded, "SECONDS", 0.5 if harm is hang else 30)
    bad = {3, 4, 40, 99}

    def work(number: int) -> int:
        if number in bad:
            harm(number)
        return number

    chunks = [range(start, start + 25) for start in range(0, 100, 25)]
    found = [result for chunk in ahead(work, list(range(100)), chunks, n) for result in chunk]
    assert found == [Failed(reason) if k in bad else k for k in range(100)]
    assert left() == []
    assert capfd.readouterr() == ("", "")


@linux
def test_signals_to_the_whole_group_are_the_parents_to_answer() -> None:
    def work(number: int) -> int:
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), kind)
        return number

    assert list(ahead(work, [1, 2], [[0, 1]], 1)) == [[1, 2]]


@linux
def test_processes_end_when_their_parent_is_killed() -> None:
    script = """
        import os, time
        from striate.decoding import ahead
        chunks = [range(20), range(20, 40)]
        found = ahead(lambda _: os.getpid(), [0] * 40, chunks, 2, guarded=True)
        print(*set(next(found)), flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    children = [int(number) for number in parent.stdout.readline().split()]
    assert children
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 3 * guarded._PATIENCE
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        threading.Event().wait(0.1)


@linux
def test_decoders_that_are_open_fork_once_and_answer_again() -> None:
    with Decoders(lambda number: (os.getpid(), number), 2, guarded=True) as decoders:
        first = [list(decoders.ask([[k, k + 1]])) for k in range(20)]
        seen = {process for (((process, _), _),) in first for process in [process]}
        assert [[number for _, number in chunk] for (chunk,) in first] == [
            [k, k + 1] for k in range(20)
        ]
        assert len(seen) <= 2
        assert left()
        unread = decoders.ask([[k] for k in range(100)])
        next(unread)
        unread.close()
        assert [number for _, number in next(decoders.ask([[7, 8]]))] == [7, 8]
    assert left() == []
    with Decoders(square, 1, guarded=True) as decoders:
        assert list(decoders.ask([[2]])) == [[4]]
        decoders.close()
        assert list(decoders.ask([[3]])) == [[9]]
    assert left() == []


@linux
def test_decoders_that_nobody_holds_are_closed() -> None:
    decoders = Decoders(square, 2, guarded=True)
    assert list(decoders.ask([[2]])) == [[4]]
    assert left()
    del decoders
    assert left() == []


@linux
@pytest.mark.parametrize(
    "answer",
    [
        pickle.dumps([1]),
        b"",
        b"\xff" * 40,
        (3).to_bytes(8, "little") + b"[1]",
        (1 << 60).to_bytes(8, "little"),
        b"\x21\0\0\0\0\0\0\0" + b'{"array": ["float64", [4294967]]}',
        b"\x1d\0\0\0\0\0\0\0" + b'{"array": ["object", [1, 2]]}' + bytes(16),
        b"\x1a\0\0\0\0\0\0\0" + b'{"list": [1, 2]}          ' + b"more",
    ],
)
def test_what_is_no_answer_is_one_failed_picture(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "packed", lambda _: [memoryview(answer)])
    with Decoders(square, 1, guarded=True) as decoders:
        ((result,),) = decoders.ask([[2]])
    assert isinstance(result, Failed)
    assert result.reason.startswith("its decoder answered")


@linux
@pytest.mark.parametrize(
    "said", [b"x" + bytes(8), b"e" + b"\xff" * 8, b"e", b"m" + bytes(8), b"m\0\0\0\2\0\0\0\0"]
)
def test_a_process_that_says_something_else_is_replaced(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "SECONDS", 1.0)
    odd: list[int] = []

    def tell(link: Any, kind: bytes, size: int) -> None:
        usual = kind + size.to_bytes(8, "little")
        os.write(link.fileno(), said if odd else usual)

    def work(number: int) -> int:
        odd.extend([number] * (number == 3))
        return number

    monkeypatch.setattr(guarded, "_tell", tell)
    with Decoders(work, 1, guarded=True) as decoders:
        ((one, bad, other),) = decoders.ask([[1, 3, 5]])
    assert (one, other) == (1, 5)
    assert isinstance(bad, Failed)


RESULTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(Failed, st.text()),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple),
)


@given(RESULTS)
def test_what_is_sent_is_read_as_it_was(result: Any) -> None:
    content = memoryview(b"".join(wire.packed(result)))
    assert wire.unpacked(content) == result


@given(st.binary(), st.integers(0, 200), st.binary(max_size=3))
def test_any_bytes_are_read_or_refused(noise: bytes, place: int, change: bytes) -> None:
    made = b"".join(wire.packed([1, "two", np.arange(5, dtype=np.int16), (b"", None)]))
    for content in (noise, made[:place] + change + made[place + len(change) :], made[:place]):
        try:
            wire.unpacked(memoryview(content))
        except wire.WireError:
            continue


@pytest.mark.parametrize("odd", [object(), {"a": 1}, np.array([None]), 1j])
def test_what_is_not_plain_is_not_sent(odd: Any) -> None:
    with pytest.raises(TypeError, match="a guarded process cannot answer with"):
        wire.packed([odd])


def test_chosen_pictures_are_stored_as_those_they_are_chosen_from() -> None:
    rows = np.array([1, 0])
    assert is_stored(Chosen(Chosen([Path("a"), Path("b")], rows), rows))
    assert not is_stored(Chosen(Numbers(3), rows))
    assert not is_stored(np.zeros((2, 3, 3), np.uint8))
