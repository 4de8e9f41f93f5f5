"""Named activations against layers run by hand, and networks left as they were."""

import re
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn

from striate import features, models
from striate.errors import UsageError
from striate.tracing import receptive_fields

PICTURES = [name for name, model in models.MODELS.items() if model.axes == 2]
# One of each kind, the smallest: the others have more of the same layers.
OURS = sorted({re.sub(r"\d+|-bn", "", name): name for name in reversed(PICTURES)}.values())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More cost time where everything is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str) -> tuple[nn.Module, Tensor]:
    """Build a network with running statistics that are not the first, and two inputs for it."""
    torch.manual_seed(0)
    own = models.MODELS.get(name)
    channels, side = (own.shape[0], max(32, own.smallest)) if own else (3, 64)
    side = 28 if own and own.shape[1] == 28 else side
    net = models.build(models.find(name, {}), 5, channels=channels, size=(side, side))
    values = torch.randn(2, channels, side, side)
    with torch.no_grad():
        net.train()(values)
    return net, values


def children_by_hand(net: nn.Module, values: Tensor) -> dict[str, Tensor]:
    """Run a Sequential child by child, and keep a copy of what each gives."""
    found, x = {}, values
    assert isinstance(net, nn.Sequential)
    for name, layer in net.named_children():
        x = layer(x)
        found[name] = x.clone()
    return found


@pytest.mark.parametrize("name", OURS)
def test_activations_are_those_of_the_layers_run_by_hand(name: str) -> None:
    net, values = made(name)
    expected = {
        name: x
        for name, x in children_by_hand(net.eval(), values).items()
        if not isinstance(net.get_submodule(name), nn.Identity)
    }
    with torch.no_grad():
        found = features.activations(net, values, list(expected))
    assert list(found) == list(expected)
    for layer, x in expected.items():
        assert torch.equal(found[layer], x), layer
    rows = features.listed(net, values)
    shapes = {row.name: row.shape for row in rows}
    assert all(shapes[layer] == tuple(x.shape[1:]) for layer, x in expected.items())


def test_what_is_overwritten_in_place_is_kept_as_it_was() -> None:
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=4)  # in-place ReLU after in-place sums
    values = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        net.train()(values)
        net.eval()
        stem = net.maxpool(net.relu(net.bn1(net.conv1(values))))
        block = net.layer1[0]
        first = block.conv1(stem)
        inner = torch.relu(block.bn1(first))
        second = block.bn2(block.conv2(inner))
        summed = torch.relu(second + stem)
        names = ["layer1.0.conv1", "layer1.0.relu", "layer1.0.bn2", "layer1.0.relu:2", "layer1.0"]
        # The stem's ReLU is in place: what goes into it was overwritten above.
        before = net.bn1(net.conv1(values))
        found = features.activations(net, values, ["bn1", *names])
    wanted = [before, first, inner, second, summed, summed]
    for name, x in zip(["bn1", *names], wanted, strict=True):
        assert torch.equal(found[name], x), name


@pytest.mark.parametrize("name", ["lenet", "cifar-convnet", "resnet20", "plain18"])
def test_gradients_are_those_of_the_rest_of_the_network(name: str) -> None:
    net, values = made(name)
    layers = [child for child, layer in net.named_children() if not isinstance(layer, nn.Identity)]
    at = layers[len(layers) // 2]
    found = features.activations(net, values, [at], whole=True)
    (gradient,) = torch.autograd.grad(found[""][:, 1].sum(), found[at])
    assert isinstance(net, nn.Sequential)
    place = [child for child, _ in net.named_children()].index(at)
    x = found[at].detach().requires_grad_()
    net.eval()[place + 1 :](x)[:, 1].sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(gradient, x.grad, rtol=1e-5, atol=1e-7)
    assert gradient.abs().max() > 0


def test_a_network_is_left_as_it_was() -> None:
    net, values = made("resnet20")
    net.train()
    first = next(net.children())
    first.eval()
    before = {key: t.clone() for key, t in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    names = [row.name for row in features.listed(net, values)]
    features.activations(net, values, names[-3:])
    features.embedding(net, values)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(t, before[key]) for key, t in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(not module._forward_hooks for module in net.modules())
    assert all(not module._forward_pre_hooks for module in net.modules())


class Shared(nn.Module):
    """Runs one convolution twice."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(2, 2, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.act(self.same(x))
        found: Tensor = self.head(x.mean((2, 3)))
        return found


def test_a_module_that_runs_twice_has_two_activations() -> None:
    torch.manual_seed(0)
    net, values = Shared(), torch.randn(3, 2, 5, 5)
    names = [row.name for row in features.listed(net, values)]
    assert names == ["same", "act", "same:2", "act:2", "head"]
    with torch.no_grad():
        first = net.same(values)
        second = net.same(torch.relu(first))
        found = features.activations(net, values, ["same:2", "same"])
    assert list(found) == ["same", "same:2"]
    assert torch.equal(found["same"], first)
    assert torch.equal(found["same:2"], second)
    assert [field.size for field in receptive_fields(net, (2, 5, 5))["same:2"]] == [5, 5]


def test_nothing_runs_behind_the_last_activation() -> None:
    class Fails(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise AssertionError

    net = nn.Sequential(nn.Conv2d(1, 2, 1), Fails())
    assert list(features.activations(net, torch.zeros(1, 1, 2, 2), ["0"])) == ["0"]


@pytest.mark.parametrize("name", ["conv9", "", "stage1:7"])
def test_an_unknown_activation_is_named(name: str) -> None:
    net, values = made("resnet20")
    with pytest.raises(UsageError, match="unknown activation"):
        features.activations(net, values, [name])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        *(("torchvision/alexnet", "classifier.6"), ("torchvision/squeezenet1_1", "classifier.1")),
        *(("timm/tf_efficientnet_lite0", "classifier"), ("torchvision/resnet18", "fc")),
    ],
)
def test_an_embedding_is_what_the_last_layer_is_given(name: str, head: str) -> None:
    net, values = made(name)
    given: list[Tensor] = []
    hook = net.get_submodule(head).register_forward_pre_hook(lambda _, x: given.append(x[0]))
    with torch.no_grad():
        expected = net.eval()(values)
        hook.remove()
        found, output = features.embedding(net, values)
    assert torch.equal(output, expected)
    (x,) = given
    assert torch.equal(found, x.flatten(2).mean(2) if x.ndim > 2 else x)


@pytest.mark.parametrize("name", ["alexnet", "resnet20", "cifar-convnet"])
def test_receptive_fields_have_the_names_of_activations(name: str) -> None:
    net, values = made(name)
    fields = receptive_fields(net, tuple(values.shape[1:]))
    names = [row.name for row in features.listed(net, values) if row.is_map]
    assert set(names) <= set(fields)
    assert fields[names[0]][0].size == net.get_submodule(names[0]).kernel_size[0]  # type: ignore[index]
