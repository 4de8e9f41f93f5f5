"""A network traced on the meta device: receptive fields, operations, memory."""

from collections.abc import Sequence

import torch
from torch import nn

from striate.geometry import Field

from .building import copied
from .places import Seen, reach
from .trace import tracing

__all__ = ["map_fields", "receptive_fields"]


def receptive_fields(model: nn.Module, shape: Sequence[int]) -> dict[str, tuple[Field, ...]]:
    """Return what one element of each module's output sees of an input of this shape (C, H, W).

    By the names that `striate.features` uses, one field for each axis of the picture: its size, the
    step between neighbours, and where the first begins, in pixels. Modules whose outputs depend on
    no picture are left out. The network itself is copied to torch's meta device and not run.
    """
    return {name: seen.fields for name, seen in _outputs(model, shape).items()}


def map_fields(model: nn.Module, shape: Sequence[int]) -> dict[str, tuple[Field, ...]]:
    """Return the receptive fields of those outputs alone that are maps (C, H, W) of the picture.

    Their last axes run along the picture's, in its order; some networks have channels last, or
    tokens in a row, which no one can look at as a map.
    """
    found = _outputs(model, shape)
    return {name: seen.fields for name, seen in found.items() if _is_map(seen)}


def _is_map(seen: Seen) -> bool:
    axes = len(seen.picture)
    if len(seen.dims) != axes + 2:
        return False
    runs = [[axis for axis, far in enumerate(reach([dim], axes)) if far] for dim in seen.dims]
    places = runs[2:]
    return not any(runs[:2]) and any(places) and all(on in ([], [i]) for i, on in enumerate(places))


def _outputs(model: nn.Module, shape: Sequence[int]) -> dict[str, Seen]:
    net = copied(model).eval()
    dtype = next((one.dtype for one in net.parameters()), torch.float32)
    pictures = torch.empty(1, *shape, device="meta", dtype=dtype)
    with torch.no_grad(), torch.device("meta"), tracing(net, pictures) as trace:
        net(pictures)
    return trace.outputs
