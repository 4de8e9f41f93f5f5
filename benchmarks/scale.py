"""A large data set on paper: what grows with its pictures, what each GPU asks of the storage.

    python benchmarks/scale.py bytes [--counts 2000 10000]    memory and files a picture, measured
    python benchmarks/scale.py paper [--rate 2500] ...        ImageNet's train split, a billion
    python benchmarks/scale.py loader [--rate 2500] ...       a simulated storage and N ranks

`bytes` makes folders and shards of tiny pictures with names as long as ImageNet's, opens them, and
divides the growth between two counts by their difference: fixed costs cancel. `loader` has a clock
of its own, so it is exact, and takes no time.
"""

import argparse
import gc
import heapq
import io
import json
import random
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CLASSES = 1000  # folders, at most
IMAGENET = 1_281_167
SETS = {"ImageNet": IMAGENET, "a billion": 1_000_000_000}
PICTURE = 115_000  # bytes a picture: 147.9 GB of ImageNet's train split over its pictures
RATES = (500, 2500, 10_000)  # pictures a second a GPU
CHUNK = 16  # pictures that a decoder is asked for at a time
# Of this project, on the machine of docs/results.md, from files to 224 pixels.
DECODED = 925  # pictures a CPU-second


# What grows, measured


def write_folder(folder: Path, count: int) -> Path:
    """Write pictures of one pixel as class folders, named as ImageNet's."""
    content = picture()
    numbers = random.Random(count).sample(range(1_000_000), count)
    for row, number in enumerate(numbers):
        place = folder / f"n{row % CLASSES:08d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{place.name}_{number}.JPEG").write_bytes(content)
    return folder


def write_tars(folder: Path, count: int) -> Path:
    """Write them as shards, with the product's own command."""
    from striate import data
    from striate.data.sources.sharding import write_shards

    out = folder.with_name(f"{folder.name}-shards")
    for _ in write_shards(data.find(write_folder(folder, count)), out):
        pass
    return out


def picture() -> bytes:
    """Return a JPEG of one pixel."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "JPEG")
    return buffer.getvalue()


def held(make: Callable[[], Any]) -> tuple[int, Any]:
    """Return the bytes that a result holds in Python and numpy, and the result."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size, made


def sizes_of(path: Path) -> dict[str, int]:
    """Return the bytes of what a training holds and writes about the pictures of a data set."""
    import torch

    from striate import data
    from striate.data import batches
    from striate.inspection import Fingerprints, fingerprint_table
    from striate.runs import folder
    from striate.tables import parquet_bytes

    # The least of three: Python's own table of names grows in jumps, which are not the data's.
    index, found = min((held(lambda: data.find(path)) for _ in range(3)), key=lambda one: one[0])
    split = found.splits["train"]
    own = random.Random(0)
    digests, made = held(lambda: [own.randbytes(16) for _ in split.names])
    thumbs = torch.randint(0, 256, (len(split), 256), dtype=torch.uint8)
    colours = torch.randint(0, 256, (len(split), 3), dtype=torch.uint8)
    listed = [(name, found.classes[label]) for name, label in zip(split.names, split.labels)]  # noqa: B905
    order = batches.order(len(split), seed=0, epoch=0)
    plain = fingerprint_table({"train": Fingerprints(split.names, made)})
    whole = fingerprint_table({"train": Fingerprints(split.names, made, thumbs, colours)})
    return {
        "index: names, places, labels": index,
        "order of an epoch": order.nbytes,
        "digests": digests,
        "thumbnails (up to 200,000 pictures)": thumbs.nbytes + colours.nbytes,
        "file splits.parquet": len(folder._splits_table({"train": listed})),
        "file fingerprints.parquet": len(parquet_bytes(plain)),
        "file fingerprints.parquet, with thumbnails": len(parquet_bytes(whole)),
    }


def growth(kind: str, counts: Sequence[int]) -> dict[str, float]:
    """Return the bytes that each further picture takes, of a folder or of shards."""
    few, many = sorted(counts)
    with tempfile.TemporaryDirectory() as made:
        write = {"folder": write_folder, "shards": write_tars}[kind]
        places = [write(Path(made) / f"of-{count}", count) for count in (few, many)]
        first, last = (sizes_of(place) for place in places)
    return {name: (last[name] - first[name]) / (many - few) for name in last}


