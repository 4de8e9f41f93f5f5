"""Damaged copies of an exported file: is each answered, or refused in one line, and nothing else?

    python benchmarks/hostile_onnx.py FILE.onnx [--count 20000] [--seed 0]

A fifth is cut off somewhere; of the others bytes are changed, put in or taken out, all over the
file or where its graph and metadata stand. A process that ends before its time is a crash: it is
counted, and another goes on behind it.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from striate import exported
from striate.errors import DataError

MEMORY = 8 << 30  # bytes of address space of a process


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Cut, change, insert or remove bytes."""
    how = chance.choice(("cut", "anywhere", "anywhere", "ends", "insert"))
    if how == "cut":
        return good[: chance.randrange(len(good))]
    found = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        reach = len(found) if how == "anywhere" else min(4000, len(found))
        place = chance.choice((1, -1)) * chance.randrange(reach)
        if how == "insert":
            found[place:place] = chance.randbytes(chance.randrange(1, 5))
        elif how == "ends" and chance.random() < 0.3:
            del found[place : place + chance.randrange(1, 9)]
        else:
            flipped = found[place] ^ (1 << chance.randrange(8))
            found[place] = chance.choice((0, 127, 128, 255, flipped, chance.randrange(256)))
    return bytes(found)


def tried(path: Path, content: bytes) -> str:
    """Open a file and ask it about two examples: what became of it, in a word or two."""
    path.write_bytes(content)
    try:
        file = exported.load(path)
        taken = file.document.input()
        network = file.network()
        shares = network.probabilities([np.zeros(taken.shape, taken.dtype)] * 2)
    except DataError as error:
        return "refused in a line" if len(str(error).splitlines()) == 1 else "refused in many lines"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"[:100].replace("\n", " ")
    return "answered" if np.isfinite(shares).all() else "not finite, which is a row's error"


def child(good: bytes, numbers: range, seed: int, pipe: int) -> None:
    """Try files, and write a line of each."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder, os.fdopen(pipe, "w", buffering=1) as out:
        for number in numbers:
            begun = time.perf_counter()
            content = damaged(good, random.Random(f"{seed} {number}"))
            what = tried(Path(folder) / "x.onnx", content)
            print(number, f"{time.perf_counter() - begun:.3f}", what, file=out)


def main() -> None:
    """Try all of them and print counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    good, seen, slowest, at = given.file.read_bytes(), Counter[str](), 0.0, 0
    while at < given.count:
        ours, theirs = os.pipe()
        if not (number := os.fork()):
            os.close(ours)
            child(good, range(at, given.count), given.seed, theirs)
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as lines:
            for line in lines:
                place, seconds, what = line.rstrip("\n").split(" ", 2)
                at, slowest = int(place) + 1, max(slowest, float(seconds))
                seen[what] += 1
        status = os.waitpid(number, 0)[1]
        if status:
            seen[f"crashed with status {status}"] += 1
            at += 1
    for what, count in seen.most_common():
        print(f"{count:7,} {what}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(f"{given.count:,} files; the slowest took {slowest:.2f} s; at most {memory:.0f} MB")


if __name__ == "__main__":
    main()
