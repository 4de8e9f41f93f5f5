"""Losses: cross-entropy, with class weights for imbalance, or focal."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .recipe import Recipe


class Loss(Protocol):
    """A mean over a batch: logits (N, K), and labels (N,) or shares of classes (N, K) -> ()."""

    def __call__(self, logits: Tensor, targets: Tensor, /, *, smoothing: float) -> Tensor: ...


def cross_entropy(logits: Tensor, targets: Tensor, /, *, smoothing: float) -> Tensor:
    """Compute the mean cross-entropy, in nats."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


class Weighted(NamedTuple):
    """Cross-entropy by weights of the classes, and less of it for what is known already.

    The focal loss of Lin et al. (2017, https://arxiv.org/abs/1708.02002): each term of the
    cross-entropy is multiplied by (1 - p) ** focal, p the probability of its class. The mean is
    over the examples, not over their weights: a batch with more of the rare classes weighs more.
    """

    weights: Tensor  # (K,)
    focal: float

    def __call__(self, logits: Tensor, targets: Tensor, /, *, smoothing: float) -> Tensor:
        """Compute the mean over the batch."""
        classes = logits.shape[1]
        shares = targets if targets.ndim == 2 else _one_hot(targets, classes)
        logs = logits.log_softmax(1)
        terms = (shares * (1 - smoothing) + smoothing / classes) * logs
        if self.focal:
            # Of a probability of 1 the slope of a power below 1 would be infinite.
            terms = terms * (-logs.expm1()).clamp(min=1e-7) ** self.focal
        return -((shares @ self.weights) * terms.sum(1)).mean()


def loss_of(recipe: Recipe, labels: Tensor, classes: int, device: torch.device) -> Loss:
    """Return the loss that a recipe asks for, of these training labels (N,)."""
    if recipe.class_weights == "none" and not recipe.focal:
        return cross_entropy
    return Weighted(class_weights(recipe.class_weights, labels, classes).to(device), recipe.focal)


def class_weights(kind: str, labels: Tensor, classes: int) -> Tensor:
    """Compute a weight a class, float32 (K,), whose mean over the examples is 1.

    `balanced` is the inverse of its count, as scikit-learn's; `root` the inverse of the count's
    root. A class without examples weighs nothing.
    """
    counts = np.bincount(labels.numpy(), minlength=classes).astype(np.float64)
    power = {"none": 0.0, "root": 0.5, "balanced": 1.0}[kind]
    weights = np.where(counts > 0, counts.clip(min=1) ** -power, 0.0)
    return torch.from_numpy(weights * counts.sum() / (weights @ counts)).float()


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()
