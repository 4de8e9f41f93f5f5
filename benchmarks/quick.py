"""The quick comparisons: ours beside a peer, in turns, as ratios with their spread, to JSON.

    OMP_NUM_THREADS=1 python benchmarks/quick.py [-o bench.json] [--pairs 7] [--only NAME ...]

Some minutes on two cores. Each pair is ours and the peer's, one after the other, in changing order;
a ratio is the peer's time over ours, so above 1 ours is faster. Time is of the processor, of this
process and those it started, and on the clock. `benchmarks/comparing.py` compares two such files.
"""

import argparse
import importlib.util
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import decoding
import step
import torch
from torch import nn

import striate
from striate import data, models
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing

PHOTOS, CLASSES = 250, 4
SIDE, BATCH, WORKERS = 112, 64, 2
LEAST_PAIRS = 5

Work = Callable[[], object]


class Pair(NamedTuple):
    """The same work done by ours and by a peer."""

    ours: Work
    peer: Work


class Skipped(Exception):  # noqa: N818
    """A peer is not installed."""


class Place:
    """Photographs, and what is made of them once, for all comparisons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        decoding.write(self.photos, PHOTOS, (300, 500))
        self._run: striate.Run | None = None

    @property
    def run(self) -> striate.Run:
        """A run of torchvision's resnet18, taught for a moment."""
        if self._run is None:
            few = self.folder / "few"
            decoding.write(few, 24, (SIDE, SIDE))
            chosen: dict[str, Any] = {"epochs": 1, "size": SIDE, "test_share": 0.2}
            chosen |= {"model": "torchvision/resnet18", "out": self.folder / "run"}
            self._run = striate.train(few, **chosen)
        return self._run

    def theirs(self, side: int, *, scaled: bool) -> Any:
        """Return torchvision's ImageFolder of the photographs."""
        from torchvision import datasets
        from torchvision import transforms as T

        last = [T.ToTensor(), T.Normalize([0.5] * 3, [0.25] * 3)] if scaled else [T.PILToTensor()]
        how = T.Compose([T.Resize(side), T.CenterCrop(side), *last])
        return datasets.ImageFolder(str(self.photos), how)


def decode(place: Place) -> Pair:
    """A photograph from its file to 224 pixels, beside torchvision's on Pillow."""
    side, count = 224, 80
    pictures = place.theirs(side, scaled=False)
    paths = [Path(path) for path, _ in pictures.samples[:count]]
    preprocessing = Preprocessing(size=(side, side), normalise="none")
    return Pair(
        lambda: [preprocessing.pixels(path) for path in paths],
        lambda: [pictures[number] for number in range(count)],
    )


def reading(place: Place) -> Pair:
    """A folder of photographs into memory, beside ImageFolder and a DataLoader."""
    preprocessing = Preprocessing(size=(SIDE, SIDE), normalise="none")

    def ours() -> object:
        split = data.find(str(place.photos)).splits["train"]
        return read(split, preprocessing, workers=WORKERS)

    def peer() -> object:
        loader = torch.utils.data.DataLoader(
            place.theirs(SIDE, scaled=False), BATCH, num_workers=WORKERS
        )
        return torch.cat([pixels for pixels, _ in loader])

    return Pair(ours, peer)


def stepping(name: str, steps: int) -> Callable[[Place], Pair]:
    """Return the training steps of a network, beside a bare loop of the same."""

    def pair(_: Place) -> Pair:
        side, channels, model, arguments = step.NETS[name]
        device = torch.device("cpu")
        ours, bare = (
            make(side, channels, step.build(model, arguments, channels, side), device)
            for make in (step.ours, step.bare)
        )
        return Pair(
            lambda: step.timed(ours, steps, device), lambda: step.timed(bare, steps, device)
        )

    return pair


def predicting(place: Place) -> Pair:
    """250 photographs to ranked classes, beside ImageFolder, a DataLoader and eager torch."""
    run = place.run
    net = models.build("torchvision/resnet18", CLASSES, size=SIDE).eval()

    def peer() -> object:
        loader = torch.utils.data.DataLoader(
            place.theirs(SIDE, scaled=True), BATCH, num_workers=WORKERS
        )
        with torch.inference_mode():
            return [net(pixels).softmax(1).topk(2) for pixels, _ in loader]

    return Pair(lambda: run.predict(str(place.photos), top=2, workers=WORKERS), peer)


