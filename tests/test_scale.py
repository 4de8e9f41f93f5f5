"""A large data set on paper: the simulated loader keeps to the arithmetic, and growth is linear."""

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
scale: Any = importlib.import_module("scale")


STORAGES = st.builds(scale.Storage, st.floats(1e6, 1e10), st.floats(0, 0.5))
RANKS = st.builds(
    scale.Rank,
    st.floats(10, 20_000),
    st.integers(1, 12),
    st.integers(1, 64),
    st.integers(1000, 500_000),
)


@given(storage=STORAGES, ranks=st.integers(1, 12), one=RANKS)
def test_no_rank_is_faster_than_its_gpu_or_its_share_of_the_storage(
    storage: Any, ranks: int, one: Any
) -> None:
    chunks = 120
    found, waiting = scale.reached(storage, ranks, one, chunks)
    # Chunks come in bursts of those that are asked for at once, and the ends may cut one.
    assert found <= scale.bound(storage, ranks, one) * (1 + one.ahead / (chunks // 2))
    assert found <= one.rate * (1 + 1e-9)
    assert -1e-9 <= waiting <= 1
    # What a GPU does not wait, it computes.
    assert waiting == pytest.approx(1 - found / one.rate, abs=1e-6)


@pytest.mark.parametrize(
    ("bandwidth", "latency", "ranks", "rate", "ahead", "wanted"),
    [
        (1e9, 0.0, 1, 500, 4, 500),  # the GPU
        (1e8, 0.0, 4, 500, 8, 1e8 / 4 / 100_000),  # the storage, shared by four
        (1e9, 0.5, 1, 500, 4, 4 * 16 / (0.5 + 0.0016)),  # four requests under way
        (1e9, 0.5, 2, 500, 32, 500),  # enough of them
    ],
)
def test_what_starves_a_rank_is_what_arithmetic_says(
    bandwidth: float, latency: float, ranks: int, rate: float, ahead: int, wanted: float
) -> None:
    storage, one = scale.Storage(bandwidth, latency), scale.Rank(rate, ahead, 16, 100_000)
    assert scale.bound(storage, ranks, one) == pytest.approx(wanted)
    assert scale.reached(storage, ranks, one)[0] == pytest.approx(wanted, rel=0.05)


def test_each_chunk_comes_once_after_its_latency_and_never_two_at_a_time() -> None:
    storage, one = scale.Storage(1e8, 0.03), scale.Rank(300, 3, 8, 50_000)
    found = list(scale.arrivals(storage, 5, one, 20))
    assert [sum(a.rank == rank for a in found) for rank in range(5)] == [20] * 5
    sending = 8 * 50_000 / 1e8
    for arrival in found:
        assert arrival.came >= arrival.asked + 0.03 + sending - 1e-9
        assert arrival.taken >= arrival.came
    came = sorted(arrival.came for arrival in found)
    assert all(b - a > sending - 1e-9 for a, b in itertools.pairwise(came))
    for rank in range(5):
        taken = [arrival.taken for arrival in found if arrival.rank == rank]
        assert all(b - a > 8 / 300 - 1e-9 for a, b in itertools.pairwise(taken))


def test_the_sums_are_those_of_a_calculator() -> None:
    sums = scale.Sums(1_000_000, 8, 2000, 100_000, shard=3000, index=500, decoded=1000)
    assert (sums.bytes, sums.shards) == (10**11, 334)
    assert (sums.asked, sums.cores, sums.epoch) == (2e8, 2, 62.5)
    assert sums.held == 5e8


def test_bytes_a_picture_are_measured_on_the_products_own_structures() -> None:
    found = scale.growth("shards", (100, 300))
    assert found["order of an epoch"] == 8
    assert found["thumbnails (up to 200,000 pictures)"] == 256 + 3
    # A digest is an object of Python's with 16 bytes in it, and a place in a list.
    assert 16 + 8 < found["digests"] < 100
    assert found["file fingerprints.parquet, with thumbnails"] == pytest.approx(275, rel=0.1)
    assert 8 + 30 < found["index: names, places, labels"] < 2000


def test_every_part_prints(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(["paper", "--index", "700", "--rate", "1000"])
    out = capsys.readouterr().out
    assert "| a billion | 115 TB | 100,000 | 700 GB |" in out
    assert "| 1,000 | 115 MB/s | 1.1 | 2.7 min | 20 s | 34.7 h | 4.3 h |" in out
    scale.main(["loader", "--rate", "1000", "--ranks", "1", "64", "--bandwidth", "1e9"])
    out = capsys.readouterr().out
    assert "| 1 | 1,000 | 0.0% | 1,000 |" in out
    assert f"| {1e9 / 64 / scale.PICTURE:,.0f} |" in out
