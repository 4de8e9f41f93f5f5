"""Norms: each kind by its formula; networks with their norms exchanged."""

import copy
import math
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from striate import models
from striate.errors import UsageError
from striate.layers import NORMS, Norm, convert_norm, norm
from striate.layers.norms import groups
from striate.models import MODELS, arguments

# Every network that takes `norm`, small.
NARROW: dict[str, dict[str, Any]] = {
    "convnet": {"width": 8},
    "cifar-convnet": {"dropout": 0.0},
    "vgg11": {"width": 8, "hidden": 16, "dropout": 0.0},
    "resnet18": {"width": 8},
    "resnet50": {"width": 8},
    "plain18": {"width": 8},
    "resnet20": {"width": 8},
    "wide-resnet": {"depth": 10, "widen": 1},
}
REAL = [kind for kind in NORMS if kind != "none"]


def seeded(name: str, kind: str) -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, 5, size=34, norm=kind, **NARROW[name])


def structure(net: nn.Module) -> list[tuple[str, str]]:
    """Each layer's path with its kind and settings, as torch prints them."""
    return [(path, repr(m)) for path, m in net.named_modules() if not list(m.children())]


def norms(net: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """The norms with weights; for the types all are batch norms, as those that are tested are."""
    for module in net.modules():
        if "Norm" in type(module).__name__:
            yield module  # type: ignore[misc]


def by_formula(x: Tensor, kind: str, eps: float) -> Tensor:
    """Subtract the mean and divide by the deviation, over the axes that make each kind."""
    if kind == "none" or (kind == "instance" and x.ndim == 2):
        return x
    parts = {"group": groups(x.shape[1]), "layer": 1}.get(kind, x.shape[1])
    split = x.unflatten(1, (parts, -1))  # (N, G, C / G, ...)
    over = [axis for axis in range(split.ndim) if axis != 1 and (axis or kind == "batch")]
    mean = split.mean(over, keepdim=True)
    variance = (split - mean).square().mean(over, keepdim=True)
    found: Tensor = (split - mean) / (variance + eps).sqrt()
    return found.flatten(1, 2)


@given(
    kind=st.sampled_from(NORMS),
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    number=st.integers(2, 4),
    channels=st.integers(1, 70),
    eps=st.sampled_from([1e-5, 1e-3, 0.1]),
    affine=st.booleans(),
)
def test_each_kind_is_its_formula(
    kind: Norm, shape: list[int], number: int, channels: int, eps: float, affine: bool
) -> None:
    if kind == "instance" and shape and math.prod(shape) == 1:
        shape[0] = 2  # torch refuses one pixel
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(number, channels, *shape, generator=generator, dtype=torch.float64)
    layer = norm(kind, channels, axes=len(shape), eps=eps, affine=affine).double()
    expected = by_formula(x, kind, eps)
    parameters = dict(layer.named_parameters())
    identity = isinstance(layer, nn.Identity)
    assert set(parameters) == ({"weight", "bias"} if affine and not identity else set())
    if parameters:
        for value in parameters.values():
            nn.init.normal_(value)
        each = (channels, *[1] * len(shape))
        expected = expected * parameters["weight"].view(each) + parameters["bias"].view(each)
    torch.testing.assert_close(layer(x), expected)


@given(channels=st.integers(1, 2048))
def test_groups_are_the_most_up_to_32_of_two_channels_or_more(channels: int) -> None:
    fit = [n for n in range(1, 33) if channels % n == 0 and (n == 1 or channels // n >= 2)]
    assert groups(channels) == max(fit)
    assert groups(64 * channels) == 32


def test_every_network_with_norms_is_tested_here() -> None:
    takes = {name for name in MODELS if "norm" in arguments.defaults(MODELS[name].build)}
    alike = {name.removesuffix("-bn").rstrip("0123456789") for name in takes}
    assert {name.rstrip("0123456789") for name in NARROW} == alike


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("kind", REAL)
def test_a_converted_network_is_the_one_built_with_that_norm(name: str, kind: Norm) -> None:
    """From every kind, with equal weights: the same layers, answers and gradients."""
    built = seeded(name, kind)
    images = torch.randn(4, 3, 34, 34, generator=torch.Generator().manual_seed(1))
    before = built(images)
    before.sum().backward()
    # Where instance norm stood, its features had none: nothing is left there to convert.
    others = [k for k in REAL if name != "cifar-convnet" or k != "instance"]
    for other in {*others, kind}:
        found = convert_norm(seeded(name, other), kind)
        assert structure(found) == structure(built)
        after = found(images)
        torch.testing.assert_close(after, before, rtol=0, atol=0)
        after.sum().backward()
        pairs = zip(found.parameters(), built.parameters(), strict=True)
        assert all(torch.equal(p.grad, q.grad) for p, q in pairs if p.grad is not None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NARROW)
def test_without_norms_there_are_none_and_biases_take_their_place(name: str) -> None:
    assert not list(norms(convert_norm(seeded(name, "batch"), "none")))
    bare = seeded(name, "none")
    assert not list(norms(bare))
    convolutions = [m for m in bare.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is not None for m in convolutions)


@pytest.mark.parametrize("name", NARROW)
def test_norms_keep_their_kind_through_a_run(name: str) -> None:
    for kind in REAL:
        expected = {"batch": nn.BatchNorm2d | nn.BatchNorm1d, "instance": nn.InstanceNorm2d}
        found = list(norms(seeded(name, kind)))
        assert found
        assert all(isinstance(m, expected.get(kind, nn.GroupNorm)) for m in found)


def trained() -> nn.Module:
    """A small network whose norms have seen data, and have scales and shifts of their own."""
    net = seeded("cifar-convnet", "batch")
    for _ in range(3):
        net(torch.randn(8, 3, 34, 34) * 2 + 1)
    for layer in norms(net):
        nn.init.uniform_(layer.weight, 0.5, 2.0)
        nn.init.normal_(layer.bias)
    return net.eval()


def test_batch_norms_that_stay_keep_their_statistics_and_answers() -> None:
    net = trained()
    images = torch.randn(2, 3, 34, 34)
    same = convert_norm(net, "batch")
    assert torch.equal(same(images), net(images))
    for name, value in net.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])


def test_the_network_that_is_converted_stays_as_it_was() -> None:
    net = trained()
    images, before = torch.randn(2, 3, 34, 34), copy.deepcopy(net)
    for value in convert_norm(net, "group").parameters():
        nn.init.zeros_(value)
    assert structure(net) == structure(before)
    assert torch.equal(net(images), before(images))


@pytest.mark.parametrize("kind", ["group", "layer", "instance"])
def test_scale_shift_epsilon_type_and_mode_are_kept(kind: Norm) -> None:
    net = trained().double()
    old = next(norms(net))
    old.eps, old.weight.requires_grad = 0.25, False
    new = next(norms(convert_norm(net, kind)))
    assert torch.equal(new.weight, old.weight)
    assert torch.equal(new.bias, old.bias)
    assert (new.eps, new.weight.requires_grad, new.bias.requires_grad) == (0.25, False, True)
    assert (new.weight.dtype, new.training) == (torch.float64, False)
    assert not [name for name, _ in new.named_buffers()]


def test_a_new_batch_norm_starts_with_fresh_statistics() -> None:
    back = convert_norm(convert_norm(trained(), "group").double(), "batch")
    for layer in norms(back):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.running_mean.dtype == torch.float64
        assert not layer.running_mean.any()
        assert (layer.running_var == 1).all()


def test_a_norm_at_two_places_stays_one() -> None:
    shared = nn.BatchNorm2d(4)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.ReLU(), shared)
    found = convert_norm(net, "group")
    assert isinstance(found, nn.Sequential)
    assert isinstance(found[1], nn.GroupNorm)
    assert found[1] is found[3]


