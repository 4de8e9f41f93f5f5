"""A network tried on one example: steps of one picture, and maps that are too small."""

import pytest
import torch
from torch import nn

from striate.data.preparation.preprocessing import Preprocessing
from striate.errors import UsageError
from striate.training import trial


def net(norm: nn.Module, side: int) -> nn.Module:
    head = nn.Linear(4 * side * side, 2)
    return nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Conv2d(3, 4, 1), norm, nn.Flatten(), head)


COLOUR = Preprocessing(size=(8, 8), channels=3, normalise="none")


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("tracked", [True, False])
def test_one_picture_is_too_little_where_batch_norm_has_one_number(
    tracked: bool, side: int
) -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=tracked)
    model = net(norm, side)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.random.get_rng_state()
    if side == 1:
        with pytest.raises(UsageError, match=r"--batch-size 1: .* of 3x8x8 pictures") as caught:
            trial.require_steps_of_one(model, COLOUR)
        assert len(str(caught.value).splitlines()) == 1
    else:
        trial.require_steps_of_one(model, COLOUR)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name])


@pytest.mark.parametrize("norm", [nn.GroupNorm(4, 4), nn.InstanceNorm2d(4)])
def test_norms_that_no_batch_helps_are_refused_in_one_line(norm: nn.Module) -> None:
    trial.check_answer(net(norm, 2), COLOUR, 2)
    with pytest.raises(UsageError, match="does not take 3x8x8 pictures: Expected more than 1"):
        trial.check_answer(net(norm, 1), COLOUR, 2)