def exported(place: Place) -> Pair:
    """An exported network's ranked classes of arrays, beside a bare session of onnxruntime."""
    _require("onnx", "onnxruntime", "onnxscript")
    import numpy as np
    from onnxruntime import InferenceSession, SessionOptions

    file = place.run.export("onnx", out=place.folder / "net.onnx", data=str(place.photos)).path
    pixels = np.random.default_rng(0).integers(0, 256, (96, SIDE, SIDE, 3), np.uint8)
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session, own = InferenceSession(file, options), striate.load_exported(file)
    (given,) = session.get_inputs()
    content = pixels if given.shape[-1] == 3 else pixels.transpose(0, 3, 1, 2).copy()
    return Pair(
        lambda: own.predict(pixels, top=2),
        lambda: [session.run(None, {given.name: content[k : k + 32]}) for k in range(0, 96, 32)],
    )


def describing(_: Place) -> Pair:
    """What a network costs, beside torchinfo."""
    _require("torchinfo")
    from torchinfo import summary

    net: nn.Module = models.build("torchvision/resnet50", 1000, size=224)
    return Pair(
        lambda: striate.describe(net, size=224),
        lambda: summary(net, (1, 3, 224, 224), verbose=0),
    )


COMPARISONS: dict[str, Callable[[Place], Pair]] = {
    "decode a photo": decode,
    "read a folder": reading,
    "step, small network": stepping("28,700 parameters, 28 px", 20),
    "step, convnet": stepping("convnet, 32 px", 4),
    "predict 250 photos": predicting,
    "onnx, 96 arrays": exported,
    "describe resnet50": describing,
}


def _require(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise Skipped(f"{name} is not installed")


def seconds(work: Work) -> tuple[float, float]:
    """Return what work takes of processors, this process's and its children's, and on the clock."""
    before, begun = _used(), time.perf_counter()
    work()
    return _used() - before, time.perf_counter() - begun


def _used() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, kinds))


def measured(pair: Pair, count: int) -> dict[str, list[float]]:
    """Return the ratios of so many pairs, and the seconds, by clock; the first pair warms up."""
    taken: list[list[tuple[float, float]]] = [[], []]
    for number in range(count + 1):
        order = (0, 1) if number % 2 else (1, 0)
        spent = {which: seconds(pair[which]) for which in order}
        if number:
            for which in order:
                taken[which].append(spent[which])
    found: dict[str, list[float]] = {}
    for place, clock in enumerate(("processor", "wall")):
        mine, theirs = ([one[place] for one in column] for column in taken)
        found[clock] = [b / max(a, 1e-9) for a, b in zip(mine, theirs, strict=True)]
        found[f"{clock} seconds"] = [statistics.median(mine), statistics.median(theirs)]
    return found


def results(names: list[str], count: int) -> Iterator[tuple[str, dict[str, list[float]] | str]]:
    """Yield each comparison's ratios, or why there are none."""
    with tempfile.TemporaryDirectory() as made:
        place = Place(Path(made))
        for name in names:
            try:
                yield name, measured(COMPARISONS[name](place), count)
            except Skipped as reason:
                yield name, str(reason)


def main() -> None:
    """Measure, print a line each, and write the file."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("-o", "--out", type=Path, default=Path("bench.json"))
    reader.add_argument("--pairs", type=int, default=7)
    reader.add_argument("--only", nargs="*", choices=list(COMPARISONS))
    given = reader.parse_args()
    if given.pairs < LEAST_PAIRS:
        reader.error(f"--pairs is {LEAST_PAIRS} or more, not {given.pairs}")
    begun = time.monotonic()
    document: dict[str, Any] = {
        "striate": striate.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {_processor()}",
        "threads": torch.get_num_threads(),
        "pairs": given.pairs,
        "comparisons": {},
        "skipped": {},
    }
    for name, found in results(given.only or list(COMPARISONS), given.pairs):
        if isinstance(found, str):
            document["skipped"][name] = found
            print(f"{name}: left out, {found}", flush=True)
            continue
        document["comparisons"][name] = found
        said = (
            f"{clock} {statistics.median(found[clock]):.2f} times as fast as its peer "
            f"({min(found[clock]):.2f} to {max(found[clock]):.2f})"
            for clock in ("processor", "wall")
        )
        print(f"{name}: {', '.join(said)}, n={given.pairs}", flush=True)
    document["seconds"] = round(time.monotonic() - begun, 1)
    given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"wrote {given.out} after {document['seconds']:.0f} s")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main())