def measure(counts: Sequence[int]) -> None:
    """Print bytes a picture."""
    found = {kind: growth(kind, counts) for kind in ("folder", "shards")}
    print("| bytes a picture | folder | shards |\n|---|---|---|")
    for name in found["folder"]:
        print(f"| {name} | {found['folder'][name]:.0f} | {found['shards'][name]:.0f} |")


# Arithmetic


class Sums(NamedTuple):
    """A data set on so many GPUs."""

    pictures: int
    ranks: int
    rate: float  # pictures a second a GPU
    picture: int = PICTURE  # bytes
    shard: int = 10_000  # pictures
    index: float = 0.0  # bytes a picture, in each process
    decoded: float = DECODED  # pictures a CPU-second

    @property
    def bytes(self) -> int:
        """Of the whole data set."""
        return self.pictures * self.picture

    @property
    def shards(self) -> int:
        """Tar files."""
        return -(-self.pictures // self.shard)

    @property
    def asked(self) -> float:
        """Bytes a second that a GPU asks of the storage."""
        return self.rate * self.picture

    @property
    def cores(self) -> float:
        """Cores that decode for a GPU."""
        return self.rate / self.decoded

    @property
    def epoch(self) -> float:
        """Seconds."""
        return self.pictures / (self.ranks * self.rate)

    @property
    def held(self) -> float:
        """Bytes of the index in each process."""
        return self.pictures * self.index


def paper(index: float, rates: Sequence[float], picture: int, ranks: Sequence[int]) -> None:
    """Print a data set's sums, then what a GPU asks for at each rate."""
    print("| | bytes | shards of 10,000 | index in each process |\n|---|---|---|---|")
    for name, pictures in SETS.items():
        sums = Sums(pictures, 1, rates[0], picture, index=index)
        print(f"| {name} | {size(sums.bytes)} | {sums.shards:,} | {size(sums.held)} |")
    heads = "".join(f" epoch of {name}, {n} GPUs |" for name in SETS for n in ranks)
    print(f"\n| pictures a second a GPU | storage, a GPU | decoding cores, a GPU |{heads}")
    print("|---" * (3 + len(SETS) * len(ranks)) + "|")
    for rate in rates:
        one = Sums(1, 1, rate, picture)
        times = "".join(
            f" {hours(Sums(pictures, n, rate).epoch)} |"
            for pictures in SETS.values()
            for n in ranks
        )
        print(f"| {rate:,.0f} | {size(one.asked)}/s | {one.cores:.1f} |{times}")


def size(number: float) -> str:
    """Write bytes.

    >>> size(115_000_000), size(1.5e14)
    ('115 MB', '150 TB')
    """
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6)):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {unit}"
    return f"{number:.0f} B"


def hours(seconds: float) -> str:
    """Write a time in the unit that fits.

    >>> hours(64), hours(5400), hours(400_000)
    ('64 s', '1.5 h', '4.6 days')
    """
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


# A simulated loader


class Storage(NamedTuple):
    """What all ranks read from: one after the other at its bandwidth, each after its latency."""

    bandwidth: float  # bytes a second, of all ranks together
    latency: float  # seconds until the first byte


class Rank(NamedTuple):
    """What one rank does."""

    rate: float  # pictures a second that its GPU takes
    ahead: int  # requests under way or waiting to be taken
    chunk: int = CHUNK  # pictures a request
    picture: int = PICTURE


class Arrival(NamedTuple):
    """A chunk that a rank has taken."""

    rank: int
    asked: float  # seconds on the simulation's clock
    came: float
    taken: float  # when the GPU began with it
    waited: float  # seconds for which the GPU had nothing


