"""A training step watched from outside: hooks on its parts; none changes what is computed."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Variable
from torch.utils.hooks import RemovableHandle

from striate.data.preparation.kinds import Values
from striate.tracing.ledger import tensors
from striate.training.losses import Loss
from striate.training.step import Augment, Learner

from .timeline import AUGMENTATION, BACKWARD, CHECKS, FORWARD, HOOKS, OPTIMISER, REST, Timeline

LOSS = "(loss)"  # what no module computes


@contextlib.contextmanager
def watched(learner: Learner, timeline: Timeline) -> Iterator[Learner]:
    """Return the learner with marks at its parts; afterwards nothing of them is left on it."""
    model, optimiser = learner.model, learner.optimiser
    hooks = [
        model.register_forward_pre_hook(lambda *_: timeline.mark(FORWARD), prepend=True),
        optimiser.register_step_pre_hook(lambda *_: timeline.mark(OPTIMISER)),
        optimiser.register_step_post_hook(lambda *_: timeline.mark(REST)),
    ]
    try:
        yield learner._replace(
            augment=_Augmenting(learner.augment, timeline),
            preprocessing=_Normalising(learner.preprocessing, timeline),
            loss=_Losing(learner.loss, timeline),
        )
    finally:
        for hook in hooks:
            hook.remove()


class _Augmenting(NamedTuple):
    """Random changes, with a mark before them."""

    inner: Augment
    timeline: Timeline

    def __call__(self, pixels: Tensor, rows: Tensor, /, *, seed: int, epoch: int) -> Tensor:
        self.timeline.mark(AUGMENTATION)
        return self.inner(pixels, rows, seed=seed, epoch=epoch)


class _Normalising(NamedTuple):
    """Normalisation, with a mark behind it."""

    inner: Values
    timeline: Timeline

    def values(self, batch: Tensor, /) -> Tensor:
        found = self.inner.values(batch)
        self.timeline.mark(REST)
        return found


class _Losing(NamedTuple):
    """A loss, with marks where the forward pass ends and the backward pass begins and ends."""

    inner: Loss
    timeline: Timeline

    def __call__(self, logits: Tensor, targets: Tensor, /, *, smoothing: float) -> Tensor:
        found = self.inner(logits, targets, smoothing=smoothing)
        self.timeline.mark(REST)
        found.register_hook(self._begin)
        return found

    def _begin(self, _: Tensor) -> None:
        self.timeline.mark(BACKWARD, LOSS)
        # As DDP and FSDP learn of the end of a backward pass.
        Variable._execution_engine.queue_callback(lambda: self.timeline.mark(CHECKS))


class Seen(NamedTuple):
    """What was seen of a layer besides its time."""

    kind: str
    gradients: int  # how many the backward pass computes: of the input, and of what it is times
    reordered: bool  # a convolution whose input lies in memory otherwise than its weights


class Layers:
    """Marks in both passes by the innermost module that is computing."""

    def __init__(self, model: nn.Module, timeline: Timeline) -> None:
        self.seen: dict[str, Seen] = {}
        self._model, self._timeline = model, timeline
        self._running: list[str] = []
        self._known: set[Any] = set()  # nodes of this step's graph: alive, so none comes twice

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the modules in here."""
        hooks: list[RemovableHandle] = []
        for path, module in self._model.named_modules():
            enter = functools.partial(self._enter, path)
            hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            leave = functools.partial(self._leave, path)
            hooks.append(module.register_forward_hook(leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def forget(self) -> None:
        """Let go of a step's graph."""
        self._known.clear()
        self._running.clear()

    def _enter(self, path: str, module: nn.Module, given: Any, named: Any) -> None:
        self._timeline.mark(HOOKS)
        inputs = tensors((given, named))
        if self._running:
            self._claim(inputs, self._running[-1])
        if path not in self.seen:
            self.seen[path] = _look(module, inputs)
        self._running.append(path)
        self._timeline.mark(FORWARD, path)

    def _leave(self, path: str, _: nn.Module, __: Any, out: Any) -> None:
        self._timeline.mark(HOOKS)
        self._claim(tensors(out), path)
        self._running.pop()
        self._timeline.mark(FORWARD, self._running[-1] if self._running else LOSS)

    def _claim(self, found: list[Tensor], path: str) -> None:
        """Have what leads to tensors, and belongs to no layer yet, marked in the backward pass."""
        pending = [tensor.grad_fn for tensor in found if tensor.grad_fn is not None]
        while pending:
            node = pending.pop()
            if node not in self._known:
                self._known.add(node)
                node.register_prehook(functools.partial(self._back, path))
                pending += [before for before, _ in node.next_functions if before is not None]

    def _back(self, path: str, _: Any) -> None:
        self._timeline.mark(BACKWARD, path)


def _look(module: nn.Module, inputs: list[Tensor]) -> Seen:
    own = list(module.parameters(recurse=False))
    takes = any(tensor.requires_grad for tensor in inputs)
    # Without weights of its own it multiplies inputs with each other, as attention does.
    learns = any(parameter.requires_grad for parameter in own) if own else takes
    convolves = isinstance(module, nn.Conv2d | nn.Conv3d) and bool(inputs)
    return Seen(type(module).__name__, takes + learns, convolves and not _last(inputs[0]))


def _last(pictures: Tensor) -> bool:
    """Tell whether the channels lie last in memory."""
    three = pictures.ndim == 5
    order = torch.channels_last_3d if three else torch.channels_last
    return pictures.is_contiguous(memory_format=order)
