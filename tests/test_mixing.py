"""Mixtures of examples and of their labels, against torchvision's and by their formulas."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2

from striate.data.augmenting.chance import MIXED, Chance
from striate.data.augmenting.mixing import LEVELS, WHOLE, Mixer, Mixture, shares
from striate.errors import UsageError

law = settings(deadline=None, derandomize=True, max_examples=25)
CPU = torch.device("cpu")
SHAPES: dict[str, tuple[Any, torch.dtype]] = {
    "pictures": ((3, 9, 12), torch.uint8),
    "clips": ((3, 2, 9, 12), torch.uint8),
    "sounds": ((40,), torch.int16),
}


def noise(count: int, kind: str = "pictures", seed: int = 0) -> Tensor:
    shape, dtype = SHAPES[kind]
    generator, limits = torch.Generator().manual_seed(seed), torch.iinfo(dtype)
    size = (count, *shape)
    return torch.randint(limits.min, limits.max + 1, size, generator=generator).to(dtype)


def mixed(images: Tensor, how: Mixture, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
    places = torch.arange(len(images)) if places is None else places
    return Mixer(how, 4, CPU)(images, labels(len(images)), places, seed=1, epoch=2)


def labels(count: int) -> Tensor:
    return torch.arange(count) * 3 % 4


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 5.0])
def test_shares_are_those_of_a_beta_distribution(alpha: float) -> None:
    found = shares(alpha) / WHOLE
    assert len(found) == LEVELS
    np.testing.assert_allclose(found, 1 - found[::-1], atol=2 / WHOLE)
    drawn = np.sort(np.random.default_rng(0).beta(alpha, alpha, 20_000))
    below = np.searchsorted(drawn, found) / len(drawn)
    apart = np.abs(below - (np.arange(LEVELS) + 0.5) / LEVELS)
    # Those next to 0 and 1 are rounded to them.
    assert apart[(found > 0.001) & (found < 0.999)].max() < 1.95 / np.sqrt(20_000) + 0.01


@pytest.mark.parametrize("kind", SHAPES)
def test_mixup_adds_the_partner_by_its_share(kind: str) -> None:
    images = noise(50, kind)
    found, targets = mixed(images, Mixture(mixup=0.4))
    assert found.dtype == images.dtype
    kept = _kept(targets)
    own = kept.view(-1, *[1] * (images.ndim - 1))
    expected = own * images.double() + (1 - own) * images.roll(1, 0).double()
    assert (found.double() - expected).abs().max() <= 0.5 + 1e-9
    # torchvision has one share for all of a batch.
    theirs: Any = v2.MixUp(num_classes=4)
    for place in range(50):
        both = theirs._mixup_label(labels(50), lam=float(kept[place]))
        torch.testing.assert_close(targets[place], both[place], rtol=0, atol=1e-6)
    assert len(kept.unique()) > 30


def _kept(targets: Tensor) -> Tensor:
    """Read each example's own share out of its targets."""
    own = labels(len(targets))
    assert (own != own.roll(1)).all(), "the partners are of other classes"
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    return targets.gather(1, own[:, None]).squeeze(1).double()


@pytest.mark.parametrize("kind", ["pictures", "clips"])
def test_cutmix_pastes_a_box_of_the_partner(kind: str) -> None:
    # 13 is prime to 4, so that partners are of other classes.
    images = noise(48, kind)
    found, targets = mixed(images, Mixture(cutmix=1.0))
    drawn = Chance(1, 2, torch.arange(48)).draw(MIXED)
    table, theirs = shares(1.0), images.roll(1, 0)
    height, width = images.shape[-2:]
    kept = _kept(targets)
    for place in range(48):
        y, x = (
            int(drawn[name][place] * LEVELS) * side // LEVELS
            for name, side in (("mix_y", height), ("mix_x", width))
        )
        share = 1 - table[int(drawn["mix_share"][place] * LEVELS)] / WHOLE
        down, right = int(share**0.5 / 2 * height), int(share**0.5 / 2 * width)
        rows, columns = slice(max(y - down, 0), y + down), slice(max(x - right, 0), x + right)
        expected = images[place].clone()
        expected[..., rows, columns] = theirs[place][..., rows, columns]
        assert torch.equal(found[place], expected)
        pasted = torch.zeros(height, width)
        pasted[rows, columns] = 1
        assert kept[place] == pytest.approx(1 - float(pasted.mean()), abs=2 / WHOLE)


def test_with_both_each_takes_half_of_the_pictures() -> None:
    images = noise(400)
    found, targets = mixed(images, Mixture(0.4, 1.0))
    up, cut = mixed(images, Mixture(mixup=0.4)), mixed(images, Mixture(cutmix=1.0))
    first = Chance(1, 2, torch.arange(400)).draw(MIXED)["mix"] < 0.5
    assert torch.equal(found, torch.where(first.view(-1, 1, 1, 1), up[0], cut[0]))
    assert torch.equal(targets, torch.where(first[:, None], up[1], cut[1]))
    assert 150 < int(first.sum()) < 250


@given(count=st.integers(1, 30), seed=st.integers(0, 1000), kind=st.sampled_from(["both", "up"]))
@law
def test_a_mixture_is_of_the_picture_its_neighbour_and_its_place(
    count: int, seed: int, kind: str
) -> None:
    how = Mixture(0.3, 1.0 if kind == "both" else 0.0)
    images, places = noise(count, seed=seed), torch.arange(count) * 5 + seed
    together = mixed(images, how, places)
    mixer = Mixer(how, 4, CPU)
    for place in range(count):
        pair = torch.tensor([place - 1, place])
        own = labels(count)[pair]
        found = mixer(images[pair], own, places[pair], seed=1, epoch=2)
        assert torch.equal(found[0][1], together[0][place])
        assert torch.equal(found[1][1], together[1][place])
    other = mixer(images, labels(count), places, seed=1, epoch=3)
    assert count < 10 or not torch.equal(other[0], together[0])


@pytest.mark.parametrize("given", [{"mixup": -0.1}, {"cutmix": 101}, {"mixup": float("nan")}])
def test_shares_that_mean_nothing_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="is 0 or more and at most 100"):
        Mixture(**given)
