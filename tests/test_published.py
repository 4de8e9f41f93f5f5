"""Networks against what was published: torchvision's weights and answers, the papers' counts."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from striate import models

TORCHVISIONS = [
    "alexnet",
    *(f"vgg{depth}{norm}" for norm in ("", "-bn") for depth in (11, 13, 16, 19)),
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
]
GIANTS = ("resnet101", "resnet152")
NARROW = 64  # numbers between the linear layers, instead of 4096: a twentieth of the weights


def drawn(name: str, classes: int = 10, **given: Any) -> nn.Module:
    """Build a network without memory or numbers: for what its shapes alone tell."""
    with torch.device("meta"):
        return models.build(name, classes, **{"size": 224, **given})


def theirs(name: str, classes: int = 10) -> nn.Module:
    import torchvision

    net: nn.Module = torchvision.models.get_model(name.replace("-", "_"), num_classes=classes)
    return net


def pair(name: str, hidden: int) -> tuple[nn.Module, nn.Module]:
    """Return our network and torchvision's of equal weights; `hidden` where they have 4096."""
    given = {} if name.startswith("resnet") else {"hidden": hidden}
    with torch.device("meta"):
        other = theirs(name)
        linear = [n for n, m in other.named_modules() if isinstance(m, nn.Linear)] if given else []
        for path, width in zip(linear, (None, hidden, hidden), strict=False):
            old = other.get_submodule(path)
            assert isinstance(old, nn.Linear)
            out = 10 if path == linear[-1] else hidden
            other.set_submodule(path, nn.Linear(width or old.in_features, out))
    other = other.to_empty(device="cpu")
    torch.manual_seed(0)
    for key, value in other.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.zero_()
        elif value.ndim == 1:  # scales, shifts, statistics: none of them 0 or 1
            value.uniform_(0.5, 1.5)
        else:
            value.normal_(std=math.sqrt(2 / value[0].numel()))
    net = drawn(name, **given)
    # Unchanged: no key is renamed, none is missing, none is left.
    net.load_state_dict({k: v.clone() for k, v in other.state_dict().items()}, assign=True)
    return net, other


def answers(net: nn.Module, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(1)  # dropout draws the same
    logits = net(images)
    logits.square().mean().backward()
    return logits.detach(), {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TORCHVISIONS)
def test_torchvisions_keys_and_shapes_are_ours(name: str) -> None:
    with torch.device("meta"):
        expected = theirs(name, 1000).state_dict()
    found = drawn(name, 1000).state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}


CASES = [
    *(
        pytest.param(n, NARROW, marks=[pytest.mark.slow] if n in GIANTS else [])
        for n in TORCHVISIONS
    ),
    *(pytest.param(n, 4096, marks=[pytest.mark.slow]) for n in ("alexnet", "vgg16")),
]


@pytest.mark.parametrize(("name", "hidden"), CASES)
def test_torchvisions_weights_give_its_answers_and_gradients(name: str, hidden: int) -> None:
    net, other = pair(name, hidden)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    for mode in (False, True):
        for each in (net, other):
            each.train(mode).zero_grad()
        (found, ours), (expected, gradients) = answers(net, images), answers(other, images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert ours.keys() == gradients.keys()
        for key, gradient in gradients.items():
            torch.testing.assert_close(ours[key], gradient, rtol=1e-5, atol=1e-5)
    for key, value in other.state_dict().items():  # running statistics after the training step
        torch.testing.assert_close(net.state_dict()[key], value, rtol=1e-5, atol=1e-5)


def test_trained_weights_give_torchvisions_maps(shared_data: Path) -> None:
    from safetensors.torch import load_file

    path = shared_data / "weights" / "vgg16-hed-trunk.safetensors"
    if not path.exists():
        pytest.skip(f"no {path}")
    weights = {k: v.float() for k, v in load_file(path).items()}
    images = torch.rand(1, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 4 - 2
    found = []
    for net in (drawn("vgg16"), theirs_on_meta("vgg16")):
        left = net.load_state_dict(weights, strict=False, assign=True)
        assert not left.unexpected_keys
        assert all(key.startswith("classifier.") for key in left.missing_keys)
        with torch.no_grad():
            found.append(net.get_submodule("features")(images))
    assert found[0].abs().max() > 1
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def theirs_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return theirs(name)


def parameters(name: str, classes: int, **given: Any) -> int:
    return sum(p.numel() for p in drawn(name, classes, **given).parameters())


def multiply_adds(name: str, size: int = 224, **given: Any) -> float:
    """Count those of convolutions and linear layers for one picture, in units of 10^9."""
    net = drawn(name, 1000, size=size, **given).eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, size, size, device="meta"))
    count: int = counter.get_total_flops()
    return count / 2e9


