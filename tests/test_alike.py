"""What a network decides while several processes take a step is seen, and drawn alike."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from striate.layers.alike import Alike, Streams, Watch


@pytest.mark.parametrize(
    ("decides", "layer"),
    [
        (True, lambda x: x if torch.rand(()) < 0.5 else 2 * x),
        (True, lambda x: x * torch.bernoulli(torch.tensor(0.5))),
        (True, lambda x: x if random.random() < 0.5 else 2 * x),
        (True, lambda x: x if np.random.rand() < 0.5 else 2 * x),  # noqa: NPY002
        (True, lambda x: x if x.sum().item() > 0 else 2 * x),
        (True, StochasticDepth(0.5, "batch")),
        (False, StochasticDepth(0.5, "row")),
        (False, DropPath(0.5)),
        (False, nn.Dropout(0.5)),
        (False, lambda x: x + torch.randn_like(x)),
        (False, nn.BatchNorm2d(1, momentum=None)),
        (False, nn.ReLU()),
    ],
)
def test_a_network_that_decides_is_known(decides: bool, layer: Callable[[Tensor], Tensor]) -> None:
    buffers = list(layer.buffers()) if isinstance(layer, nn.Module) else []
    with Watch(buffers) as watch:
        layer(torch.rand(2, 1, 4, 4, requires_grad=True))
    assert watch.decides == decides


def test_single_numbers_are_drawn_alike_and_others_apart() -> None:
    def drawn(rank: int) -> list[Tensor]:
        torch.manual_seed(7)
        streams = Streams.on(torch.device("cpu"))
        streams.begin(7, rank)
        part = torch.ones(3 - rank, 5)  # parts of two sizes
        with Alike(streams, plain=False):
            return [
                torch.rand(()),
                nn.functional.dropout(part, 0.5),
                torch.rand(1, 1),
                torch.rand(len(part), 1),
                torch.empty_like(part).bernoulli_(0.5),
                torch.empty(1, 1, 1).uniform_(),
                torch.randint(0, 1000, (4,)),
                torch.rand(1),
                torch.rand(3, generator=torch.Generator().manual_seed(1)),
            ]

    torch.manual_seed(7)
    alone = [torch.rand(()), torch.rand(1, 1), torch.empty(1, 1, 1).uniform_(), torch.rand(1)]
    first, second = drawn(0), drawn(1)
    for found in (first, second):
        for place, expected in zip((0, 2, 5, 7), alone, strict=True):
            assert torch.equal(found[place], expected), place
    assert torch.equal(first[8], second[8])
    for place in (1, 3, 4, 6):
        assert not torch.equal(first[place][:2], second[place][:2]), place
    repeated = drawn(1)
    assert all(torch.equal(a, b) for a, b in zip(second, repeated, strict=True))


def test_where_a_part_is_of_one_only_plain_numbers_are_alike() -> None:
    streams = Streams.on(torch.device("cpu"))
    streams.begin(7, 1)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    with Alike(streams, plain=True):
        assert not torch.equal(torch.rand(1, 1, 1, 1)[0, 0, 0], expected)
        assert torch.equal(torch.rand(1), expected)
