"""What became slower: by ratios beyond their spread, in files that `make bench` wrote."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
comparing: Any = importlib.import_module("comparing")
quick: Any = importlib.import_module("quick")

OLD = [1.9, 2.0, 2.1, 2.05, 1.95]


def document(**rows: list[float]) -> dict[str, Any]:
    """Return results with the same ratios by either clock."""
    return {
        "machine": "m",
        "threads": 1,
        "torch": "2",
        "comparisons": {name: {"processor": row, "wall": row} for name, row in rows.items()},
        "skipped": {},
    }


def written(path: Path, found: Any) -> Path:
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OLD, OLD, "alike"),
        (OLD, [1.5, 1.6, 1.55, 1.52, 1.58], "slower"),
        (OLD, [2.5, 2.6, 2.55, 2.52, 2.58], "faster"),
        # Each median within the other's range.
        (OLD, [1.5, 1.96, 2.1, 1.92, 1.97], "alike"),
        # Below all of the old ones, but so spread that the old median is among them.
        (OLD, [1.2, 1.5, 1.6, 1.7, 2.3], "alike"),
        # Outside both ranges, by 2 % only.
        ([2.0, 2.001, 2.002], [1.96, 1.961, 1.962], "alike"),
        ([2.0, 2.001, 2.002], [1.93, 1.931, 1.932], "slower"),
        # Slower than the peer in both, and less so now.
        ([0.5, 0.51, 0.52], [0.6, 0.61, 0.62], "faster"),
    ],
)
def test_a_ratio_is_slower_beyond_both_spreads(
    old: list[float], new: list[float], said: str
) -> None:
    assert comparing.verdict(old, new) == said
    other = {"slower": "faster", "faster": "slower", "alike": "alike"}
    assert comparing.verdict(new, old) == other[said]


def test_chance_alone_is_hardly_ever_slower() -> None:
    """Of two samples of one distribution, seven ratios each that vary by a tenth."""
    random = np.random.default_rng(0)
    pairs = random.lognormal(0, 0.1, (4000, 2, 7))
    slower = [comparing.verdict(old, new) == "slower" for old, new in pairs]
    assert np.mean(slower) < 0.005
    halved = [comparing.verdict(old, 0.7 * new) == "slower" for old, new in pairs]
    assert np.mean(halved) > 0.95


def test_the_exit_code_says_that_something_is_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = [0.7 * ratio for ratio in OLD]
    old = written(tmp_path / "old.json", document(a=OLD, b=OLD))
    same = written(tmp_path / "same.json", document(b=OLD, a=OLD))
    worse = written(tmp_path / "worse.json", document(a=OLD, b=slow, c=OLD))
    assert comparing.main([str(old), str(same)]) == 0
    assert "4 ratios: 0 slower, 0 gone" in capsys.readouterr().out
    assert comparing.main([str(old), str(worse)]) == 1
    out = capsys.readouterr().out
    assert "slower  b, wall: 2.00 times as fast as its peer then, 1.40 now (-30.0%)" in out
    assert "new     c" in out
    assert out.count("alike   a, ") == 2
    assert comparing.main([str(worse), str(old)]) == 1, "c is gone"
    assert "gone    c: it was not measured" in capsys.readouterr().out


def test_another_machine_and_a_peer_that_is_gone_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = {**document(a=OLD), "threads": 2, "skipped": {"b": "torchinfo is not installed"}}
    old = written(tmp_path / "old.json", document(a=OLD, b=OLD))
    assert comparing.main([str(old), str(written(tmp_path / "new.json", new))]) == 1
    out = capsys.readouterr().out
    assert "threads: 1 then, 2 now" in out
    assert "gone    b: torchinfo is not installed" in out


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"comparisons": {"a": {"wall": [1, 2, 3]}}}', "gone"]
)
def test_what_is_no_result_is_a_line(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.json"
    if content != "gone":
        written(path, content)
    with pytest.raises(SystemExit) as ended:
        comparing.main([str(path), str(path)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "odd.json" in line


def test_pairs_are_taken_in_turns_and_their_ratio_is_the_peers_time_over_ours() -> None:
    order: list[str] = []

    def work(name: str, rounds: int) -> Any:
        def done() -> None:
            order.append(name)
            for _ in range(rounds):
                sum(range(20_000))

        return done

    found = quick.measured(quick.Pair(work("ours", 20), work("peer", 60)), 5)
    assert order == ["peer", "ours", "ours", "peer"] * 3
    for clock in comparing.CLOCKS:
        assert len(found[clock]) == 5
    assert np.median(found["processor"]) == pytest.approx(3, rel=0.4)
