"""Fractional max pooling: against the definition, repeatable in evaluation, random in training."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.layers import FractionalMaxPool, reference


@given(
    high=st.integers(4, 20),
    wide=st.integers(4, 20),
    factor=st.sampled_from([1.25, 2**0.5, 1.6, 2.0]),
    seed=st.integers(0, 99),
)
def test_in_evaluation_it_is_the_definition_at_middle_places(
    high: int, wide: int, factor: float, seed: int
) -> None:
    x = torch.randn(2, 3, high, wide, generator=torch.Generator().manual_seed(seed))
    found = FractionalMaxPool(factor).eval()(x)
    regions = [
        reference.fixed_size(side, int(side / factor), 0.5, kernel=2) for side in (high, wide)
    ]
    assert torch.equal(found, reference.pool_regions(x, *regions))


def test_in_training_places_are_drawn_and_in_evaluation_they_are_not() -> None:
    torch.manual_seed(0)
    layer, x = FractionalMaxPool(2**0.5), torch.randn(1, 8, 15, 15)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    several = torch.cat([x, -x])
    assert torch.equal(layer(several)[:1], layer(x))


def test_every_answer_is_a_number_of_its_map() -> None:
    x = torch.randperm(2 * 49).float().reshape(1, 2, 7, 7)
    found = FractionalMaxPool(1.5)(x)
    for own, pooled in zip(x[0], found[0], strict=True):
        assert set(pooled.flatten().tolist()) <= set(own.flatten().tolist())
        assert pooled.max() == own.max()
