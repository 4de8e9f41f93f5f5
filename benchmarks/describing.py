"""Which networks of torchvision and timm can be described, and in what time: `make bench`.

    python benchmarks/describing.py                            every network of torchvision
    python benchmarks/describing.py --library timm --every 10  each tenth of timm's
    python benchmarks/describing.py --names timm/vit_tiny_patch16_224 torchvision/resnet152

Each is described at its published size. Its parameters are counted again, and its multiply-adds
compared with half of what torch's FlopCounterMode counts. Failures are named.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import models
from striate.description import Description
from striate.description.building import built


def names(library: str) -> list[str]:
    """List a library's classification networks."""
    if library == "torchvision":
        import torchvision

        return [f"torchvision/{n}" for n in torchvision.models.list_models(torchvision.models)]
    import timm

    return [f"timm/{n}" for n in timm.list_models()]


def flops(name: str, size: tuple[int, ...]) -> int:
    """Count with torch's own counter, on the meta device."""
    net = built(lambda: models.build(name, 1000, size=(size[-2], size[-1]))).eval()
    counter = FlopCounterMode(display=False)
    torch.backends.mha.set_fastpath_enabled(False)
    with counter, torch.no_grad(), torch.device("meta"):
        net(torch.empty(1, *size, device="meta"))
    torch.backends.mha.set_fastpath_enabled(True)
    return int(counter.get_total_flops())


def parameters(name: str, size: tuple[int, ...]) -> int:
    """Count a network's parameters by itself."""
    net = built(lambda: models.build(name, 1000, size=(size[-2], size[-1])))
    return sum(p.numel() for p in net.parameters())


def described(chosen: list[str]) -> Iterator[tuple[str, Description | None, float, str]]:
    """Describe networks; give seconds, and what went wrong."""
    for name in chosen:
        began = time.perf_counter()
        try:
            found, reason = striate.describe(name), ""
        except Exception as error:  # a failure is a line of the result
            found, reason = None, f"{type(error).__name__}: {error}"
        yield name, found, time.perf_counter() - began, reason


def compare(name: str, found: Description) -> list[str]:
    """Say in what a description differs from what torch counts."""
    wrong = []
    if found.totals["parameters"] != parameters(name, found.size):
        wrong.append("parameters differ")
    counted = flops(name, found.size)
    if 2 * (found.totals["multiply_adds"] or 0) != counted:
        wrong.append(f"multiply-adds {found.totals['multiply_adds']}, torch {counted / 2:.0f}")
    if found.untrainable:
        wrong.append(f"no training step: {found.untrainable}")
    if not any(row.whole_picture for row in found.layers[-2:]):
        wrong.append("the answer does not see the whole picture")
    return wrong


def main() -> None:
    """Describe, and print a line for each failure or difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=["torchvision", "timm"], default="torchvision")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--names", nargs="*")
    given = parser.parse_args()
    chosen = given.names or names(given.library)[:: given.every]
    striate.describe("torchvision/alexnet")  # the imports are not measured
    seconds, failed, odd = [], [], []
    for name, found, took, reason in described(chosen):
        if found is None:
            failed.append(f"{name}: {reason}")
        else:
            seconds.append(took)
            odd += [f"{name}: {line}" for line in compare(name, found)]
        print(f"{name} {took:.2f} s", file=sys.stderr, flush=True)
    print(f"{len(seconds)} of {len(chosen)} described, {len(odd)} remarks")
    if seconds:
        print(f"seconds: median {statistics.median(seconds):.2f}, most {max(seconds):.2f}")
    print("\n".join(["failed:", *failed, "remarks:", *odd]))


if __name__ == "__main__":
    main()
