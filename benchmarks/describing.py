"""Which networks of torchvision and timm can be described, and in what time: `make bench`.

    python benchmarks/describing.py                            every network of torchvision
    python benchmarks/describing.py --library timm --every 10  each tenth of timm's
    python benchmarks/describing.py --names timm/vit_tiny_patch16_224 torchvision/resnet152
    python benchmarks/describing.py --memory [--names ...]     against real steps on the CPU

Each is described at its published size. Its parameters are counted again, and its multiply-adds
compared with half of what torch's FlopCounterMode counts. Failures are named.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate import models
from striate.description import OPTIMISERS, Description
from striate.tracing.building import built
from striate.training import optim
from striate.training.recipe import Recipe


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
    net.requires_grad_(False)  # the counter looks for gradient functions of expanded weights
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


# Name, and pictures at once: two where a batch norm would have one number.
MEASURED = {
    "torchvision/vgg16": 1,
    "torchvision/resnet18": 2,
    "torchvision/resnet50": 2,
    "torchvision/densenet121": 2,
    "torchvision/mobilenet_v3_large": 2,
    "torchvision/convnext_tiny": 1,
    "torchvision/swin_t": 2,
    "torchvision/vit_b_16": 1,
}


def kept(net: nn.Module, images: Tensor) -> int:
    """Count the bytes that autograd keeps of a forward pass, weights and buffers not."""
    held = {t.untyped_storage().data_ptr() for t in [*net.parameters(), *net.buffers()]}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            found[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        net(images)
    return sum(storage.nbytes() for storage in found.values())


def peak(net: nn.Module, images: Tensor, optimiser: str) -> int:
    """Return the most bytes at once in two steps of training, by torch's profiler."""
    held = [*net.parameters(), *net.buffers(), images]
    before = sum(t.untyped_storage().nbytes() for t in held)
    stepper = optim.optimiser(net, Recipe(optimiser=optimiser))
    labels = torch.zeros(len(images), dtype=torch.long)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for _ in range(2):
            loss = F.cross_entropy(net(images), labels)
            stepper.zero_grad(set_to_none=True)
            loss.backward()
            stepper.step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return before + max(itertools.accumulate(event.nbytes() for event in events))


def measure(chosen: list[str]) -> None:
    """Print what is said of memory beside what real passes on the CPU take, in MB."""
    print("network, batch: kept said, measured; most at once in a step said, measured (difference)")
    for name, optimiser in itertools.product(chosen, OPTIMISERS):
        batch = MEASURED.get(name, 2)
        found = striate.describe(name, batch=batch, optimiser=optimiser)
        said = found.memory["float32"]
        assert said.kept is not None
        assert said.training is not None
        side = found.size[-1]
        net, images = models.build(name, 1000, size=side).train(), torch.rand(batch, *found.size)
        real = kept(net, images), peak(net, images, optimiser)
        apart = said.training / real[1] - 1
        print(
            f"{name}, {batch}, {optimiser}: {said.kept / 1e6:.2f}, {real[0] / 1e6:.2f}; "
            f"{said.training / 1e6:.1f}, {real[1] / 1e6:.1f} ({apart:+.1%})",
            flush=True,
        )


def main() -> None:
    """Describe, and print a line for each failure or difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=["torchvision", "timm"], default="torchvision")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--names", nargs="*")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    if given.memory:
        measure(given.names or list(MEASURED))
        return
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
