"""The two passes that are looked at: an answer, and a step of training."""

import warnings
from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from striate.errors import UsageError, choose
from striate.tracing.ledger import identity, number_of_bytes, tensors
from striate.tracing.trace import INPUT, Key, Layer, Trace, tracing

# The optimisers of `striate train`, and how many numbers they keep for each weight of a layer.
OPTIMISERS = {"sgd": 1, "adamw": 2, "muon": 1}
# Copies of matrices of one shape that are alive at once while muon makes them orthogonal.
TURNING = 5


class Answer(NamedTuple):
    """An answer in evaluation mode: the layers in their order, and the most memory at once."""

    layers: list[Layer]
    unused: int  # parameters that no layer took
    peak: tuple[int, int]  # bytes: float32, bfloat16
    outputs: Tensor


class TrainingStep(NamedTuple):
    """A step of training."""

    kept: tuple[int, int]  # bytes that the forward pass keeps for the backward pass
    kept_by: Counter[Key]  # the same, in float32, by the layer that made them
    peak: tuple[int, int]


def answer(net: nn.Module, pictures: Tensor) -> Answer:
    """Look at a network as it answers."""
    net.eval()
    with torch.no_grad(), tracing(net, pictures) as trace:
        outputs = forward(net, pictures, trace)
    live = trace.ledger.peak
    return Answer(trace.layers, sum(trace.unused.values()), (live[0], live[1]), outputs)


def step(net: nn.Module, pictures: Tensor, optimiser: str) -> TrainingStep:
    """Look at a step of training, not the first: the optimiser's state and old gradients exist.

    The order is that of `striate train`: forward, loss, old gradients freed, backward, update.
    """
    choose("optimiser", optimiser, OPTIMISERS)
    net.train()
    with tracing(net, pictures) as trace:
        trace.recording = False
        stepper = _Optimiser(net, optimiser)
        trace.ledger.forget_peak()
        trace.recording = True
        keeping = _Keeping(trace)
        with saved_tensors_hooks(keeping.keep, lambda tensor: tensor):
            outputs = forward(net, pictures, trace)
        trace.recording = False
        loss = _loss(outputs)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
    live = trace.ledger.peak
    return TrainingStep((keeping.total[0], keeping.total[1]), keeping.by, (live[0], live[1]))


class _Keeping:
    """Counts what autograd keeps: each piece of memory once, weights and buffers not."""

    def __init__(self, trace: Trace) -> None:
        self.total, self.by = [0, 0], Counter[Key]()
        self._trace, self._counted = trace, set(trace.weights)

    def keep(self, tensor: Tensor) -> Tensor:
        key = identity(tensor)
        if key not in self._counted:
            self._counted.add(key)
            self.total[0] += number_of_bytes(tensor)
            self.total[1] += number_of_bytes(tensor, halved=True)
            self.by[self._trace.maker.get(key, INPUT)] += number_of_bytes(tensor)
        return tensor


def forward(net: nn.Module, pictures: Tensor, trace: Trace) -> Tensor:
    """Run a network; UsageError names the layer in which it fails."""
    try:
        with warnings.catch_warnings(), torch.device(pictures.device):
            warnings.simplefilter("ignore")
            outputs = tensors(net(pictures))
    except Exception as error:  # whatever a network raises is about its sizes, or its own fault
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UsageError(f"{_where(trace)}: {reason}") from error
    if not outputs:
        raise UsageError("the network gives no tensor")
    return outputs[0]


def _where(trace: Trace) -> str:
    call = trace.calls[-1]
    name = f"{call.path} ({call.kind})" if call.path else call.kind
    if call.layer is None or not call.layer.inputs:
        return name
    return f"{name}, given {'x'.join(map(str, call.layer.inputs[1:]))}"


def _loss(outputs: Tensor) -> Tensor:
    if outputs.ndim != 2:
        return outputs.float().mean()
    labels = torch.empty(len(outputs), dtype=torch.long, device=outputs.device)
    return F.cross_entropy(outputs, labels)


class _Optimiser:
    """An optimiser in the midst of a training: its state and the last step's gradients exist.

    It goes from weight to weight, and what it needs beside them is most at the largest: that one
    alone is updated.
    """

    def __init__(self, net: nn.Module, name: str) -> None:
        parameters = [p for p in net.parameters() if p.requires_grad]
        self._net, largest = net, max(parameters, key=nn.Parameter.numel)
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter)
        # Its own state is made, as it has to be, by a first update.
        self._inner = _inner(name, largest)
        self._inner.step()
        others = (p for p in parameters if p is not largest)
        self._state = [torch.empty_like(p) for p in others for _ in range(_kept(name, p))]
        self._turned = _turned(parameters) if name == "muon" else 0

    def zero_grad(self) -> None:
        self._net.zero_grad()

    def step(self) -> None:
        self._inner.step()
        _ = [torch.empty(self._turned, device="meta") for _ in range(TURNING)]


def _turned(parameters: list[nn.Parameter]) -> int:
    """Count the weights of the largest set of one shape: muon turns them together."""
    counts = Counter[torch.Size]()
    for parameter in parameters:
        counts[parameter.shape] += parameter.numel() if parameter.ndim > 1 else 0
    return max(counts.values())


def _kept(name: str, parameter: Tensor) -> int:
    """Count what an optimiser keeps for each weight; muon leaves norms and biases to adamw."""
    return OPTIMISERS["adamw" if name == "muon" and parameter.ndim < 2 else name]


def _inner(name: str, parameter: nn.Parameter) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW([parameter])
    return torch.optim.SGD([parameter], momentum=0.9, nesterov=True, weight_decay=5e-4)
