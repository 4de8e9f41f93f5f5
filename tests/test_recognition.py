"""A library's networks by their names, and those that have none."""

import functools
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from striate import api
from striate.data.splits import Data
from striate.errors import UsageError
from striate.models.recognition import is_from_library, name_of, outputs

TORCHVISION = (
    *(
        "alexnet",
        "densenet121",
        "mobilenet_v3_small",
        "regnet_y_400mf",
        "resnet34",
        "squeezenet1_1",
    ),
    *("vgg11_bn", "shufflenet_v2_x0_5"),
)


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_network_of_torchvision_has_its_name(name: str) -> None:
    net = torchvision.models.get_model(name, num_classes=3)
    assert name_of(net) == f"torchvision/{name}"
    assert outputs(net) == 3
    assert name_of(torchvision.models.get_model_builder(name)) == f"torchvision/{name}"


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_a_network_of_timm_has_its_name(name: str) -> None:
    net = timm.create_model(name, num_classes=3)
    assert name_of(net) == f"timm/{name}"
    assert outputs(net) == 3
    assert name_of(timm.model_entrypoint(name)) == f"timm/{name}"


def changed() -> nn.Module:
    net: nn.Module = torchvision.models.resnet18(num_classes=3)
    net.fc = nn.Sequential(nn.Dropout(0.1), nn.Linear(512, 3))
    return net


@pytest.mark.parametrize(
    "given",
    [
        changed(),
        torchvision.models.resnet18(replace_stride_with_dilation=None, zero_init_residual=True),
        nn.Sequential(nn.Flatten(), nn.Linear(3, 3)),
        nn.Linear,
        torchvision.models.resnet.BasicBlock,
    ],
    ids=["head", "same", "sequential", "layer", "block"],
)
def test_only_what_is_the_same_has_a_name(given: Any, request: pytest.FixtureRequest) -> None:
    assert is_from_library(given)
    if request.node.callspec.id == "same":  # initial weights are carried over, so they may differ
        assert name_of(given) == "torchvision/resnet18"
        return
    with pytest.raises(UsageError, match=r"is no network that can be built again by a name: give"):
        name_of(given)


def test_a_network_that_is_built_starts_from_its_weights(drawn_data: Data, tmp_path: Any) -> None:
    net = torchvision.models.squeezenet1_1(num_classes=3)
    choices: dict[str, Any] = {"epochs": 1, "size": 32, "batch_size": 4, "rate": 0.0}
    run = api.train(drawn_data, model=net, out=tmp_path / "run", **choices)
    assert run.recipe["model"] == "torchvision/squeezenet1_1"
    for name, weights in net.state_dict().items():
        assert torch.equal(api.load(run.folder).model.state_dict()[name], weights)
    maker = functools.partial(torchvision.models.squeezenet1_1, dropout=0.25)
    assert "dropout = 0.25" in api.plan(drawn_data, model=maker)
    with pytest.raises(UsageError, match="answers with 1000 numbers, and the data have 3 classes"):
        api.plan(drawn_data, model=torchvision.models.squeezenet1_1())
    with pytest.raises(UsageError, match="argument dropout cannot be saved with the run"):
        api.plan(drawn_data, model=functools.partial(maker, dropout=None))


@pytest.fixture
def drawn_data(photos: Any) -> Data:
    from striate import data

    return data.find(photos)
