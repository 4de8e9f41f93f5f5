"""The network of clips: torchvision's r3d_18 loads and answers alike; learning, refusals."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.video import r3d_18

from striate import models
from striate.errors import UsageError


def test_torchvisions_weights_load_and_give_the_same_answers_and_gradients() -> None:
    torch.manual_seed(0)
    theirs = r3d_18(weights=None, num_classes=5).eval()
    ours = models.build("r3d", 5, size=(4, 32, 32), depth=18, width=64).eval()
    ours.load_state_dict(theirs.state_dict())
    clips = torch.randn(2, 3, 4, 32, 32)
    torch.testing.assert_close(ours(clips), theirs(clips), rtol=0, atol=1e-5)
    for net in (ours, theirs):
        F.cross_entropy(net(clips), torch.tensor([1, 3])).backward()
    known = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, known[name].grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "size"), [(1, (2, 8, 8)), (3, (16, 32, 32)), (1, (5, 20, 33)), (3, (2, 70, 64))]
)
def test_every_clip_gives_one_logit_a_class(channels: int, size: tuple[int, int, int]) -> None:
    net = models.build("r3d", 7, channels=channels, size=size, width=4).eval()
    clips = torch.rand(2, channels, *size)
    found = net(clips)
    assert found.shape == (2, 7)
    torch.testing.assert_close(net(clips[:1]), found[:1])  # none changes its neighbours


def test_small_clips_have_a_smaller_network() -> None:
    def convolutions(side: int) -> list[nn.Module]:
        net = models.build("r3d", 2, size=(4, side, side))
        return [module for module in net.modules() if isinstance(module, nn.Conv3d)]

    assert len(convolutions(32)) == 9 + 3  # shortcuts that change the width
    assert len(convolutions(64)) == 17 + 3
    assert convolutions(32)[0].out_channels == 16
    assert convolutions(64)[0].out_channels == 64


@pytest.mark.parametrize("size", [(4, 24, 24), (2, 64, 64)])
def test_the_first_loss_is_near_that_of_a_guess(size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    net = models.build("r3d", 10, size=size)
    with torch.no_grad():
        loss = F.cross_entropy(net(torch.randn(20, 3, *size)), torch.arange(20) % 10)
    assert loss.item() == pytest.approx(math.log(10), rel=0.1)


def test_it_learns_64_clips_by_heart() -> None:
    torch.manual_seed(0)
    net = models.build("r3d", 4, channels=1, size=(4, 12, 12), width=8)
    clips, labels = torch.randn(64, 1, 4, 12, 12), torch.arange(64) % 4
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(net(clips), labels).backward()
        optimiser.step()
    assert F.cross_entropy(net(clips), labels).item() < 0.1


def test_the_order_of_frames_counts() -> None:
    torch.manual_seed(0)
    net = models.build("r3d", 3, channels=1, size=(8, 16, 16)).eval()
    clips = torch.randn(2, 1, 8, 16, 16)
    assert not torch.allclose(net(clips), net(clips.flip(2)), atol=1e-3)


def test_pictures_and_clips_each_need_their_network() -> None:
    with pytest.raises(UsageError, match="r3d takes clips of 2 frames or more"):
        models.build("r3d", 2, size=32)
    with pytest.raises(UsageError, match="convnet takes pictures, not clips: choose r3d"):
        models.build("convnet", 2, size=(8, 32, 32))
    with pytest.raises(UsageError, match="takes pictures, not clips"):
        models.build("torchvision/resnet18", 2, size=(8, 32, 32))
    with pytest.raises(UsageError, match="depth 10, 18, 34"):
        models.build("r3d", 2, size=(8, 32, 32), depth=11)


def test_it_compiles_and_exports() -> None:
    net = models.build("r3d", 3, channels=1, size=(4, 16, 16), width=4).eval()
    clips = torch.randn(2, 1, 4, 16, 16)
    torch.testing.assert_close(
        torch.compile(net, fullgraph=True, backend="eager")(clips), net(clips)
    )
    exported = torch.export.export(net, (clips,)).module()
    torch.testing.assert_close(exported(clips), net(clips))
