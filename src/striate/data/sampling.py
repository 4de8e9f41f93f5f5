"""In which order, and how often, an epoch shows the examples of a split."""

import torch
from torch import Tensor

from striate import devices

from .batches import order


def natural(labels: Tensor, /, *, seed: int, epoch: int) -> Tensor:
    """Return all rows (N,), each once, in an order that follows from seed and epoch alone."""
    return order(len(labels), seed=seed, epoch=epoch)


def balanced(labels: Tensor, /, *, seed: int, epoch: int) -> Tensor:
    """Return rows (N,) in which all classes are as frequent; they follow from seed and epoch alone.

    Of a class with too few examples each is shown several times, as often as any other or once
    more; of one with too many others are left out in each epoch. Where N is no multiple of the
    classes, some have one example more.
    """
    generator = torch.Generator().manual_seed(devices.seed_of(seed, epoch))
    classes = labels.unique()
    each, rest = divmod(len(labels), len(classes))
    favoured = set(torch.randperm(len(classes), generator=generator)[:rest].tolist())
    chosen = []
    for number, label in enumerate(classes):
        own, quota = (labels == label).nonzero().squeeze(1), each + (number in favoured)
        rounds = -(-quota // len(own))
        shuffled = [own[torch.randperm(len(own), generator=generator)] for _ in range(rounds)]
        chosen.append(torch.cat(shuffled)[:quota] if shuffled else own[:0])
    rows = torch.cat(chosen)
    return rows[torch.randperm(len(rows), generator=generator)]


def places(rows: Tensor, count: int) -> Tensor:
    """Return by what each showing's changes are drawn: its row, and `count` more at each repeat.

    So an example that an epoch shows twice is changed in two ways.
    """
    by_row = torch.argsort(rows, stable=True)
    ordered = rows[by_row]
    firsts = torch.searchsorted(ordered, ordered)
    repeats = torch.empty_like(rows)
    repeats[by_row] = torch.arange(len(rows)) - firsts
    return rows + count * repeats
