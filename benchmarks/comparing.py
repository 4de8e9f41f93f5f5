"""What became slower between two results of `benchmarks/quick.py`.

    python benchmarks/comparing.py OLD.json NEW.json

What is compared are ratios to a peer that was measured in turns with ours in the same run, never
seconds: another machine, or a busier hour, changes both. A ratio is slower where the median of the
new ones lies below all of the old ones, that of the old ones above all of the new ones, and they
differ by 3 % at least; and faster the other way round. Exit code 1 where anything is slower, or
where a comparison is gone.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LEAST = 0.03  # by which two medians differ
LEAST_PAIRS = 3
CLOCKS = ("processor", "wall")


class Judged(NamedTuple):
    """A comparison in both results."""

    name: str
    clock: str
    old: float  # medians: how many times as fast as the peer
    new: float
    verdict: str  # slower, faster or alike


def verdict(old: Sequence[float], new: Sequence[float]) -> str:
    """Judge two sets of ratios, of which greater ones are faster."""
    before, after = statistics.median(old), statistics.median(new)
    if abs(after / before - 1) < LEAST:
        return "alike"
    if after < min(old) and before > max(new):
        return "slower"
    return "faster" if after > max(old) and before < min(new) else "alike"


def judged(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Judged]:
    """Judge what both have, by either clock."""
    found = []
    for name, row in new["comparisons"].items():
        if name not in old["comparisons"]:
            continue
        for clock in CLOCKS:
            pair = old["comparisons"][name][clock], row[clock]
            medians = [statistics.median(ratios) for ratios in pair]
            found.append(Judged(name, clock, *medians, verdict(*pair)))
    return found


def gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List what was compared and is not any more."""
    return sorted(old["comparisons"].keys() - new["comparisons"].keys())


def read(path: Path) -> dict[str, Any]:
    """Read a file of results; a line and exit code 2 where it is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        for name, row in found["comparisons"].items():
            for clock in CLOCKS:
                if len(row[clock]) < LEAST_PAIRS or min(row[clock]) <= 0:
                    raise ValueError(f"{name} has no {LEAST_PAIRS} ratios by {clock} time")
    except OSError as error:
        _refuse(f"cannot read {path}: {error.strerror}: `make bench` writes one")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _refuse(f"{path} is no result of benchmarks/quick.py: {error}")
    return found


def _refuse(line: str) -> None:
    print(line, file=sys.stderr)
    raise SystemExit(2)


def report(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    """Print a line a comparison and clock; 1 where something is slower or gone."""
    for name in ("machine", "threads", "torch"):
        if old.get(name) != new.get(name):
            print(f"{name}: {old.get(name)} then, {new.get(name)} now")
    rows = judged(old, new)
    for row in rows:
        print(
            f"{row.verdict:6}  {row.name}, {row.clock}: {row.old:.2f} times as fast as its peer "
            f"then, {row.new:.2f} now ({row.new / row.old - 1:+.1%})"
        )
    missing = gone(old, new)
    for name in missing:
        print(f"gone    {name}: {new.get('skipped', {}).get(name, 'it was not measured')}")
    for name in sorted(new["comparisons"].keys() - old["comparisons"].keys()):
        print(f"new     {name}")
    slower = [row for row in rows if row.verdict == "slower"]
    print(f"{len(rows)} ratios: {len(slower)} slower, {len(missing)} gone")
    return int(bool(slower or missing))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two files."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("old", type=Path)
    reader.add_argument("new", type=Path)
    given = reader.parse_args(arguments)
    return report(read(given.old), read(given.new))


if __name__ == "__main__":
    sys.exit(main())