@pytest.mark.parametrize(
    ("name", "given", "count"),
    [
        ("resnet34", {}, 3.66),
        ("resnet50", {}, 4.09),
        ("resnet50", {"stride_in_1x1": True}, 3.86),
        ("vgg16", {}, 15.47),
        # As the paper's table 1 prints them: 1.8, 3.6, 7.6 and 11.3.
        ("resnet18", {}, 1.81),
        ("plain34", {}, 3.64),
        ("resnet101", {"stride_in_1x1": True}, 7.57),
        ("resnet152", {"stride_in_1x1": True}, 11.28),
    ],
)
def test_multiply_adds_are_the_papers(name: str, given: dict[str, Any], count: float) -> None:
    assert multiply_adds(name, **given) == pytest.approx(count, abs=0.005)


@pytest.mark.parametrize(
    ("name", "millions"),
    [  # He et al., table 6, and Zagoruyko & Komodakis, table 4: for the ten classes of CIFAR
        ("resnet20", 0.27),
        ("resnet32", 0.46),
        ("resnet44", 0.66),
        ("resnet56", 0.85),
        ("resnet110", 1.7),
    ],
)
def test_small_resnets_have_the_papers_parameters(name: str, millions: float) -> None:
    count = parameters(name, 10, size=32) / 1e6
    assert count == pytest.approx(millions, abs=0.05 if millions == 1.7 else 0.005)


@pytest.mark.parametrize(
    ("depth", "widen", "millions"),
    [
        (40, 1, 0.6),
        (40, 2, 2.2),
        (40, 4, 8.9),
        (16, 8, 11.0),
        (22, 8, 17.2),
        (28, 10, 36.5),
        (28, 12, 52.5),
    ],
)
def test_wide_resnets_have_the_papers_parameters(depth: int, widen: int, millions: float) -> None:
    count = parameters("wide-resnet", 10, size=32, depth=depth, widen=widen) / 1e6
    assert count == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("vgg11", 133), ("vgg13", 133), ("vgg16", 138), ("vgg19", 144)],  # the paper's table 2
)
def test_vggs_have_the_papers_parameters(name: str, millions: int) -> None:
    assert round(parameters(name, 1000) / 1e6) == millions


def test_the_plain_network_is_the_residual_one_without_its_sums() -> None:
    plain, residual = drawn("plain34"), drawn("resnet34")
    ours = {k: v.shape for k, v in plain.state_dict().items()}
    rest = {k: v.shape for k, v in residual.state_dict().items() if "downsample" not in k}
    assert ours == rest


def test_the_chapters_network_has_its_sizes_mended() -> None:
    listed = models.build("cifar-convnet", 10, channels=1, size=28)
    mended = models.build("cifar-convnet", 10, size=24)
    assert listed.get_parameter("linear.weight").shape == (128, 64 * 12 * 12)
    assert mended.get_parameter("linear.weight").shape == (128, 64 * 10 * 10)


def test_lenet_is_the_papers_from_its_pooling_on() -> None:
    """Linear layers of 48,120 and 10,164 weights, as the paper counts them; the last is ours."""
    net = models.build("lenet", 10, channels=1, size=28)
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in net.named_children()}
    assert {n: c for n, c in counts.items() if c} == {
        "conv1": 156,
        "conv2": 2416,
        "linear1": 48_120,
        "linear2": 10_164,
        "head": 850,
    }


def test_shortcuts_without_weights_keep_every_second_pixel_and_add_zeros() -> None:
    from striate.models.small_resnet import ZeroPadded

    x = torch.randn(2, 3, 5, 6)
    y = ZeroPadded(4, stride=2)(x)
    assert y.shape == (2, 7, 3, 3)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()


@pytest.mark.parametrize(
    ("name", "norm"),
    [("convnet", "batch"), ("resnet18", "batch"), ("vgg11", "none"), ("wide-resnet", "batch")],
)
def test_weights_begin_as_he_et_al_have_it(name: str, norm: str) -> None:
    narrow = {"wide-resnet": {"depth": 10, "widen": 4}, "vgg11": {"hidden": 256}}
    given: dict[str, Any] = narrow.get(name, {})
    torch.manual_seed(0)
    net = models.build(name, 10, size=32, norm=norm, **given)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    for layer in layers:
        expected = math.sqrt(2 / layer.weight[0].numel())
        count = layer.weight.numel()  # the deviation of a sample deviation is 1 / sqrt(2 count)
        assert layer.weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * count))
        assert layer.bias is None or not layer.bias.any()


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
    assert parameters(name, 10, channels=1, size=28, **given) == count


def test_lenets_weights_begin_with_deviations_by_fan_in() -> None:
    torch.manual_seed(0)
    net = models.build("lenet", 10, channels=1, size=28)
    for name in ("conv2", "linear1", "linear2"):
        weight = net.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx(weight[0].numel() ** -0.5, rel=0.06)
