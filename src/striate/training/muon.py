"""Muon: momentum made orthogonal, for filters and matrices (https://kellerjordan.github.io/posts/muon)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from striate.features import listed, path_of

# Newton and Schulz's fifth-degree step with the steepest slope at zero (Muon's page).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
STEPS = 5
# Updates get the root mean square of AdamW's, so that one rate suits both (Liu et al. 2025,
# https://arxiv.org/abs/2502.16982, section 2.2).
ADAMW_RMS = 0.2
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Muon(torch.optim.Optimizer):
    """Muon for the groups that are `orthogonal`, AdamW for the others: at one rate.

    The state of each parameter is Muon's `momentum_buffer`, or that of AdamW.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, rate: float, momentum: float) -> None:
        super().__init__(groups, {"lr": rate, "momentum": momentum})
        rest = [group for group in self.param_groups if not group["orthogonal"]]
        self._adamw = torch.optim.AdamW(rest) if rest else None
        if self._adamw:
            self._adamw.state = self.state  # one place to save from and to put back to

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step by the present gradients; there is no closure to ask for others."""
        assert closure is None
        for group in self.param_groups:
            if group["orthogonal"]:
                self._turn(group)
        if self._adamw:
            self._adamw.step()

    def _turn(self, group: Mapping[str, Any]) -> None:
        decay, momentum = group["lr"] * group["weight_decay"], group["momentum"]
        for shape, same in _by_shape(group["params"]).items():
            turns = orthogonal(torch.stack([self._slope(p, momentum).flatten(1) for p in same]))
            size = ADAMW_RMS * max(turns.shape[1:]) ** 0.5
            for parameter, turn in zip(same, turns, strict=True):
                parameter.mul_(1 - decay).sub_(turn.view(shape), alpha=group["lr"] * size)

    def _slope(self, parameter: Tensor, momentum: float) -> Tensor:
        """Return Nesterov's mean of the gradients, shaped as the parameter, and remember theirs."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        ahead: Tensor = gradient.lerp(mean, momentum)
        return ahead


def orthogonal(x: Tensor) -> Tensor:
    """Return matrices (B, n, m) with their own singular vectors, and singular values near 1.

    bfloat16 is enough for it on a GPU, and slow elsewhere.
    """
    a, b, c = NEWTON_SCHULZ
    y: Tensor = x.bfloat16() if x.is_cuda else x
    tall = y.shape[1] > y.shape[2]
    y = y.mT if tall else y
    y = y / y.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = y @ y.mT
        y = a * y + (b * gram + c * gram @ gram) @ y
    return (y.mT if tall else y).to(x.dtype)


def matrices(model: nn.Module, shape: Sequence[int], *, ends: bool = False) -> list[Tensor]:
    """List what Muon turns: weights of convolutions and linear layers, for examples of a shape.

    The first and the last layer only with `ends`. Never grouped filters: each of them sees its own
    maps, so they are no matrix.
    """
    spared = () if ends else _ends(model, shape)
    return [
        module.weight
        for name, module in model.named_modules()
        if _is_matrix(module) and name not in spared
    ]


def _is_matrix(module: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    whole = isinstance(module, LAYERS) and getattr(module, "groups", 1) == 1
    return whole and isinstance(module.weight, nn.Parameter)


def _ends(model: nn.Module, shape: Sequence[int]) -> Collection[str]:
    """Name the first and the last layer with weights, in the order in which they run."""
    layers = {name for name, module in model.named_modules() if isinstance(module, LAYERS)}
    ran = [path_of(found.name) for found in listed(model, torch.zeros(1, *shape))]
    ran = [name for name in ran if name in layers]
    return {ran[0], ran[-1]} if ran else set()


def _by_shape(parameters: Iterable[Tensor]) -> dict[torch.Size, list[Tensor]]:
    """Gather the parameters that have gradients: a few large products are faster than many."""
    found: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            found.setdefault(parameter.shape, []).append(parameter)
    return found
