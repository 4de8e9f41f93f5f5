"""Networks on torch's meta device, without data: built, or copied."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _Empty(TorchFunctionMode):
    """Puts what is asked for uninitialised, as all weights are, on the meta device.

    All else, small tables that builders compute with, stays real: nobody reads what is empty.
    """

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        keywords = keywords or {}
        if function is torch.empty and keywords.get("device") is None:
            keywords = {**keywords, "device": "meta"}
        return function(*arguments, **keywords)


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network without its numbers."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), _Empty():
        warnings.simplefilter("ignore")
        net = build()
    return net.to("meta")


def copied(net: nn.Module) -> nn.Module:
    """Copy a network without its numbers; the network itself stays as it is."""
    memo: dict[int, Any] = {}
    for parameter in net.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in net.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(net, memo)
