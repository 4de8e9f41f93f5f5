"""Heads of networks: found whatever their names, wherever they stand in the code."""

import pytest
import torch
from torch import Tensor, nn

from striate import models
from striate.errors import UsageError
from striate.features import given
from striate.models import heads


class Misplaced(nn.Module):
    """A head that stands before the layers that run before it."""

    def __init__(self, *, halves: bool = False) -> None:
        super().__init__()
        self.answers = nn.Linear(6, 3)
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.answers(self.body(x).mean((2, 3)))
        return found / 2 if self.halves else found


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("timm/tf_efficientnet_lite0", "classifier"),
        ("timm/convnext_atto", "head.fc"),
        ("torchvision/resnet18", "fc"),
        ("torchvision/mobilenet_v3_small", "classifier.3"),
        ("torchvision/squeezenet1_1", "classifier.1"),
    ],
)
def test_heads_of_libraries_are_found(name: str, head: str) -> None:
    net = models.build(name, 4, size=64)
    assert heads.head_of(net, torch.zeros(2, 3, 64, 64)) == head


@pytest.mark.parametrize("name", ["convnet", "mlp", "lenet", "resnet20", "cifar-convnet"])
def test_heads_of_our_own_are_their_last_layers(name: str) -> None:
    net = models.build(name, 4, channels=1, size=32)
    path = heads.head_of(net, torch.zeros(2, 1, 32, 32))
    assert path == [n for n, m in net.named_modules() if isinstance(m, nn.Linear)][-1]


def test_the_head_is_what_runs_last_and_nothing_changes_by_looking() -> None:
    net = Misplaced().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert heads.head_of(net, torch.rand(2, 1, 8, 8)) == "answers"
    assert all(part.training for part in net.modules())
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("halves", [False, True])
def test_features_are_enough_only_where_nothing_follows_the_head(halves: bool) -> None:
    net, values = Misplaced(halves=halves).eval(), torch.rand(3, 1, 8, 8)
    assert heads.is_answer(net, "answers", values) is not halves
    vectors = given(net, "answers", values)
    torch.testing.assert_close(vectors, net.body(values).mean((2, 3)))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.LayerNorm(4)),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Unflatten(1, (4, 2)), nn.AvgPool1d(2)),
        nn.Sequential(nn.Flatten()),
    ],
    ids=["norm last", "other width", "no weights"],
)
def test_a_head_that_cannot_be_told_is_one_clear_line(net: nn.Module) -> None:
    with pytest.raises(UsageError, match=r"is its head cannot be told.*give --no-freeze") as caught:
        heads.head_of(net, torch.zeros(2, 1, 4, 4))
    assert "\n" not in str(caught.value)


def test_several_heads_are_refused() -> None:
    net = models.build("timm/deit_tiny_distilled_patch16_224", 4, size=224)
    with pytest.raises(UsageError, match="several heads"):
        heads.head_of(net, torch.zeros(1, 3, 224, 224))


def test_blocks_of_a_vision_transformer_are_those_of_timm() -> None:
    net = models.build("timm/vit_tiny_patch16_224", 4, size=224)
    away = heads.distances(net, "head")
    assert away["head.weight"] == 0
    for number in range(12):
        assert away[f"blocks.{number}.attn.qkv.weight"] == 12 - number
    assert away["norm.weight"] == 1
    assert away["patch_embed.proj.weight"] == away["cls_token"] == away["pos_embed"] == 13


def test_blocks_of_a_wrapped_resnet_are_its_blocks() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(7, 3)
            self.inner = models.build("torchvision/resnet18", 7)

    away = heads.distances(Wrapped(), "fc")
    assert away["fc.bias"] == 0
    assert away["inner.fc.weight"] == 1
    assert away["inner.layer4.1.conv2.weight"] == 2
    assert away["inner.layer1.0.conv1.weight"] == away["inner.layer1.0.bn2.bias"] == 9
    assert away["inner.conv1.weight"] == away["inner.bn1.weight"] == 10
