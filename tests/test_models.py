"""Every network: shapes, parameters by hand, first loss, learning by heart, refusals."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import models
from striate.errors import UsageError
from striate.models import MODELS

OWN = sorted(name for name, model in MODELS.items() if model.axes == 2)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def seeded(name: str, classes: int, **given: Any) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, classes, **given)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    ("channels", "size", "classes"), [(1, (8, 8), 10), (3, (32, 32), 2), (1, (28, 20), 7)]
)
def test_every_network_gives_one_logit_a_class(
    name: str, channels: int, size: tuple[int, int], classes: int
) -> None:
    net = models.build(name, classes, channels=channels, size=size).eval()
    assert net(torch.rand(3, channels, *size)).shape == (3, classes)


@pytest.mark.parametrize(
    ("name", "given", "count"),
    [
        # Weights and biases, layer by layer.
        ("mlp", {}, 785 * 512 + 513 * 512 + 513 * 10),
        ("mlp", {"hidden": 16, "depth": 1}, 785 * 16 + 17 * 10),
        ("mnist-convnet", {}, 26 * 32 + 801 * 64 + 3137 * 1024 + 1025 * 10),
        ("mnist-convnet-listed", {}, 26 * 32 + 801 * 64 + 3137 * 1024 + 1025 * 10),
        # Convolutions without biases; two numbers a channel of batch norm.
        (
            "convnet",
            {"width": 8, "stages": 2},
            9 * 8 + 9 * 64 + 4 * 8 + 9 * 8 * 16 + 9 * 256 + 4 * 16 + 17 * 10,
        ),
    ],
)
def test_parameters_are_those_counted_by_hand(name: str, given: dict[str, Any], count: int) -> None:
    assert parameters(models.build(name, 10, channels=1, size=28, **given)) == count


@pytest.mark.parametrize("size", [4, 5, 8, 24, 32, 63, 64, 96, 128, 224])
def test_a_convnet_goes_down_to_a_map_of_four_to_eight(size: int) -> None:
    net = models.build("convnet", 2, channels=1, size=size, width=1).eval()
    maps: list[torch.Size] = []
    pool = net.get_submodule("pool")
    pool.register_forward_hook(lambda _, given, __: maps.append(given[0].shape))
    net(torch.rand(1, 1, size, size))
    assert 4 <= maps[0][-1] < 8


@pytest.mark.parametrize("name", OWN)
def test_the_first_loss_is_near_that_of_a_guess(name: str) -> None:
    net = seeded(name, 10, channels=1, size=28).eval()
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(256, 1, 28, 28, generator=generator)
    labels = torch.randint(10, (256,), generator=generator)
    assert F.cross_entropy(net(values), labels).item() == pytest.approx(math.log(10), rel=0.1)


@pytest.mark.parametrize("name", OWN)
def test_every_network_learns_a_few_pictures_by_heart(name: str) -> None:
    net = seeded(name, 4, channels=1, size=12)
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(32, 1, 12, 12, generator=generator)
    labels = torch.arange(32) % 4
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(150):
        optimiser.zero_grad()
        F.cross_entropy(net(values), labels).backward()
        optimiser.step()
    assert (net.eval()(values).argmax(1) == labels).all()


@pytest.mark.parametrize("name", [*OWN, "torchvision/resnet18", "timm/resnet10t"])
def test_in_evaluation_a_picture_does_not_change_its_neighbours(name: str) -> None:
    net = seeded(name, 5, size=32).eval()
    values = torch.randn(4, 3, 32, 32)
    other = values.clone()
    other[2] = 7.0
    with torch.inference_mode():
        before, after = net(values), net(other)
    kept = [0, 1, 3]
    torch.testing.assert_close(before[kept], after[kept], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(before[2], after[2])


@pytest.mark.parametrize("name", OWN)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, again = (seeded(name, 3, channels=1, size=8).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_only_the_mended_network_bends_between_its_linear_layers() -> None:
    """The listing's two linear layers are one: its tail is affine, the mended one's is not."""

    def tail(name: str) -> nn.Sequential:
        net = seeded(name, 10, channels=1, size=28).eval().double()
        assert isinstance(net, nn.Sequential)
        names = [key for key, _ in net.named_children()]
        return net[names.index("linear") :]

    values = torch.randn(2, 3136, dtype=torch.float64)
    mean = values.mean(0, keepdim=True)
    listed, mended = tail("mnist-convnet-listed"), tail("mnist-convnet")
    torch.testing.assert_close(listed(mean)[0], listed(values).mean(0))
    assert not torch.allclose(mended(mean)[0], mended(values).mean(0))


def test_weights_begin_as_he_et_al_have_it() -> None:
    net = seeded("convnet", 10, size=32, width=64)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (module.in_channels * 9))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("name", "head"), [("torchvision/resnet18", "fc"), ("timm/resnet10t", "fc")]
)
def test_a_librarys_network_has_a_head_for_our_classes(name: str, head: str) -> None:
    net = models.build(name, 6, size=64)
    assert net.get_parameter(f"{head}.weight").shape[0] == 6
    assert net.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 6)


@pytest.mark.parametrize("bias", [True, False])
def test_a_new_head_has_what_the_old_one_had(bias: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 5, bias=bias))
    head = models.with_head(net, 3).get_submodule("2")
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features, head.bias is not None) == (8, 3, bias)


@pytest.mark.parametrize(
    ("name", "size", "given", "words"),
    [
        ("convnt", 32, {}, "did you mean convnet"),
        ("mnist_convnet", 28, {}, "did you mean mnist-convnet"),
        ("torchvision/resnet19", 32, {}, "did you mean resnet1"),
        ("timm/resnet10", 32, {}, "did you mean"),
        ("keras/resnet18", 32, {}, "write torchvision/NAME, timm/NAME or file.py:function"),
        ("torchvision/resnet18", 32, {"weights": "x"}, "weights is no argument"),
        ("torchvision/resnet18", 32, {"depth": 3}, "cannot be built with depth=3"),
        ("convnet", 32, {"widht": 8}, "did you mean width"),
        ("convnet", 32, {"width": 0}, "has width >= 1"),
        ("convnet", 32, {"width": 2.5}, "width of convnet is a whole number, not 2.5"),
        ("convnet", 32, {"width": True}, "width of convnet is a whole number, not True"),
        ("convnet", 32, {"stages": 7}, "1 to 6 stages"),
        ("convnet", 32, {"dropout": 1.0}, "below 1"),
        ("convnet", 3, {}, "4x4 or more, not 3x3"),
        ("mnist-convnet", 3, {}, "3x3 is too small"),
        ("mlp", 32, {"hidden": 0}, "hidden >= 1"),
    ],
)
def test_what_cannot_be_built_is_refused(
    name: str, size: int, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        models.build(name, 10, size=size, **given)


def test_a_librarys_network_takes_colour_alone() -> None:
    with pytest.raises(UsageError, match="takes RGB pictures"):
        models.build("torchvision/resnet18", 2, channels=1)
