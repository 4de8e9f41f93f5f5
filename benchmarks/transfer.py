"""A published network taught other classes: striate beside other ways, in turn on the same cores.

    STRIATE_DATA=... python benchmarks/transfer.py                 every way once
    STRIATE_DATA=... python benchmarks/transfer.py --rounds 3 --ways striate logistic

Each way is a process of its own, from nothing to the accuracy on the test pictures: imports,
reading and all. Seconds on the clock depend on what else the machine does, those of processors
less so.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from striate.data.sources.named import data_root

NETWORK = "tf_efficientnet_lite0"
CLASSES = 10
BATCH = 32


def weights() -> Path:
    return data_root() / "weights" / "efficientnet_lite0.safetensors"


def striate(seed: int, _epochs: int) -> float:
    """Train as its users do, without another flag."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "striate", "train", str(data_root() / "photos")]
        command += ["--model", f"timm/{NETWORK}", "--weights", str(weights())]
        command += ["--seed", str(seed), "-o", f"{place}/run", "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout)["accuracy"])


def network(classes: int) -> nn.Module:
    """Build timm's network with the weights of the file, and a fresh head of so many classes."""
    import timm
    from safetensors.torch import load_file

    net: nn.Module = timm.create_model(NETWORK, num_classes=1000)
    net.load_state_dict(load_file(weights()))
    net.reset_classifier(classes)  # type: ignore[operator]
    return net.to(memory_format=torch.channels_last)


def pictures(split: str, transform: Any, *, shuffle: bool = False) -> "DataLoader[Any]":
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(data_root() / "photos" / split), transform)
    workers = min(2, os.cpu_count() or 1)
    return DataLoader(data, BATCH, shuffle=shuffle, num_workers=workers)


def plain() -> Any:
    """Return timm's own preprocessing of the network for evaluation."""
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform
    from timm.models import get_pretrained_cfg

    card = get_pretrained_cfg(NETWORK)
    assert card is not None
    return create_transform(**resolve_data_config({}, pretrained_cfg=card.to_dict()))


def logistic(_seed: int, _epochs: int) -> float:
    """Fit scikit-learn's logistic regression to timm's features of all training pictures."""
    from sklearn.linear_model import LogisticRegression

    net = network(0).eval()
    found = {}
    for split in ("train", "test"):
        rows = list(answered(net, split))
        found[split] = [torch.cat(part).numpy() for part in zip(*rows, strict=True)]
    model = LogisticRegression(max_iter=1000).fit(*found["train"])
    return float(model.score(*found["test"]))


def answered(net: nn.Module, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a network answers to the pictures of a split, and their labels, by batches."""
    for images, labels in pictures(split, plain()):
        with torch.no_grad():
            yield net(images.contiguous(memory_format=torch.channels_last)), labels


def torchvision_way(seed: int, epochs: int) -> float:
    """Train all layers as torchvision's tutorial of transfer learning does: SGD, in steps."""
    net = network(CLASSES)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    return taught(net, optimiser, seed, epochs, lambda done: 0.1 ** (int(done * epochs) // 7))


def torchvision_frozen(seed: int, epochs: int) -> float:
    """Train the head alone as the tutorial's second part does, pictures augmented each epoch."""
    net = network(CLASSES).requires_grad_(False)
    head = net.get_classifier().requires_grad_(True)  # type: ignore[operator]
    optimiser = torch.optim.SGD(head.parameters(), lr=1e-3, momentum=0.9)
    return taught(net, optimiser, seed, epochs, lambda done: 0.1 ** (int(done * epochs) // 7))


def timm_way(seed: int, epochs: int) -> float:
    """Train all layers as timm's script does: AdamW without decay of norms, a cosine."""
    from timm.optim._optim_factory import create_optimizer_v2

    net = network(CLASSES)
    optimiser = create_optimizer_v2(net, opt="adamw", lr=5e-4, weight_decay=0.05)
    return taught(net, optimiser, seed, epochs, lambda done: (1 + math.cos(math.pi * done)) / 2)


def taught(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    seed: int,
    epochs: int,
    share: Callable[[float], float],
) -> float:
    """Take the steps in a plain loop; `share` of the rate follows from what is done, 0 to 1."""
    from torchvision import transforms

    torch.manual_seed(seed)
    normal = transforms.Normalize((0.5,) * 3, (0.5,) * 3)
    crop, flip = transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()
    change = transforms.Compose([crop, flip, transforms.ToTensor(), normal])
    loader = pictures("train", change, shuffle=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    for epoch in range(epochs):
        net.train()
        for number, (images, labels) in enumerate(loader):
            done = (epoch + number / len(loader)) / epochs
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * share(done)
            optimiser.zero_grad()
            values = images.contiguous(memory_format=torch.channels_last)
            F.cross_entropy(net(values), labels).backward()
            optimiser.step()
    net.eval()
    right = [logits.argmax(1) == labels for logits, labels in answered(net, "test")]
    return torch.cat(right).float().mean().item()


WAYS: dict[str, Callable[[int, int], float]] = {
    "striate": striate,
    "logistic": logistic,
    "torchvision-frozen": torchvision_frozen,
    "torchvision": torchvision_way,
    "timm": timm_way,
}


def timed(way: str, seed: int, epochs: int) -> dict[str, Any]:
    """Run a way in a process of its own; return its accuracy, and both kinds of seconds."""
    command = [sys.executable, __file__, "--one", way, "--seed", str(seed), "--epochs", str(epochs)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    accuracy = float(done.stdout.split()[-1])
    return {"way": way, "seed": seed, "accuracy": accuracy, "seconds": seconds, "processors": used}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="of the ways that train in a loop")
    parser.add_argument("--one", choices=WAYS, help="run this way here and print its accuracy")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.one:
        print(WAYS[given.one](given.seed, given.epochs))
        return
    for seed in range(given.rounds):
        for way in given.ways:
            row = timed(way, seed, given.epochs)
            load = os.getloadavg()[0]
            print(
                f"{way:20} seed {seed}  {100 * row['accuracy']:5.1f} % of 250  "
                f"{row['seconds']:6.0f} s, of processors {row['processors']:6.0f} s  "
                f"load {load:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
