"""Named activations of any network: list its layers, run to them, give gradients where asked.

An activation is the output of a module, by the module's path; of one that runs several times, the
second output is `path:2`. The network is left as it was: its mode, its weights, what is trainable.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from striate.errors import choose
from striate.tracing.trace import call_name


class Activation(NamedTuple):
    """The output of a module."""

    name: str
    kind: str  # the module's class
    shape: tuple[int, ...]  # of one example: (C, H, W) of a map, (D,) of a vector

    @property
    def is_map(self) -> bool:
        """Tell whether it has places: (C, H, W), or (C, T, H, W) of a clip."""
        return len(self.shape) >= 3


class Reached(Exception):  # noqa: N818 -- it is no error
    """Ends a run, raised where the last activation that is asked for is known."""


def path_of(name: str) -> str:
    """Return the path of the module that an activation is the output of.

    >>> path_of("stage1.relu:2")
    'stage1.relu'
    """
    return name.partition(":")[0]


def listed(model: nn.Module, values: Tensor) -> list[Activation]:
    """List the activations of a network for inputs (N, ...), in the order in which they are made.

    Only tensors of floating point numbers with the batch as their first axis count. Raises what the
    network raises for such inputs.
    """
    found: list[Activation] = []
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}

    def note(name: str, output: Any) -> None:
        if _is_activation(output, len(values)):
            kind = kinds[path_of(name)]
            found.append(Activation(name, kind, tuple(output.shape[1:])))

    with torch.no_grad(), evaluating(model), watching(model, note):
        model(values)
    return found


def activations(
    model: nn.Module, values: Tensor, names: Collection[str], *, whole: bool = False
) -> dict[str, Tensor]:
    """Run a network on inputs (N, ...) to the named activations and return them, by name.

    In the order in which they are made. They are part of autograd's graph where that records, so
    `torch.autograd.grad` gives gradients with respect to them. What follows the last of them is not
    run, unless `whole`: then the network's own output stands under "".

    Raises UsageError for a name that the network has no activation of.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        choose("activation", path_of(name), [path for path, _ in model.named_modules() if path])

    def keep(name: str, output: Any) -> Tensor | None:
        if name not in names or not isinstance(output, Tensor):
            return None
        found[name] = output
        if len(found) == len(set(names)) and not whole:
            raise Reached
        # The network goes on with a copy: what is kept cannot be overwritten in place.
        return output.clone()

    paths = {path_of(name) for name in names}
    with contextlib.suppress(Reached), evaluating(model), watching(model, keep, paths):
        output = model(values)
        if whole:
            found[""] = output
    for name in names:
        choose("activation of this network", name, found)
    return found


def embedding(model: nn.Module, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the last layer with weights is given, (N, D), and the network's output.

    The activations just before the classifier, whatever the network: maps are averaged over places.
    """
    given: list[Tensor] = []
    heads = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        given[:] = [inputs[0]]

    hooks = [
        module.register_forward_pre_hook(keep)
        for module in model.modules()
        if isinstance(module, heads)
    ]
    try:
        with evaluating(model):
            output: Tensor = model(values)
    finally:
        for hook in hooks:
            hook.remove()
    last = given[0] if given else output
    return (last.flatten(2).mean(2) if last.ndim > 2 else last), output


def given(model: nn.Module, path: str, values: Tensor) -> Tensor:
    """Return what the module at a path is given first, (N, ...); what follows is not run."""
    found: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0])
        raise Reached

    hook = model.get_submodule(path).register_forward_pre_hook(keep)
    try:
        with contextlib.suppress(Reached), evaluating(model):
            model(values)
    finally:
        hook.remove()
    return found[0]


@contextlib.contextmanager
def watching(
    model: nn.Module, keep: Callable[[str, Any], Any], paths: Collection[str] | None = None
) -> Iterator[None]:
    """Call `keep` with the name and the output of each module that ends, or of those at `paths`.

    What it returns, unless None, goes on in place of the output.
    """
    calls: Counter[str] = Counter()

    def hook(path: str) -> Callable[[nn.Module, Any, Any], Any]:
        def ended(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            calls[path] += 1
            return keep(call_name(path, calls[path]), output)

        return ended

    hooks = [
        module.register_forward_hook(hook(path))
        for path, module in model.named_modules()
        if path and (paths is None or path in paths)
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it calls no module inside
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for one in hooks:
            one.remove()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _is_activation(output: Any, count: int) -> bool:
    return (
        isinstance(output, Tensor)
        and output.ndim >= 2
        and len(output) == count
        and output.is_floating_point()
    )
