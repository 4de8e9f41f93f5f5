"""What bfloat16 gives a training step on this processor: pictures per CPU-second, in turns.

    OMP_NUM_THREADS=1 python benchmarks/precision.py [--rounds 5]

Forward and backward of each network in both precisions, one after the other in each round; the
ratio is of the two in a round. Needs a CPU with AVX-512 BF16 or AMX.
"""

import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from step import build
from torch import Tensor, nn

from striate import devices

CPU = torch.device("cpu")
BATCH = 128
NETS = {  # channels and side of the pictures, network, its arguments
    "compact (mnist/fast)": (1, 28, "compact", {}),
    "compact (mnist/best)": (1, 28, "compact", {"first": 32, "second": 64, "third": 128}),
    "mnist-convnet": (1, 28, "mnist-convnet", {}),
    "convnet": (3, 32, "convnet", {}),
    "cifar-convnet": (3, 32, "cifar-convnet", {}),
    "whitened (cifar10/fast)": (3, 32, "whitened", {}),
    "resnet20": (3, 32, "resnet20", {}),
    "resnet18, 64 px": (3, 64, "resnet18", {}),
}


def main() -> None:
    """Time each network and print a row."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--rounds", type=int, default=5)
    rounds = reader.parse_args().rounds
    if not devices.multiplies_bfloat16(CPU):
        sys.exit("this CPU has no instructions for bfloat16: there is nothing to compare")
    print(f"{devices.describe(CPU)}, torch {torch.__version__}, batches of {BATCH}")
    print("| network | float32 | bfloat16 | ratio |\n|---|---|---|---|")
    for name, (channels, side, model, arguments) in NETS.items():
        net = devices.place(build(model, arguments, channels, side).train(), CPU)
        values = devices.ordered(torch.randn(BATCH, channels, side, side))
        pairs: list[list[float]] = []
        for turn in range(rounds + 1):
            both = [spent(net, values, halved=halved) for halved in (False, True)]
            pairs += [both] * (turn > 0)  # the first warms up
        ratios = sorted(whole / half for whole, half in pairs)
        rates = [BATCH / statistics.median(column) for column in zip(*pairs, strict=True)]
        print(
            f"| {name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
            flush=True,
        )


def spent(net: nn.Module, values: Tensor, *, halved: bool) -> float:
    """Return the CPU-seconds of a forward and a backward pass."""
    labels = torch.arange(BATCH) % 10
    begun = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=halved):
        logits = net(values)
    F.cross_entropy(logits.float(), labels).backward()
    net.zero_grad(set_to_none=True)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
