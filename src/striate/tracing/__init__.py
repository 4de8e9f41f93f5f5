"""A network traced without numbers: receptive fields, operations, memory; one pass, any module."""

from collections.abc import Sequence

import torch
from torch import nn

from striate.geometry import Field

from .building import copied
from .trace import tracing

__all__ = ["receptive_fields"]


def receptive_fields(model: nn.Module, shape: Sequence[int]) -> dict[str, tuple[Field, ...]]:
    """Return what one element of each module's output sees of an input of this shape (C, H, W).

    By the names that `striate.features` uses, one field for each axis of the picture: its size, the
    step between neighbours, and where the first begins, in pixels. Modules whose outputs depend on
    no picture are left out. The network itself is copied to torch's meta device and not run.
    """
    net = copied(model).eval()
    pictures = torch.empty(1, *shape, device="meta")
    with torch.no_grad(), torch.device("meta"), tracing(net, pictures) as trace:
        net(pictures)
    return {name: seen.fields for name, seen in trace.outputs.items()}