@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_alone_is_converted(affine: bool) -> None:
    found = convert_norm(nn.GroupNorm(2, 8, affine=affine), "batch")
    assert isinstance(found, nn.BatchNorm2d)
    assert (found.affine, found.weight is None) == (affine, not affine)


@pytest.mark.parametrize(
    ("layer", "kind", "expected"),
    [
        (nn.Conv1d(3, 8, 1), nn.BatchNorm1d, nn.InstanceNorm1d),
        (nn.Conv2d(3, 8, 1), nn.BatchNorm2d, nn.InstanceNorm2d),
        (nn.Conv3d(3, 8, 1), nn.BatchNorm3d, nn.InstanceNorm3d),
        (nn.Linear(3, 8), nn.BatchNorm1d, nn.Identity),
        (nn.Conv2d(3, 8, 1), nn.SyncBatchNorm, nn.InstanceNorm2d),
    ],
)
def test_the_layer_before_tells_the_axes(
    layer: nn.Module, kind: type[nn.Module], expected: type[nn.Module]
) -> None:
    net = nn.Sequential(layer, kind(8))
    assert type(convert_norm(net, "instance").get_submodule("1")) is expected
    if kind is not nn.SyncBatchNorm:
        there = convert_norm(net, "group")
        assert type(convert_norm(there, "batch").get_submodule("1")) is kind


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "googlenet", "mnasnet0_5"])
@pytest.mark.parametrize("kind", ["group", "instance", "none"])
def test_torchvisions_networks_are_converted(name: str, kind: Norm) -> None:
    with torch.device("meta"):
        net = models.build(f"torchvision/{name}", 10, size=64).eval()
        count = len(list(norms(net)))
        found = convert_norm(net, kind)
        assert len(list(norms(found))) == (0 if kind == "none" else count)
        assert not [m for m in found.modules() if isinstance(m, nn.BatchNorm2d)]
        assert found(torch.empty(2, 3, 64, 64)).shape == (2, 10)


def test_what_cannot_be_converted_is_refused() -> None:
    with pytest.raises(UsageError, match="no batch, group or instance norm"):
        convert_norm(models.build("lenet", 3), "group")
    with pytest.raises(UsageError, match="unknown norm 'bacth': did you mean batch"):
        convert_norm(seeded("convnet", "batch"), "bacth")  # type: ignore[arg-type]
    with torch.device("meta"):
        net = models.build("timm/resnetv2_50d_gn", 3)
    with pytest.raises(UsageError, match="norm1 is a GroupNormAct, which does more than a norm"):
        convert_norm(net, "batch")


def test_the_kinds_are_those_that_the_types_know() -> None:
    assert get_args(Norm) == NORMS
