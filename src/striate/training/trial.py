"""A check of the network on one example before training: shape of its logits, steps of one."""

from collections.abc import Sequence

import torch
from torch import nn

from striate.data.preparation.kinds import Preparation
from striate.errors import UsageError


def check_answer(
    model: nn.Module, preparation: Preparation, classes: int, *, side: int | None = None
) -> None:
    """See that the network takes such examples and gives one logit a class.

    With `side` as squares of so many pixels, which may be fewer than the whole.
    """
    shape = (*preparation.shape[:-2], side, side) if side else preparation.shape
    values = torch.zeros(1, *shape)
    try:
        with torch.inference_mode():
            found = model.eval()(values)
    except (
        RuntimeError,
        ValueError,
    ) as error:  # norms raise the second for maps that are too small
        raise UsageError(
            f"the network does not take {_size(shape)} {preparation.kind}"
            f"{', as --progressive needs' if side else ''}: {error}"
        ) from error
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (1, classes):
        what = str(tuple(found.shape)) if isinstance(found, torch.Tensor) else type(found).__name__
        raise UsageError(f"the network answers one example with {what}, not (1, {classes}) logits")


def require_steps_of_one(model: nn.Module, preparation: Preparation) -> None:
    """Raise UsageError for batch norm on maps of 1x1, of which one example has no variance.

    The network's buffers are afterwards as they were.
    """
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(torch.zeros(1, *preparation.shape))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "--batch-size 1: this network has a batch norm that gets one number a channel of "
            f"{_size(preparation.shape)} {preparation.kind}, which has no variance: give "
            "--batch-size 2 or more, or a larger --size"
        ) from error
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
