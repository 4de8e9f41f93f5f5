"""Every network: shapes, first loss, learning by heart, compiling, exporting, refusals."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import models
from striate.errors import UsageError
from striate.models import MODELS
from striate.models.arguments import defaults

OWN = sorted(name for name, model in MODELS.items() if model.axes == 2)
# The same layers with fewer channels: what is tested here does not depend on their number.
NARROW: dict[str, dict[str, Any]] = {
    "alexnet": {"hidden": 64},
    "vgg": {"width": 8, "hidden": 64},
    "resnet": {"width": 8},
    "plain": {"width": 8},
    **{f"plain{depth}": {"width": 2} for depth in (20, 32, 44, 56)},
    "wide-resnet": {"depth": 16, "widen": 2},
}
# They halve their maps five times: at 33 pixels the last are of 2x2.
LARGE = [f"{kind}{depth}" for kind in ("resnet", "plain") for depth in (18, 34, 50, 101, 152)]
GIANTS = ("plain44", "plain56", "resnet44", "resnet56", "resnet101", "resnet110", "resnet152")
ALL = [pytest.param(n, marks=[pytest.mark.slow] if n in GIANTS else []) for n in OWN]
# Deep plain networks are there to show that they do not: the paper's point. Others have more of
# the same blocks.
TAUGHT = [name for name in OWN if name not in (*GIANTS, "plain32")]


def narrow(name: str) -> dict[str, Any]:
    return NARROW.get(name, NARROW.get(name.removesuffix("-bn").rstrip("0123456789"), {}))


def seeded(name: str, classes: int, **given: Any) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, classes, **{**narrow(name), **given})


def pictures(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, height, width, generator=generator)


def side(name: str, least: int) -> int:
    return max(MODELS[name].smallest, least)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    ("channels", "longer", "classes"), [(1, (0, 0), 10), (3, (24, 24), 2), (1, (20, 12), 7)]
)
def test_every_network_gives_one_logit_a_class(
    name: str, channels: int, longer: tuple[int, int], classes: int
) -> None:
    size = side(name, 1) + longer[0], side(name, 1) + longer[1]
    net = seeded(name, classes, channels=channels, size=size).eval()
    assert net(pictures(3, channels, *size)).shape == (3, classes)


@pytest.mark.parametrize("name", [n for n in OWN if MODELS[n].smallest > 1])
def test_pictures_below_the_smallest_are_refused(name: str) -> None:
    least = MODELS[name].smallest
    words = f"{name} needs pictures of {least}x{least} or more, not {least + 9}x{least - 1}"
    with pytest.raises(UsageError, match=words):
        models.build(name, 2, size=(least + 9, least - 1))


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg19-bn"])
def test_the_smallest_picture_is_no_larger_than_need_be(name: str) -> None:
    least = MODELS[name].smallest
    net = seeded(name, 2, size=least).eval()
    with pytest.raises(RuntimeError, match="too small"):
        net(pictures(1, 3, least, least - 1))


def test_instance_norm_needs_maps_of_more_than_a_pixel() -> None:
    for name, least in {"resnet18": 33, "resnet50": 33, "plain18": 33, "resnet20": 5}.items():
        given: dict[str, Any] = {"norm": "instance", "width": 8}
        net = models.build(name, 2, size=least, **given)
        net(pictures(1, 3, least, least))  # in training torch refuses one pixel
        with pytest.raises(UsageError, match=f"norm=instance .* {least}x{least} or more"):
            models.build(name, 2, size=least - 1, **given)
    with pytest.raises(UsageError, match="1 to 3 stages, not 4"):
        models.build("convnet", 2, size=8, norm="instance", stages=4)


@pytest.mark.parametrize("name", OWN)
def test_the_first_loss_is_near_that_of_a_guess(name: str) -> None:
    """In training, where norms are those of the batch."""
    net = seeded(name, 10, size=side(name, 16))
    labels = torch.arange(128) % 10
    with torch.no_grad():
        loss = F.cross_entropy(net(pictures(128, 3, side(name, 16), side(name, 16))), labels)
    assert loss.item() == pytest.approx(math.log(10), rel=0.1)


@pytest.mark.parametrize("name", TAUGHT)
def test_every_network_learns_64_pictures_by_heart(name: str) -> None:
    size = side(name, 33 if name in LARGE else 8)
    calm = {"dropout": 0.0} if "dropout" in defaults(MODELS[name].build) else {}
    net = seeded(name, 4, size=size, **calm)
    values, labels = pictures(64, 3, size, size), torch.arange(64) % 4
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-4)
    for _ in range(30):
        net.train()
        for _ in range(10):
            optimiser.zero_grad()
            F.cross_entropy(net(values), labels).backward()
            optimiser.step()
        with torch.no_grad():
            known = (net.eval()(values).argmax(1) == labels).all()
        if known:
            return
    pytest.fail("300 steps were not enough")


@pytest.mark.parametrize("name", [*OWN, "torchvision/resnet18", "timm/resnet10t"])
def test_in_evaluation_a_picture_does_not_change_its_neighbours(name: str) -> None:
    size = side(name, 16) if name in MODELS else 32
    net = seeded(name, 5, size=size).eval()
    values = pictures(4, 3, size, size)
    other = values.clone()
    other[2] = 7.0
    with torch.inference_mode():
        before, after = net(values), net(other)
    kept = [0, 1, 3]
    torch.testing.assert_close(before[kept], after[kept], rtol=1e-5, atol=1e-6)
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("name", OWN)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    size = side(name, 8)
    first, again = (seeded(name, 3, channels=1, size=size).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", ALL)
def test_every_network_compiles_as_one_graph(name: str) -> None:
    size = side(name, 8)
    net = seeded(name, 3, size=size).eval()
    values = pictures(2, 3, size, size)
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(values), net(values), rtol=0, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_every_network_is_exported_for_batches_of_any_number(name: str) -> None:
    size = side(name, 8)
    net = seeded(name, 3, size=size).eval()
    number = torch.export.Dim("number")
    program = torch.export.export(net, (pictures(2, 3, size, size),), dynamic_shapes=({0: number},))
    values = pictures(5, 3, size, size)
    torch.testing.assert_close(program.module()(values), net(values), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [4, 5, 8, 24, 32, 63, 64, 96, 128, 224])
def test_a_convnet_goes_down_to_a_map_of_four_to_eight(size: int) -> None:
    net = models.build("convnet", 2, channels=1, size=size, width=1).eval()
    maps: list[torch.Size] = []
    pool = net.get_submodule("pool")
    pool.register_forward_hook(lambda _, given, __: maps.append(given[0].shape))
    net(torch.rand(1, 1, size, size))
    assert 4 <= maps[0][-1] < 8


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
        ("convnet", 32, {"width": 0}, "width of convnet is a whole number from 1, not 0"),
        ("convnet", 32, {"width": 2.5}, "width of convnet is a whole number from 1, not 2.5"),
        ("convnet", 32, {"width": True}, "width of convnet is a whole number from 1, not True"),
        ("convnet", 32, {"dropout": "0.5"}, "dropout of convnet is a number, not '0.5'"),
        ("resnet18", 32, {"norm": "btach"}, "norm of resnet18 'btach': did you mean batch"),
        ("resnet18", 32, {"norm": 1}, "choose one of batch, group, layer, instance, none"),
        ("resnet50", 32, {"stride_in_1x1": 1}, "stride_in_1x1 of resnet50 is true or false, not 1"),
        ("resnet18", 32, {"stride_in_1x1": True}, "unknown argument of resnet18"),
        ("wide-resnet", 32, {"depth": 29}, "depth of wide-resnet is 6n"),
        ("wide-resnet", 32, {"depth": 4}, "depth of wide-resnet is 6n"),
        ("plain18", 32, {"pretrained": True}, "plain18 has no published weights"),
        ("convnet", 32, {"stages": 7}, "1 to 6 stages"),
        ("convnet", 32, {"dropout": 1.0}, "below 1"),
        ("mlp", 32, {"hidden": 0}, "hidden of mlp is a whole number from 1"),
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


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_a_small_plain_network_has_the_weights_of_the_residual_one(depth: int) -> None:
    plain, residual = (models.build(f"{kind}{depth}", 10, width=2) for kind in ("plain", "resnet"))
    assert [(n, p.shape) for n, p in plain.named_parameters()] == [
        (n, p.shape) for n, p in residual.named_parameters()
    ]
    x = pictures(2, 3, 16, 16)
    assert not torch.equal(plain.eval()(x), residual.eval()(x))


@pytest.mark.parametrize(
    ("pooling", "side"),
    [("max", 12), ("overlapping", 12), ("average", 12), ("stride", 12), ("fractional", 16)],
)
def test_each_pooling_of_a_convnet_shrinks_its_maps(pooling: str, side: int) -> None:
    net = models.build("convnet", 3, size=24, width=2, stages=2, pooling=pooling).eval()
    x = pictures(2, 3, 24, 24)
    assert net.get_submodule("stage1")(x).shape == (2, 2, side, side)
    torch.testing.assert_close(net(x)[:1], net(x[:1]))


def test_the_filters_of_a_convnet_are_of_the_number_and_size_asked_for() -> None:
    net = models.build("convnet", 3, width=2, stages=2, kernel=7, layers=1)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(2, 3, 7, 7), (4, 2, 7, 7)]
    with pytest.raises(UsageError, match="kernel of convnet is an odd number, not 4"):
        models.build("convnet", 3, kernel=4)
