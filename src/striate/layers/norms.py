"""Norms by name, and a network's norms exchanged for others."""

import copy
from typing import Literal

from torch import nn

from striate.errors import UsageError, choose

Norm = Literal["batch", "group", "layer", "instance", "none"]
NORMS: tuple[Norm, ...] = ("batch", "group", "layer", "instance", "none")

_BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
# Of how many axes are the maps that a layer gives; 0: none, a vector of features.
_AXES: dict[type[nn.Module], int] = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_KNOWN = (*_BATCH.values(), *_INSTANCE.values(), nn.GroupNorm, nn.SyncBatchNorm)


def norm(kind: Norm, channels: int, *, axes: int = 2, eps: float = 1e-5) -> nn.Module:
    """Give a norm of `channels` maps of `axes` axes, 0 for features (N, C), with scale and shift.

    `group` has 32 groups (Wu & He 2018, https://arxiv.org/abs/1803.08494) or the most below that
    are of equal size and of two channels or more; `layer` is one group; `none` is the identity.
    """
    choose("norm", kind, NORMS)
    if kind == "batch":
        return _BATCH[axes or 1](channels, eps)
    if kind == "instance":
        if not axes:
            raise UsageError("instance norm is over a map's pixels: features of a linear have none")
        return _INSTANCE[axes](channels, eps, affine=True)
    if kind == "none":
        return nn.Identity()
    return nn.GroupNorm(groups(channels) if kind == "group" else 1, channels, eps)


def groups(channels: int) -> int:
    """Give the number of groups of a group norm.

    >>> [groups(channels) for channels in (1, 7, 16, 24, 64, 512)]
    [1, 1, 8, 12, 32, 32]
    """
    # A group of one channel would be an instance norm, and on a map of one pixel give 0.
    fit = (n for n in range(min(32, channels // 2), 0, -1) if channels % n == 0)
    return next(fit, 1)


def convert_norm(net: nn.Module, kind: Norm) -> nn.Module:
    """Give a copy of a network in which every norm over channels is of this kind.

    Scale and shift of each channel are carried over, but for `none`, which has neither; a batch
    norm begins with running mean 0 and variance 1. Norms of that kind already are left as they are,
    and so is nn.LayerNorm, which is not over channels. UsageError for a network without norms, and
    for a subclass of torch's norms (timm's have their activation inside).
    """
    choose("norm", kind, NORMS)
    found = copy.deepcopy(net)
    axes, norms = 2, 0
    for path, module in list(found.named_modules()):
        axes = _AXES.get(type(module), axes)
        if not isinstance(module, _KNOWN):
            continue
        norms += 1
        parent, _, leaf = path.rpartition(".")
        if not path:
            return _converted(module, kind, axes, "the norm")
        setattr(found.get_submodule(parent), leaf, _converted(module, kind, axes, path))
    if not norms:
        raise UsageError("the network has no batch, group or instance norm to convert")
    return found


def _converted(old: nn.Module, kind: Norm, axes: int, path: str) -> nn.Module:
    if type(old) not in _KNOWN:
        raise UsageError(f"{path} is a {type(old).__name__}, which does more than a norm of torch")
    if _kind(old) == kind:
        return old
    assert isinstance(old, _KNOWN)
    channels = old.num_channels if isinstance(old, nn.GroupNorm) else old.num_features
    new = norm(kind, channels, axes=_axes(old, axes), eps=old.eps)
    if old.weight is not None and kind != "none":
        new.load_state_dict({"weight": old.weight, "bias": old.bias}, strict=False)
        new.to(old.weight)
    return new.train(old.training)


def _kind(module: nn.Module) -> Norm:
    if isinstance(module, nn.GroupNorm):
        return "layer" if module.num_groups == 1 else "group"
    return "instance" if isinstance(module, tuple(_INSTANCE.values())) else "batch"


def _axes(module: nn.Module, before: int) -> int:
    """Give the axes of the maps that a norm takes; where it does not say, of the layer before."""
    for table in (_BATCH, _INSTANCE):
        for count, known in table.items():
            if isinstance(module, known) and count > 1:
                return count
    return before
