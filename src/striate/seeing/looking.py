"""Grad-CAM and CAM: where a network looked, and whether that depends on its weights.

Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391), class activation maps (Zhou et
al. 2016, https://arxiv.org/abs/1512.04150), and the check with random weights (Adebayo et al. 2018,
https://arxiv.org/abs/1810.03292). Maps are raw and signed: below 0 lies what speaks against.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from striate import devices, features

from .layers import last

_SAME = 1e-4  # of the largest number: by how much sums in another order may differ


class Looked(NamedTuple):
    """Where a network looked on N pictures, and where one with shuffled weights would have."""

    layer: str
    maps: Tensor  # (N, h, w), of the asked class
    shuffled: Tensor  # (N, h, w)
    agreement: Tensor  # (N,), rank correlation of the two; NaN where one of them is flat


def looked(
    model: nn.Module,
    values: Tensor,
    targets: Tensor,
    *,
    layer: str | None = None,
    other: nn.Module | None = None,
) -> Looked:
    """Say where a network looked on inputs (N, C, H, W) for the classes (N,).

    By its last map, unless another is named; `other` is what `shuffled` gave, where that is at
    hand. Each picture's map depends on no other picture.
    """
    name = layer or last(model, values.shape[1:]).name
    own = grad_cam(model, values, targets, name)
    senseless = grad_cam(shuffled(model) if other is None else other, values, targets, name)
    return Looked(name, own, senseless, agreement(own, senseless))


def grad_cam(model: nn.Module, values: Tensor, targets: Tensor, layer: str) -> Tensor:
    """Weigh the channels of a map by their mean gradient: inputs (N, ...) -> (N, h, w), signed.

    The gradient is that of the logit of each input's target.
    """
    with torch.enable_grad():
        given = values.detach().requires_grad_()  # there is a graph, though no weight is trained
        found = features.activations(model, given, [layer], whole=True)
        chosen = found[""].gather(1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, found[layer])
    maps = found[layer].detach()
    weights = gradient.flatten(2).mean(2)
    return torch.einsum("nc,nc...->n...", weights, maps)


def cam(model: nn.Module, values: Tensor, targets: Tensor, layer: str) -> Tensor | None:
    """Weigh the channels of a map by the classifier's weights: (N, h, w); None where it is no mean.

    Where the logits are a linear layer of the map's mean over places, this says all: the mean of
    the map and the bias are the logit.
    """
    with torch.no_grad():
        maps = features.activations(model, values, [layer])[layer]
        given, output = features.embedding(model, values)
    means = maps.flatten(2).mean(2)
    weights = _classifier(model, given, output)
    if weights is None or not _equal(means, given):
        return None
    return torch.einsum("nc,nc...->n...", weights[targets], maps)


def _classifier(model: nn.Module, given: Tensor, output: Tensor) -> Tensor | None:
    """Find the weights (K, D) that make the output of what the classifier is given, if any do."""
    for module in reversed(list(model.modules())):
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        weights, bias = module.weight.detach().flatten(1), module.bias
        if weights.shape == (output.shape[1], given.shape[1]):
            made = functional.linear(given, weights, None if bias is None else bias.detach())
            return weights if _equal(made, output) else None
    return None


def _equal(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    return float((first - second).abs().max()) <= _SAME * (float(second.abs().max()) or 1.0)


def shuffled(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Copy a network and shuffle each of its parameters: as large as before, and without sense."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for number, parameter in enumerate(other.parameters()):
            source = torch.Generator().manual_seed(devices.seed_of(seed, number))
            order = torch.randperm(parameter.numel(), generator=source).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].view(parameter.shape))
    return other


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Correlate maps (N, h, w) with others by rank (Spearman): (N,), float64; NaN where flat."""
    pairs = zip(first.flatten(1).cpu().numpy(), second.flatten(1).cpu().numpy(), strict=True)
    return torch.tensor([_correlated(a, b) for a, b in pairs], dtype=torch.float64)


def _correlated(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    ranks = [_ranks(values) - (len(values) - 1) / 2 for values in (a, b)]
    lengths = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    return float(ranks[0] @ ranks[1]) / lengths if lengths else float("nan")


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank numbers from 0; equal ones share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    means: NDArray[np.float64] = (2 * ends - counts - 1) / 2
    return means[place]
