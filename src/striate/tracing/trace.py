"""One pass through a network, in which every operation is known by the layer it belongs to.

Hooks tell which module runs; below autograd, where torch hands each operation to its device, a mode
sees the operation itself. On the meta device there are shapes and no numbers.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from . import costs, fields
from .costs import Sliding
from .ledger import Ledger, identity, number_of_bytes, tensors
from .places import Seen, all_mixed, picture

Key = tuple[str, int, str, int]  # module, number of its call, operation, number of that
INPUT: Key = ("", 0, "input", 1)


@dataclass
class Layer:
    """What a layer did: a module without parts, or an operation in a module with parts."""

    key: Key
    kind: str
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    sliding: Sliding | None = None
    parameters: int = 0
    multiply_adds: int = 0
    computes: bool = False  # not only another view of its input
    made: list[int] = field(default_factory=list)  # memory that is new
    output_bytes: int = 0
    activation_bytes: int = 0  # of the output, where its memory is new
    seen: Seen | None = None
    sources: dict[Key, None] = field(default_factory=dict)  # whose outputs it takes, in order

    @property
    def name(self) -> str:
        """The module's path; the network itself has none."""
        return self.key[0]


@dataclass
class Call:
    """A module that runs."""

    path: str
    number: int
    kind: str
    layer: Layer | None  # of a module without parts
    padding: Any = None  # what it padded before it slid, as torch writes it
    operations: Counter[str] = field(default_factory=Counter)


def call_name(path: str, number: int) -> str:
    """Name the output of a module's call, counted from 1: a module that runs twice has two.

    >>> call_name("relu", 1), call_name("relu", 2)
    ('relu', 'relu:2')
    """
    return path if number == 1 else f"{path}:{number}"


class Trace(TorchDispatchMode):
    """The layers of a pass, in their order, and the memory that was alive."""

    def __init__(self, net: nn.Module, pictures: Tensor) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.outputs: dict[str, Seen] = {}  # of modules, by `call_name`
        self.ledger = Ledger()
        self.calls: list[Call] = [Call("", 0, type(net).__name__, None)]
        self.maker: dict[int, Key] = {}  # of memory, while it is alive
        self.recording = True
        weights = [*net.parameters(), *net.buffers()]
        self.weights = {identity(tensor) for tensor in weights}
        self.ledger.enter([*weights, pictures])
        self.unused = {identity(p): p.numel() for p in net.parameters()}
        self._seen: Any = WeakIdKeyDictionary()
        self._seen[pictures] = picture(pictures.shape, pictures.ndim - 2)
        self._written: dict[int, Seen] = {}  # memory that an operation changed
        self._writer: dict[int, Key] = {identity(pictures): INPUT}  # the last, while it is alive
        self._numbers: Counter[str] = Counter()

    def look(self, argument: Any) -> Seen | None:
        """Return what a tensor sees of the picture; None for a weight or a constant."""
        if not isinstance(argument, Tensor):
            return None
        found: Seen | None = self._seen.get(argument)
        written = self._written.get(identity(argument))
        # Parts of it were written to: which, is not followed.
        return all_mixed(written, argument.shape) if found is None and written else found

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        """Carry an operation out, and write down what it did."""
        out = operation(*arguments, **(keywords or {}))
        new = self.ledger.enter(tensors(out))
        if self.recording:
            self._record(operation, [*arguments, *(keywords or {}).values()], tensors(out), new)
        return out

    def _record(
        self, operation: Any, arguments: list[Any], outs: list[Tensor], new: list[Tensor]
    ) -> None:
        name = operation.__name__.partition(".")[0]
        name = name.rstrip("_") if operation._schema.is_mutable else name
        self._follow(name, arguments, outs, new, changes=operation._schema.is_mutable)
        work = costs.multiply_adds(name, arguments, outs[0]) if outs else 0
        computes = bool(new) or operation._schema.is_mutable
        used = {identity(t) for t in tensors(arguments)} if computes else set()
        unused = used & self.unused.keys()
        matters = work or unused or (computes and any(self.look(out) for out in outs))
        layer = self.calls[-1].layer
        if layer is None:
            if not matters:
                return
            layer = self._operation(name, arguments)
        layer.multiply_adds += work
        layer.parameters += sum(self.unused.pop(weight) for weight in unused)
        layer.computes |= computes and any(self.look(out) is not None for out in outs)
        layer.sliding = layer.sliding or self._sliding(layer, name, arguments)
        self._connect(layer, arguments, outs if computes else [])
        for out in new:
            layer.made.append(identity(out))
            self.maker[identity(out)] = layer.key
        if self.calls[-1].layer is None and outs:
            self._finish(layer, outs[:1])

    def _connect(self, layer: Layer, arguments: list[Any], written: list[Tensor]) -> None:
        """Note which layers an operation takes its inputs from, and that this one has written."""
        keys = (self._writer.get(identity(given)) for given in tensors(arguments))
        layer.sources |= {key: None for key in keys if key is not None and key != layer.key}
        for out in written:
            self._writer[identity(out)] = layer.key

    def _follow(
        self,
        name: str,
        arguments: list[Any],
        outs: list[Tensor],
        new: list[Tensor],
        *,
        changes: bool,
    ) -> None:
        """Note what outputs see of the picture."""
        for out in new:  # perhaps where something was freed
            self._written.pop(identity(out), None)
            self._writer.pop(identity(out), None)
            self.maker.pop(identity(out), None)
        for out in outs:
            seen = fields.behind(name, arguments, out, self.look)
            if seen is not None:
                self._seen[out] = seen
                if changes:
                    self._written[identity(out)] = seen

    def _operation(self, name: str, arguments: list[Any]) -> Layer:
        call = self.calls[-1]
        kind = PLAIN.get(name, name)
        call.operations[kind] += 1
        layer = Layer((call.path, call.number, kind, call.operations[kind]), kind)
        given = [t for t in tensors(arguments) if self.look(t) is not None]
        layer.inputs = tuple(max(given, key=Tensor.numel).shape) if given else ()
        self.layers.append(layer)
        return layer

    def _sliding(self, layer: Layer, name: str, arguments: list[Any]) -> Sliding | None:
        if name == "constant_pad_nd" and self.calls[-1].layer is layer:
            self.calls[-1].padding = arguments[1]
        found = costs.sliding(name, arguments)
        amounts = self.calls[-1].padding
        return found.padded(amounts) if found and amounts else found

    def enter(self, path: str, module: nn.Module, arguments: Any) -> None:
        """Note that a module begins."""
        self._numbers[path] += 1
        kind, number = type(module).__name__, self._numbers[path]
        layer = None
        if not any(True for _ in module.children()):
            layer = Layer((path, number, "", 1), kind)
            given = tensors(arguments)
            layer.inputs = tuple(given[0].shape) if given else ()
            self.layers.append(layer)
        self.calls.append(Call(path, number, kind, layer))

    def leave(self, out: Any) -> None:
        """Note that the module that ran has ended."""
        call = self.calls.pop()
        found = tensors(out)
        seen = self.look(found[0]) if found else None
        if call.path and seen is not None:
            self.outputs[call_name(call.path, call.number)] = seen
        if call.layer is not None:
            self._finish(call.layer, found)

    def _finish(self, layer: Layer, outs: list[Tensor]) -> None:
        if not outs:
            return
        layer.outputs = tuple(outs[0].shape)
        layer.seen = self.look(outs[0])
        if layer.computes:
            layer.output_bytes = sum(t.numel() * t.element_size() for t in outs)
            layer.activation_bytes = sum(
                number_of_bytes(t) for t in outs if identity(t) in layer.made
            )


