"""Memory and speed of a training on more data than it may keep: shards of JPEGs, one epoch.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py [--gigabytes 2] [--workers 2] [--json]

The pictures are made in a temporary folder. What is resident is looked at ten times a second, of
the process that trains and, beyond what they share with it, of its decoders; mapped files, such as
libraries, are not counted. An idle process has trained on a few small digits, so that the same code
is loaded. The times are of the listing of the shards, of the first reading of all pictures (for
damage, copies, mean and deviation), and of the epoch.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

SIDES = (500, 375)
CLASSES = 10
PER_SHARD = 1000
SAMPLES_A_SECOND = 10


def write(folder: Path, most_bytes: int) -> tuple[int, int]:
    """Write shards of different JPEGs until they have so many bytes; return their count, bytes."""
    rng, total, key = np.random.default_rng(0), 0, 0
    sheet = noise(rng, 1600)
    while total < most_bytes:
        path = folder / f"train-{key // PER_SHARD:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
            for _ in range(PER_SHARD):
                add(shard, f"{key:08d}.jpg", encoded(sheet, rng))
                add(shard, f"{key:08d}.cls", str(key % CLASSES).encode())
                key += 1
                if total + shard.offset >= most_bytes:
                    break
        total += path.stat().st_size
    return key, total


def noise(rng: np.random.Generator, side: int) -> np.ndarray[Any, Any]:
    """Draw smooth noise in nine octaves: (side, side, 3), uint8."""
    total = np.zeros((side, side, 3))
    for octave in range(1, 10):
        coarse = rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += (np.asarray(layer) - 127.5) * 0.85**octave
    return (total / total.std() * 55 + 120).clip(0, 255).astype(np.uint8)


def encoded(sheet: np.ndarray[Any, Any], rng: np.random.Generator) -> bytes:
    """Cut a part out of the sheet, change its light, and encode it."""
    across, down = SIDES
    top, left = (int(rng.integers(len(sheet) - side)) for side in (down, across))
    levels = (np.arange(256) * rng.uniform(0.7, 1.3) + rng.integers(-20, 21)).clip(0, 255)
    part = levels.astype(np.uint8)[sheet[top : top + down, left : left + across]]
    content: bytes = simplejpeg.encode_jpeg(part, 90)
    return content


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member to a shard."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    shard.addfile(info, io.BytesIO(content))


def resident(process: int) -> int:
    """Return the bytes of a process in memory that are no files': what it took for itself."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
    return sum(1024 * int(found[name].split()[0]) for name in ("RssAnon", "RssShmem"))


def own(process: int) -> int:
    """Return the bytes that a fork has beyond what it shares with its parent."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    found = dict(line.split(":", 1) for line in lines)
    return 1024 * int(found["Private_Dirty"].split()[0])


def children(process: int) -> list[int]:
    """List the processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(number) for number in text.split()]


class Watch:
    """Looks at this process and its children, and remembers the most that they had."""

    def __init__(self) -> None:
        self.most = {"main": 0, "decoder": 0, "together": 0}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(1 / SAMPLES_A_SECOND):
            me = os.getpid()
            try:
                mine = resident(me)
                others = [own(process) for process in children(me)]
            except (OSError, KeyError):  # one has ended in this moment
                continue
            self._note("main", mine)
            self._note("together", mine + sum(others))
            for one in others:
                self._note("decoder", one)

    def _note(self, name: str, value: int) -> None:
        self.most[name] = max(self.most[name], value)


def measure(folder: Path, workers: int, size: int) -> dict[str, Any]:
    """Train an epoch and say what it took."""
    import striate
    from striate import data as sources
    from striate.training.loop import Step
    from striate.training.session import Begun, Event, Session
    from striate.training.start import Means

    with tempfile.TemporaryDirectory() as home:
        striate.train("digits", out=Path(home) / "run", epochs=1, arguments={"width": 2})
    idle = resident(os.getpid())
    times = {"start": time.monotonic()}
    choices = {"model": "convnet", "arguments": {"width": 2, "stages": 2}, "size": size}

    def show(_: Session, event: Event) -> None:
        if isinstance(event, Begun):
            times["begun"] = time.monotonic()
        if isinstance(event, Step):
            times["step"] = time.monotonic()

    with Watch() as watch, tempfile.TemporaryDirectory() as home:
        found = sources.find(folder)
        times["listed"] = time.monotonic()
        run = striate.train(
            found,
            out=Path(home) / "run",
            epochs=1,
            batch_size=64,
            validation_share=0.0,
            test_share=0.0,
            means=Means(memory=0, workers=workers),
            show=show,
            **choices,
        )
        row = run.history[0]
    count = len(found.splits["train"])
    return {
        "pictures": count,
        "idle_mb": round(idle / 1e6),
        "main_mb": round((watch.most["main"] - idle) / 1e6),
        "decoder_mb": round(watch.most["decoder"] / 1e6),
        "together_mb": round((watch.most["together"] - idle) / 1e6),
        "listing_seconds": round(times["listed"] - times["start"], 2),
        "first_reading_per_second": round(count / (times["begun"] - times["listed"])),
        "epoch_per_second": round(count / (times["step"] - times["begun"])),
        "waiting": row["waiting"],
    }


def main() -> None:
    """Write shards, train on them in a process of its own, and print a line or JSON."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--gigabytes", type=float, default=2.0)
    reader.add_argument("--workers", type=int, default=2)
    reader.add_argument("--size", type=int, default=128, help="side in pixels")
    reader.add_argument("--json", action="store_true")
    reader.add_argument("--measure", type=Path, help="a folder of shards that are there")
    chosen = reader.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure, chosen.workers, chosen.size)))
        return
    with tempfile.TemporaryDirectory() as home:
        began = time.monotonic()
        count, total = write(Path(home), int(chosen.gigabytes * 1e9))
        sys.stderr.write(f"{count} JPEGs written in {time.monotonic() - began:.0f} s\n")
        command = [sys.executable, __file__, "--measure", home]
        command += ["--workers", str(chosen.workers), "--size", str(chosen.size)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found = {"data_mb": round(total / 1e6), **json.loads(answer.stdout)}
    found["share"] = round(found["together_mb"] / found["data_mb"], 4)
    if chosen.json:
        print(json.dumps(found))
        return
    print(
        f"{found['data_mb']} MB in {found['pictures']} JPEGs: {found['together_mb']} MB resident "
        f"beyond an idle process ({100 * found['share']:.1f} % of the data; main "
        f"{found['main_mb']} MB, a decoder's own {found['decoder_mb']} MB)\n"
        f"listing {found['listing_seconds']} s; first reading "
        f"{found['first_reading_per_second']} pictures/s; epoch "
        f"{found['epoch_per_second']} pictures/s, {100 * found['waiting']:.0f} % of it waiting"
    )


if __name__ == "__main__":
    main()
