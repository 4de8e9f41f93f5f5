"""Batch norm over the examples of several processes, on CPUs as well as GPUs.

Each process has a part of a batch, of any size. Mean, variance and their gradients are those of
the whole batch (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167); torch's SyncBatchNorm does
the same on GPUs alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from striate import ranks

Agree = Callable[[int], None]


class Synchronised(TorchFunctionMode):
    """While it is entered, every batch norm in training mode is over all processes.

    It takes the place of the function that norms call, so any library's norms are meant, and the
    network keeps its modules and the names of its weights. Where the examples do not count, they
    are normalised and change no statistics. `agree` is called before each with its channels: where
    a network takes decisions, another process may be elsewhere.
    """

    def __init__(self, *, counts: bool = True, agree: Agree | None = None) -> None:
        super().__init__()
        self._counts = counts
        self._agree = agree

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        del types
        if function is F.batch_norm:
            return self._norm(*args, **(kwargs or {}))
        if function is torch.batch_norm:
            x, weight, bias, mean, variance, *rest = args
            return self._norm(x, mean, variance, weight, bias, *rest[:3])
        return function(*args, **(kwargs or {}))

    def _norm(self, *args: Any, **kwargs: Any) -> Tensor:
        if self._agree:
            input = args[0] if args else kwargs["input"]
            self._agree(input.shape[1])
        return batch_norm(*args, **kwargs, counts=self._counts)


def batch_norm(  # noqa: PLR0913
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    counts: bool = True,
) -> Tensor:
    """Normalise (N, C, ...) as torch's function of this name does, over all processes."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    mean, variance, total = statistics(input.detach(), counts=counts)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = variance * (total / (total - 1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    found: Tensor = _Normalise.apply(input, weight, bias, mean, variance, total, eps, counts)
    return found


def statistics(x: Tensor, *, counts: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Compute mean (C,) and variance (C,) over all processes, and of how many numbers a channel ().

    By Chan's formula, from those of each process: no sum of squares, which would cancel out. In
    float64, as they are few.
    """
    mean, variance = _own(x)
    number = x.numel() // x.shape[1] if counts else 0
    own = torch.cat([mean.double(), variance.double(), mean.new_full((1,), number).double()])
    means, variances, numbers = ranks.beside(own).tensor_split([len(mean), 2 * len(mean)], dim=1)
    total = numbers.sum()
    if total.device.type == "cpu" and total <= 1:  # as torch says it; a GPU would be waited for
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {x.size()}"
        )
    shares = numbers / total
    whole = (shares * means).sum(0)
    return whole, (shares * (variances + (means - whole) ** 2)).sum(0), total[None]


def _own(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean (C,) and variance (C,) of this process's part."""
    if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64):
        # 30 times as fast as var_mean of pictures with channels last.
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        return mean, variance
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(precise, _all_but_channels(x), correction=0)
    return mean, variance


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


class _Normalise(torch.autograd.Function):
    """(x - mean) / std * weight + bias, whose mean and std depend on the x of all processes."""

    @staticmethod
    def forward(  # noqa: PLR0913
        context: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        total: Tensor,
        eps: float,
        counts: bool,
    ) -> Tensor:
        precise = torch.promote_types(x.dtype, torch.float32)
        slope = (variance + eps).rsqrt().to(precise)
        mean, variance = mean.to(precise), variance.to(precise)
        context.save_for_backward(x, weight, mean, slope, total)
        context.eps, context.counts = eps, counts
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, slope, total = context.saved_tensors
        # This part's sums over all but the channels: of gradient * (x - mean) / std, of gradient.
        _, products, plain = torch.ops.aten.native_batch_norm_backward(
            gradient, x, None, None, None, mean, slope, True, context.eps, [False, True, True]
        )
        found = None
        if context.needs_input_grad[0]:
            shared = ranks.add_up(torch.stack([plain, products]).double()) / total
            found = _of_input(
                x, gradient, weight, (mean, slope), shared if context.counts else None
            )
        _, scales, shifts, *_ = context.needs_input_grad
        scaled = products.to(weight.dtype) if scales else None
        shifted = plain.to(x.dtype if weight is None else weight.dtype) if shifts else None
        return found, scaled, shifted, None, None, None, None, None


def _of_input(
    x: Tensor,
    gradient: Tensor,
    weight: Tensor | None,
    known: tuple[Tensor, Tensor],
    shared: Tensor | None,
) -> Tensor:
    """Return the gradient of x: slope * weight * (g - mean of g - x' * mean of g * x')."""
    mean, slope = known
    own = slope if weight is None else slope * weight
    view = [1, -1, *[1] * (x.ndim - 2)]
    if shared is None:
        found: Tensor = gradient * own.view(view).to(gradient.dtype)
        return found
    plain, products = shared.to(slope.dtype)
    of_x = -own * slope * products
    constant = -own * plain - of_x * mean
    found = torch.addcmul(constant.view(view), x, of_x.view(view))
    return found.addcmul_(gradient, own.view(view)).to(x.dtype)
