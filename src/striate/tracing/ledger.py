"""Which memory is alive, while operations run on torch's meta device, where none is taken."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


def tensors(tree: Any) -> list[Tensor]:
    """Return the tensors in arguments or results, however nested."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def identity(tensor: Tensor) -> int:
    """Return what tensors on the same memory have in common; unique as long as one is alive."""
    return int(tensor.untyped_storage()._cdata)


def number_of_bytes(tensor: Tensor, *, halved: bool = False) -> int:
    """Return the size of a tensor's memory; `halved`: as if its float32 were bfloat16."""
    size = int(tensor.untyped_storage().nbytes())
    return size // 2 if halved and tensor.dtype == torch.float32 else size


class Ledger:
    """Bytes that are alive now, and the most that ever were: in float32 and in bfloat16."""

    def __init__(self) -> None:
        self.live = [0, 0]
        self.peak = [0, 0]
        self._known: dict[int, weakref.ref[Any]] = {}

    def enter(self, found: Iterable[Tensor]) -> list[Tensor]:
        """Count the memory of tensors until it is freed; give those whose memory is new."""
        return [tensor for tensor in found if self._enter(tensor)]

    def _enter(self, tensor: Tensor) -> bool:
        storage = tensor.untyped_storage()
        key = id(storage)  # torch keeps this object as long as the memory
        if key in self._known:
            return False
        sizes = [number_of_bytes(tensor), number_of_bytes(tensor, halved=True)]

        def free(_: Any) -> None:
            del self._known[key]
            self.live = [live - size for live, size in zip(self.live, sizes, strict=True)]

        self._known[key] = weakref.ref(storage, free)
        self.live = [live + size for live, size in zip(self.live, sizes, strict=True)]
        self.peak = [max(pair) for pair in zip(self.peak, self.live, strict=True)]
        return True

    def forget_peak(self) -> None:
        """Begin to look for the most anew."""
        self.peak = list(self.live)