# What torch calls otherwise than people do.
PLAIN = {
    **dict.fromkeys(costs.ATTENTION, "attention"),
    **dict.fromkeys(("addmm", "mm", "bmm", "baddbmm"), "product"),
    "constant_pad_nd": "pad",
    "_softmax": "softmax",
    "_safe_softmax": "softmax",
    "clone": "copy",
    "_to_copy": "copy",
    "convolution": "convolution",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "max_pool2d_with_indices": "max_pool2d",
    "native_layer_norm": "layer_norm",
    "native_batch_norm": "batch_norm",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "native_group_norm": "group_norm",
    "linalg_vector_norm": "norm",
}


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """Have attention computed as on a CPU: in one operation, which keeps no table of all pairs.

    On the meta device torch would choose the plain formula. Which one the CPU takes is written in
    aten/src/ATen/native/transformers/sdp_utils_cpp.cpp. A mode would not do: torch leaves it out
    inside multi_head_attention_forward.
    """
    plain = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = functools.partial(_attention, plain)
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


class _Attention(NamedTuple):
    """The arguments of scaled_dot_product_attention."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def _attention(plain: Callable[..., Tensor], *arguments: Any, **named: Any) -> Tensor:
    given = _Attention(*arguments, **named)
    query, key, value, mask = given[:4]
    learnt = mask is not None and mask.requires_grad and torch.is_grad_enabled()
    alike = query.shape[-1] == value.shape[-1] and query.shape[1] == key.shape[1]
    if given.dropout_p or learnt or query.ndim != 4 or not alike:
        return plain(*arguments, **named)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    found: Tensor = fused(
        query, key, value, 0.0, given.is_causal, attn_mask=mask, scale=given.scale
    )[0]
    return found


@contextlib.contextmanager
def tracing(net: nn.Module, pictures: Tensor) -> Iterator[Trace]:
    """Trace what runs inside: layers, and the memory that is alive."""
    trace = Trace(net, pictures)
    hooks = []
    for path, module in net.named_modules():
        hooks.append(
            module.register_forward_pre_hook(
                lambda module, given, named, path=path: trace.enter(path, module, (given, named)),
                with_kwargs=True,
            )
        )
        hooks.append(module.register_forward_hook(lambda _, __, out: trace.leave(out)))
    fast = torch.backends.mha.get_fastpath_enabled()
    # The fast path of transformers is one operation, in which nothing can be told apart.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _fused_attention(), trace:
            yield trace
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for hook in hooks:
            hook.remove()
