"""Exported networks: how near their answers are, how long an export takes, and how fast they run.

    python benchmarks/exporting.py table [NAME ...] [--library]
    python benchmarks/exporting.py speed [NAME ...] [--rounds 7] [--threads 2]
    python benchmarks/exporting.py photos FOLDER [--rounds 3]

Rounds are interleaved: each library takes its turn in each round. Times are of the processor, all
threads together, so that other programs on the machine change them little; ratios are of medians,
with the smallest and the largest ratio of a round.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import striate
from striate import models
from striate.data.preparation.preprocessing import Preprocessing
from striate.exported import Document
from striate.exported.network import open_session
from striate.exporting import agreement, openvinofile
from striate.exporting.formats import FORMATS, Ask
from striate.exporting.graph import Whole, arranged
from striate.exporting.onnxfile import traced

LIBRARY = (
    *("torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/efficientnet_b0"),
    *("torchvision/convnext_tiny", "torchvision/densenet121", "torchvision/vit_b_16"),
    *(
        "timm/resnet26",
        "timm/tf_efficientnet_lite0",
        "timm/convnext_atto",
        "timm/vit_tiny_patch16_224",
    ),
)
CLASSES = 10


def main() -> None:
    """Carry out one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["table", "speed", "photos"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--library", action="store_true", help="torchvision's and timm's as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each library")
    given = parser.parse_args()
    if given.what == "table":
        table(given.names or [*models.MODELS, *(LIBRARY if given.library else ())])
    elif given.what == "speed":
        speed(given.names or ["convnet", "resnet34"], given.rounds, given.threads)
    else:
        photos(Path(given.names[0]), given.rounds)


def built(name: str) -> tuple[nn.Module, Any]:
    """Build a network at a small size, with the preprocessing of its kind."""
    from striate.data.preparation.clips import Clips
    from striate.data.preparation.spectrograms import Spectrograms

    torch.manual_seed(0)
    known = models.MODELS.get(name)
    if name == "audio-convnet":
        preparation: Any = Spectrograms(length=8000)
    elif known is not None and known.axes == 3:
        preparation = Clips(4, Preprocessing((32, 32)))
    else:
        side = max(known.smallest, 32) if known else 224
        grey = bool(known and known.shape and known.shape[0] == 1)
        preparation = Preprocessing((side, side), 1 if grey else 3)
    shape = preparation.shape
    net = models.build(name, CLASSES, channels=shape[0], size=tuple(shape[1:]))
    return settled(net.train(), preparation).eval(), preparation


def settled(net: nn.Module, preparation: Any) -> nn.Module:
    """Let batch norms see some noise: of fresh ones logits of deep networks overflow."""
    with torch.no_grad():
        for _ in range(3):
            net(preparation.values(noise(preparation, 4)))
    return net


def noise(preparation: Any, count: int) -> torch.Tensor:
    """Draw pixels (N, ...) of the preparation's type."""
    whole = torch.iinfo(preparation.dtype)
    random = torch.Generator().manual_seed(1)
    drawn = torch.randint(
        whole.min, whole.max + 1, (count, *preparation.pixel_shape), generator=random
    )
    return drawn.to(preparation.dtype)


def table(names: list[str]) -> None:
    """Print a line a network and format: largest difference of probabilities, seconds, size."""
    print("| network | input | format | difference | seconds | MB |\n|---|---|---|---|---|---|")
    for name in names:
        net, preparation = built(name)
        pixels = noise(preparation, 8)
        with torch.inference_mode():
            own = net(preparation.values(pixels)).numpy()
        given = " x ".join(map(str, arranged(pixels[:1]).shape[1:]))
        for kind, made in FORMATS.items():
            begun = time.process_time()
            document = Document(preparation.kind, ("a",), {}, name, striate.__version__, "")
            program = traced(Whole(net, preparation), arranged(pixels[:2]))
            content = made.made(program, document, None)
            seconds = time.process_time() - begun
            found = agreement.compare(own, made.opened(content)(arranged(pixels).numpy()))
            size = sum(map(len, content.values())) / 1e6
            print(
                f"| `{name}` | {given} | {kind} | {found.difference:.0e} | {seconds:.1f} "
                f"| {size:.1f} |",
                flush=True,
            )


def speed(names: list[str], rounds: int, threads: int) -> None:
    """Print how long eager torch, onnxruntime and OpenVINO take, as parts of eager torch's time."""
    torch.set_num_threads(threads)
    for name, side, batch in (
        ("convnet", 32, 1), ("convnet", 32, 16), ("resnet34", 224, 1), ("resnet34", 224, 16),
    ):  # fmt: skip
        if name not in names:
            continue
        torch.manual_seed(0)
        net = models.build(name, CLASSES, size=side).eval()
        preparation = Preprocessing((side, side))
        pixels = noise(preparation, batch)
        document = Document("pictures", ("a",), {}, name, striate.__version__, "")
        program = traced(Whole(net, preparation), arranged(noise(preparation, 2)))
        asked: dict[str, Callable[[], Any]] = {"torch": eager(net, preparation, pixels)}
        made = {kind: FORMATS[kind].made(program, document, None) for kind in ("onnx", "openvino")}
        session = open_session(made["onnx"][".onnx"], name, threads=threads)
        asks: dict[str, Ask] = {
            "onnx": lambda given, session=session: session.run(["logits"], {"pictures": given})[0],
            "openvino": openvinofile.ask(made["openvino"], threads=threads),
        }
        for kind, ask in asks.items():
            asked[kind] = question(ask, arranged(pixels).numpy())
        compare_times(f"{name} {side} px, batch {batch}", asked, rounds, 30 if side == 32 else 2)


def eager(net: nn.Module, preparation: Preprocessing, pixels: torch.Tensor) -> Callable[[], Any]:
    """Return what asks PyTorch."""

    def ask() -> Any:
        with torch.inference_mode():
            return net(preparation.values(pixels))

    return ask


def question(ask: Ask, pixels: Any) -> Callable[[], Any]:
    """Return what asks a file."""
    return lambda: ask(pixels)


def compare_times(
    what: str, asked: dict[str, Callable[[], Any]], rounds: int, repeats: int
) -> None:
    """Print medians and ratios over interleaved rounds, in processor and in wall time."""
    clocks = {"processor": time.process_time, "wall": time.perf_counter}
    taken: dict[str, dict[str, list[float]]] = {c: {k: [] for k in asked} for c in clocks}
    for number in range(rounds + 1):
        for kind, ask in asked.items():
            begun = {clock: read() for clock, read in clocks.items()}
            for _ in range(repeats):
                ask()
            for clock, read in clocks.items():
                if number:  # the first round warms up
                    taken[clock][kind].append((read() - begun[clock]) / repeats)
    first = next(iter(asked))
    for clock, times in taken.items():
        for kind, each in times.items():
            ratios = [a / b for a, b in zip(times[first], each, strict=True)]
            print(
                f"{what}, {clock}: {kind} {1000 * statistics.median(each):.1f} ms, "
                f"{statistics.median(ratios):.2f} times as fast as {first} "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


THEIRS = """
import sys, torch
from torchvision import datasets, models, transforms as T
net = models.resnet18(num_classes=5).eval()
net.load_state_dict(torch.load(sys.argv[2], weights_only=True))
how = T.Compose([T.Resize(128), T.CenterCrop(112), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])
data = datasets.ImageFolder(sys.argv[1], how)
with torch.inference_mode():
    for pixels, _ in torch.utils.data.DataLoader(data, 64, num_workers=2):
        net(pixels).softmax(1)
"""


def photos(folder: Path, rounds: int) -> None:
    """Print how long 250 photographs take from files to answers, each in a fresh process."""
    from torchvision import models as theirs

    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        chosen: dict[str, Any] = {"epochs": 1, "size": 112, "model": "torchvision/resnet18"}
        trained = striate.train(str(folder.parent), out=run, **chosen)
        file = str(trained.export("onnx", data=str(folder)).path)
        weights = Path(place) / "weights.pth"
        torch.save(theirs.resnet18(num_classes=5).state_dict(), weights)
        own = [str(Path(sys.executable).parent / "striate"), "predict"]
        lines = {
            "torchvision": [sys.executable, "-c", THEIRS, str(folder), str(weights)],
            "striate, the file": [*own, file, str(folder), "--json"],
            "striate, the run": [*own, str(run), str(folder), "--json"],
        }
        asked = {name: process(line) for name, line in lines.items()}
        compare_processes(asked, rounds)


def process(line: list[str]) -> Callable[[], None]:
    """Return what runs a command line to its end."""

    def ran() -> None:
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return ran


def compare_processes(asked: dict[str, Callable[[], None]], rounds: int) -> None:
    """Print the time of fresh processes and of their children, interleaved."""
    import resource

    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, ran in asked.items():
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            ran()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken[name].append((used, time.perf_counter() - begun))
    first = next(iter(asked))
    for clock, column in (("processor", 0), ("wall", 1)):
        for name, times in taken.items():
            each = [time[column] for time in times]
            ratios = [a[column] / b for a, b in zip(taken[first], each, strict=True)]
            print(
                f"photographs, {clock}: {name} {statistics.median(each):.2f} s, "
                f"{statistics.median(ratios):.2f} times as fast as {first} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
