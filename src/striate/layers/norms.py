"""Norms by name, and a network's norms exchanged for others."""

import copy
from collections.abc import Iterator
from typing import Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _NormBase  # of batch and instance norms

from striate.errors import UsageError, choose

Norm = Literal["batch", "group", "layer", "instance", "none"]
NORMS: tuple[Norm, ...] = get_args(Norm)
GROUPS = 32  # of a group norm (Wu & He 2018, https://arxiv.org/abs/1803.08494)

_BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
# Of how many axes are the maps that a layer gives; 0: none, a vector of features.
_AXES: dict[type[nn.Module], int] = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_CONVERTIBLE = {*_BATCH.values(), *_INSTANCE.values(), nn.GroupNorm, nn.SyncBatchNorm}

Convertible = nn.GroupNorm | _NormBase


def norm(
    kind: Norm, channels: int, *, axes: int = 2, eps: float = 1e-5, affine: bool = True
) -> nn.Module:
    """Return a norm of `channels` maps of `axes` axes, with scale and shift of each if `affine`.

    `axes=0` is for features (N, C). `layer` is a group norm of one group, over all channels and
    pixels of an example; `none` is the identity, and so is `instance` of features, which have no
    pixels to take a mean of.
    """
    choose("norm", kind, NORMS)
    if kind == "batch":
        return _BATCH[axes or 1](channels, eps, affine=affine)
    if kind == "group" or kind == "layer":
        return nn.GroupNorm(groups(channels) if kind == "group" else 1, channels, eps, affine)
    if kind == "instance" and axes:
        return _INSTANCE[axes](channels, eps, affine=affine)
    return nn.Identity()


def groups(channels: int) -> int:
    """Return a group norm's number of groups: 32, or the most below of equal size and two channels.

    A group of one channel would be an instance norm, and 0 on a map of one pixel.

    >>> [groups(channels) for channels in (1, 7, 16, 24, 32, 64, 512)]
    [1, 1, 8, 12, 16, 32, 32]
    """
    fit = (count for count in range(min(GROUPS, channels // 2), 1, -1) if channels % count == 0)
    return next(fit, 1)


def convert_norm(net: nn.Module, kind: Norm) -> nn.Module:
    """Return a copy of a network in which every batch, group and instance norm is of this kind.

    A norm of that kind already stays as it is, with its running statistics. Of the others scale,
    shift and epsilon are kept, but for `none`, which has none; running statistics are dropped, so
    that evaluation answers differently from before, and a new batch norm's start at mean 0 and
    variance 1: train the copy before it is used. nn.LayerNorm and its like, which are not over
    maps, stay too. UsageError for a network without norms to convert, and for norms of a library
    that do more than torch's (timm's have their activation inside).
    """
    choose("norm", kind, NORMS)
    found = copy.deepcopy(net)
    fresh: dict[Convertible, nn.Module] = {}
    for path, old, axes in list(_norms(found)):
        if old not in fresh:  # a norm that stands at two places stays one
            fresh[old] = old if _kind(old) == kind else _converted(old, kind, axes)
        if not path:
            return fresh[old]
        found.set_submodule(path, fresh[old])
    if not fresh:
        raise UsageError("the network has no batch, group or instance norm to convert")
    return found


def norm_parameters(net: nn.Module) -> set[str]:
    """Name the scales and shifts of a network's norms: batch, group, layer and instance."""
    kinds = (*Convertible.__args__, nn.LayerNorm)
    return {
        f"{path}.{name}" if path else name
        for path, module in net.named_modules()
        if isinstance(module, kinds)
        for name, _ in module.named_parameters(recurse=False)
    }


def _norms(net: nn.Module) -> Iterator[tuple[str, Convertible, int]]:
    """Yield path, norm, and the axes of its maps.

    A group norm, and torch's 1d norms, take maps of any axes: those are told by the layer before.
    """
    before = 2
    for path, module in net.named_modules(remove_duplicate=False):
        before = _AXES.get(type(module), before)
        if not isinstance(module, Convertible):
            continue
        if type(module) not in _CONVERTIBLE:
            what = f"{path} is a {type(module).__name__}" if path else type(module).__name__
            raise UsageError(f"{what}, which does more than a norm of torch")
        yield path, module, _axes(module, before)


def _axes(module: Convertible, before: int) -> int:
    for table in (_BATCH, _INSTANCE):
        for count, kind in table.items():
            if count > 1 and isinstance(module, kind):
                return count
    return min(before, 1) if isinstance(module, (_BATCH[1], _INSTANCE[1])) else before


def _kind(module: Convertible) -> Norm:
    if isinstance(module, nn.GroupNorm):
        return "layer" if module.num_groups == 1 else "group"
    return "instance" if isinstance(module, tuple(_INSTANCE.values())) else "batch"


def _converted(old: Convertible, kind: Norm, axes: int) -> nn.Module:
    channels = old.num_channels if isinstance(old, nn.GroupNorm) else old.num_features
    new = norm(kind, channels, axes=axes, eps=old.eps, affine=old.affine)
    if old.affine and not isinstance(new, nn.Identity):
        new.to(old.weight)
        new.weight, new.bias = old.weight, old.bias  # themselves: frozen ones stay frozen
    return new.train(old.training)
