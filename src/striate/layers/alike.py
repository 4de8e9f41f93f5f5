"""What a network decides while several processes take a step together: seen, and made the same.

A layer that is skipped at random is skipped by all processes or by none, as in one process: single
numbers are drawn alike. Masks over examples are drawn by each process for its own.
"""

import contextlib
import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from striate.devices import seed_of

# Functions that draw as many numbers as their first tensor has; those in place cannot be undone.
_OVER_TENSORS = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "dropout_", "alpha_dropout", "rrelu"),
    *("feature_dropout", "feature_alpha_dropout", "native_dropout", "rrelu_", "bernoulli_"),
    *("uniform_", "normal_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_"),
}
# Functions that return what they draw, and change nothing.
_GIVING = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "poisson", "multinomial"),
    *("rand_like", "randn_like", "randint_like", "gumbel_softmax"),
    *("fractional_max_pool2d", "fractional_max_pool3d", "scaled_dot_product_attention"),
}
# By these a network reads a number, by which it may go one way or another.
_READING = {"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__"}


class Watch(TorchFunctionMode):
    """While it is entered, notes whether a network takes decisions, for which it may be refused.

    They are taken by single numbers that are drawn, or by numbers that are read.
    """

    def __init__(self, buffers: Collection[Tensor]) -> None:
        super().__init__()
        self.decides = False
        self._buffers = {buffer.data_ptr() for buffer in buffers}  # norms read how often they ran

    def __enter__(self) -> "Watch":
        self._states = random.getstate(), _numpy_state()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self.decides |= self._states != (random.getstate(), _numpy_state())

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        del types
        found = function(*args, **(kwargs or {}))
        name = _name(function)
        if name in _READING:
            self.decides |= args[0].data_ptr() not in self._buffers
        elif name in _GIVING or name in _OVER_TENSORS:
            drawn = _first_tensor(args) if name in _OVER_TENSORS else found
            self.decides |= isinstance(drawn, Tensor) and drawn.numel() == 1
        return found


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    kind, keys, *rest = state
    return kind, keys.tobytes(), *rest


class Streams(NamedTuple):
    """Torch's generators, and how this process's own numbers are drawn from them."""

    generators: list[torch.Generator]
    states: list[Tensor]  # of this process's own, once it has begun; none before

    @classmethod
    def on(cls, device: torch.device) -> "Streams":
        """Take the generators that layers on a device draw from."""
        generators = [torch.default_generator]
        if device.type == "cuda":
            number = torch.cuda.current_device() if device.index is None else device.index
            generators.append(torch.cuda.default_generators[number])
        return cls(generators, [])

    def begin(self, *numbers: int) -> None:
        """Begin the own numbers of a step anew, as these whole numbers say."""
        shared = [generator.get_state() for generator in self.generators]
        seed = seed_of(*numbers)
        self.states[:] = [generator.manual_seed(seed).get_state() for generator in self.generators]
        self._set(shared)

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """Draw the own numbers meanwhile."""
        shared = [generator.get_state() for generator in self.generators]
        self._set(self.states)
        yield
        self.states[:] = [generator.get_state() for generator in self.generators]
        self._set(shared)

    def _set(self, states: Sequence[Tensor]) -> None:
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)


class Alike(TorchFunctionMode):
    """While it is entered, single numbers are drawn as by all processes, others by each its own.

    Where a process may have a single example, and a single number for it, those alike are `plain`:
    of one dimension at most.
    """

    def __init__(self, streams: Streams, *, plain: bool) -> None:
        super().__init__()
        self._streams, self._most = streams, 1 if plain else 1 << 30

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        del types
        name, kwargs = _name(function), kwargs or {}
        if kwargs.get("generator") is not None:
            return function(*args, **kwargs)
        if name in _OVER_TENSORS and not self._is_single(_first_tensor(args)):
            with self._streams.own():
                return function(*args, **kwargs)
        if name in _GIVING:
            return self._given(function, args, kwargs)
        return function(*args, **kwargs)

    def _given(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Draw first, then look whether it is a single number; if not, draw again."""
        before = [generator.get_state() for generator in self._streams.generators]
        found = function(*args, **kwargs)
        if self._is_single(found):
            return found
        for generator, state in zip(self._streams.generators, before, strict=True):
            generator.set_state(state)
        with self._streams.own():
            return function(*args, **kwargs)

    def _is_single(self, drawn: Any) -> bool:
        return isinstance(drawn, Tensor) and drawn.numel() == 1 and drawn.ndim <= self._most


def _name(function: Any) -> str:
    return getattr(function, "__name__", "")


def _first_tensor(args: Sequence[Any]) -> Tensor | None:
    return next((value for value in args if isinstance(value, Tensor)), None)