def arrivals(storage: Storage, ranks: int, one: Rank, chunks: int) -> Iterator[Arrival]:
    """Yield the chunks of fake shards as ranks take them; the first of all asked at 0."""
    free = 0.0  # when the storage has sent what was asked before
    ready = [0.0] * ranks  # when each GPU has done what it took
    left = [chunks] * ranks
    asked = [(0.0, rank) for rank in range(ranks) for _ in range(min(one.ahead, chunks))]
    heapq.heapify(asked)
    while asked:
        when, rank = heapq.heappop(asked)
        free = max(when + storage.latency, free) + one.chunk * one.picture / storage.bandwidth
        taken = max(free, ready[rank])
        yield Arrival(rank, when, free, taken, taken - ready[rank])
        ready[rank] = taken + one.chunk / one.rate
        left[rank] -= 1
        if left[rank] >= one.ahead:
            # A place is free as the GPU begins with a chunk.
            heapq.heappush(asked, (taken, rank))


def reached(storage: Storage, ranks: int, one: Rank, chunks: int = 400) -> tuple[float, float]:
    """Return the pictures a second of each rank, and the share of time in which GPUs wait.

    In the middle half of the chunks: at first all requests come at once, at last none follow.
    """
    taken: list[list[float]] = [[] for _ in range(ranks)]
    waited: list[list[float]] = [[] for _ in range(ranks)]
    for arrival in arrivals(storage, ranks, one, chunks):
        taken[arrival.rank].append(arrival.taken)
        waited[arrival.rank].append(arrival.waited)
    first, last = chunks // 4, 3 * chunks // 4
    seconds = sum(times[last] - times[first] for times in taken)
    done = ranks * (last - first) * one.chunk
    waiting = sum(sum(times[first + 1 : last + 1]) for times in waited)
    return done / seconds, waiting / seconds


def bound(storage: Storage, ranks: int, one: Rank) -> float:
    """Return the pictures a second a rank that arithmetic allows."""
    chunk = one.chunk * one.picture
    shared = storage.bandwidth / (ranks * one.picture)
    # So many requests are under way, each for its latency and its own sending.
    pipelined = one.ahead * one.chunk / (storage.latency + chunk / storage.bandwidth)
    return min(one.rate, shared, pipelined)


def simulate(storage: Storage, one: Rank, counts: Sequence[int]) -> None:
    """Print at which number of ranks the storage starves them."""
    print(
        f"storage of {size(storage.bandwidth)}/s after {1000 * storage.latency:g} ms; each rank "
        f"takes {one.rate:,.0f} pictures/s of {size(one.picture)} and asks for {one.ahead} chunks "
        f"of {one.chunk} ahead"
    )
    print("| ranks | pictures/s a rank | waiting | by arithmetic |\n|---|---|---|---|")
    for ranks in counts:
        rate, waiting = reached(storage, ranks, one)
        print(f"| {ranks} | {rate:,.0f} | {waiting:.1%} | {bound(storage, ranks, one):,.0f} |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out one of the three."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("what", choices=["bytes", "paper", "loader"])
    reader.add_argument("--counts", type=int, nargs=2, default=(2000, 10_000))
    reader.add_argument("--index", type=float, help="bytes a picture [default: measured]")
    reader.add_argument("--rate", type=float, nargs="+", default=RATES, help="pictures/s a GPU")
    reader.add_argument("--picture", type=int, default=PICTURE, help="bytes")
    reader.add_argument("--ranks", type=int, nargs="+", default=(1, 2, 4, 8, 16, 32))
    reader.add_argument("--bandwidth", type=float, default=2e9, help="bytes/s, of all ranks")
    reader.add_argument("--latency", type=float, default=0.02, help="seconds")
    reader.add_argument("--ahead", type=int, default=8, help="chunks that a rank asks for ahead")
    reader.add_argument("--json", action="store_true", help="of bytes: one document")
    given = reader.parse_args(arguments)
    if given.what == "bytes" and given.json:
        found = {kind: growth(kind, given.counts) for kind in ("folder", "shards")}
        print(json.dumps(found, indent=1))
    elif given.what == "bytes":
        measure(given.counts)
    elif given.what == "paper":
        index = given.index
        if index is None:
            index = growth("shards", given.counts)["index: names, places, labels"]
        paper(index, given.rate, given.picture, (8, 64))
    else:
        for rate in given.rate:
            one = Rank(rate, given.ahead, picture=given.picture)
            simulate(Storage(given.bandwidth, given.latency), one, given.ranks)


if __name__ == "__main__":
    sys.exit(main())
