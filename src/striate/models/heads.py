"""The head of a network, its last layer, and the blocks before it, by their paths."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.errors import UsageError
from striate.wording import counted

_ROWS = (nn.Sequential, nn.ModuleList)
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

_LEFT_OUT = (
    "give --no-freeze, and leave out --unfreeze-at, --backbone-rate and --layer-decay: then all "
    "layers learn alike"
)


def head_of(model: nn.Module, values: Tensor) -> str:
    """Find the layer that gives the classes' numbers, as its path; values (N, ...) are tried.

    It is what timm calls the classifier of its networks, else the layer with weights that runs
    last, wherever it stands in the code. UsageError where that has another shape.
    """
    ran, logits = _run(model, values)
    path = _classifier(model) or (ran[-1] if ran else "")
    layer = model.get_submodule(path) if path else model
    width = getattr(layer, "out_features", getattr(layer, "out_channels", 0))
    if path in ran and isinstance(layer, _LAYERS) and width == logits.shape[1]:
        return path
    found = f"{path} ({type(layer).__name__})" if path else "none"
    raise UsageError(
        f"which layer of this network is its head cannot be told: the last with weights is {found},"
        f" not a linear layer or convolution with {counted(logits.shape[1], 'outputs')}; "
        f"{_LEFT_OUT}"
    )


def is_in(path: str, name: str) -> bool:
    """Tell whether a parameter or module is the one at a path, or inside of it.

    >>> is_in("fc", "fc.weight"), is_in("fc", "fc2.weight")
    (True, False)
    """
    return name == path or name.startswith(f"{path}.")


def is_answer(model: nn.Module, head: str, values: Tensor) -> bool:
    """Tell whether the network answers with what its head gives to vectors (N, D), unchanged."""
    found: list[tuple[Any, Any]] = []
    layer = model.get_submodule(head)
    hook = layer.register_forward_hook(
        lambda _module, inputs, output: found.append((inputs[0], output))
    )
    try:
        _, logits = _run(model, values)
    finally:
        hook.remove()
    return len(found) == 1 and found[0][0].ndim == 2 and found[0][1] is logits


def distances(model: nn.Module, head: str) -> Mapping[str, int]:
    """Count for each parameter the blocks from its own to the head, which is at 0.

    A block is a part of the network, or of a row of parts; a part without matrices or filters,
    such as a norm, belongs to the one before it, and the network's own parameters to the first.
    """
    blocks = list(_blocks(model))
    places: dict[str, int] = {}
    last, number = "", 0
    for name, _ in model.named_parameters():
        block = next((path for path in blocks if is_in(path, name)), "")
        if is_in(head, name):
            continue
        if block not in ("", last) and _is_heavy(model.get_submodule(block)):
            last, number = block, number + 1
        places[name] = max(number, 1)
    return {name: number + 1 - places.get(name, number + 1) for name, _ in model.named_parameters()}


def _is_heavy(part: nn.Module) -> bool:
    return any(one.ndim > 1 for one in part.parameters())


def _blocks(model: nn.Module, path: str = "") -> Iterator[str]:
    """Yield the paths of blocks: parts, those of rows, and of parts that are most of all a row."""
    for name, part in model.named_children():
        if isinstance(part, _ROWS):
            yield from (f"{path}{name}.{inner}" for inner, _ in part.named_children())
        elif _is_around_a_row(part):
            yield from _blocks(part, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def _is_around_a_row(part: nn.Module) -> bool:
    rows = [inner for inner in part.children() if isinstance(inner, _ROWS)]
    return 2 * sum(map(_size, rows)) > _size(part)


def _size(part: nn.Module) -> int:
    return sum(one.numel() for one in part.parameters())


def _classifier(model: nn.Module) -> str:
    """Return the path of what timm's networks call their classifier; "" of others."""
    if not hasattr(model, "get_classifier"):
        return ""
    found: Any = model.get_classifier()  # type: ignore[operator]
    if not isinstance(found, nn.Module):
        raise UsageError(
            "this network has several heads, of which none is the one to be taught alone; "
            f"{_LEFT_OUT}"
        )
    return next((path for path, part in model.named_modules() if part is found), "")


def _run(model: nn.Module, values: Tensor) -> tuple[list[str], Tensor]:
    """Return the paths of layers with weights of their own, as they ran, and the logits."""
    ran: list[str] = []
    hooks = [
        part.register_forward_hook(lambda _module, _inputs, _output, path=path: ran.append(path))
        for path, part in model.named_modules()
        if path and any(True for _ in part.parameters(recurse=False))
    ]
    modes = [(part, part.training) for part in model.modules()]
    try:
        with torch.no_grad():
            logits: Tensor = model.eval()(values)
    finally:
        for hook in hooks:
            hook.remove()
        for part, mode in modes:
            part.training = mode
    return ran, logits
