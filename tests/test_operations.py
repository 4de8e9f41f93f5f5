"""Operations and policies of augmentation against torchvision's, picture by picture."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from striate.data.augmenting import policies
from striate.data.augmenting.augment import Augmentation, augment
from striate.data.augmenting.chance import POLICY, Chance
from striate.data.augmenting.operations import MOVES, OPERATIONS, Chosen, changed

law = settings(deadline=None, derandomize=True, max_examples=30)
# torchvision's name of each.
THEIRS = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "colour": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
}
SPACES = {"trivial-wide": v2.TrivialAugmentWide(), "rand-augment": v2.RandAugment()}


def pictures(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Draw pictures of few levels beside ones of many."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor([2, 40, 256])[torch.arange(count) % 3].view(-1, 1, 1, 1)
    shape = (count, channels, height, width)
    return (torch.rand(shape, generator=generator) * levels + (256 - levels) / 2).to(torch.uint8)


def theirs(image: Tensor, name: str, amount: float) -> Tensor:
    """Change a picture as torchvision does, by an amount as it counts it."""
    changer: Any = SPACES["trivial-wide"]
    found: Tensor = changer._apply_image_or_video_transform(
        image, THEIRS[name], amount, interpolation=InterpolationMode.NEAREST, fill={Tensor: None}
    )
    return found


def is_tied(name: str, amount: float, height: int, width: int) -> Tensor:
    """Tell where the nearest pixel is a matter of rounding: bool (H, W)."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    y, x = y.double(), x.double()
    angle = math.radians(amount) if name == "rotate" else 0.0
    across, along = x - width / 2, y - height / 2
    if name == "shear_x":
        x = x + amount * y
    elif name == "shear_y":
        y = y + amount * x
    elif name == "rotate":
        x = math.cos(angle) * across - math.sin(angle) * along + width / 2
        y = math.sin(angle) * across + math.cos(angle) * along + height / 2
    return ((x - x.round()).abs() < 1e-3) | ((y - y.round()).abs() < 1e-3)


@pytest.mark.parametrize("name", OPERATIONS)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    channels=st.sampled_from([1, 3]),
    share=st.floats(0, 1),
    sign=st.sampled_from([-1, 1]),
)
@law
def test_an_operation_is_torchvisions(
    name: str, size: tuple[int, int], channels: int, share: float, sign: int
) -> None:
    images = pictures(6, channels, *size)
    limits = {"rotate": 135.0, "translate_x": 32.0, "translate_y": 32.0}
    amount = sign * share * limits.get(name, 0.99)
    if name == "posterize":
        amount = 8 - round(6 * share)
    elif name == "solarize":
        amount = share
    own = math.radians(amount) if name == "rotate" else amount
    chosen = Chosen(
        torch.full((6,), OPERATIONS.index(name)), torch.full((6,), own, dtype=torch.float64)
    )
    found = changed(images, chosen).int()
    expected = torch.stack([theirs(image, name, amount) for image in images]).int()
    apart = (found - expected).abs()
    if name in MOVES:
        apart = apart * ~is_tied(name, amount, *size)
        assert apart.max() == 0
    elif name == "solarize":
        near = (images - 255 * share).abs() < 1e-3
        assert (apart * ~near).max() == 0
    else:
        # torchvision cuts off what we round; saturations and contrasts of grey that it cut off too.
        assert apart.max() <= (1 if name != "contrast" else 2)


@pytest.mark.parametrize("policy", SPACES)
def test_operations_and_magnitudes_are_torchvisions(policy: str) -> None:
    theirs, height, width = SPACES[policy], 40, 30
    names = [THEIRS[name] for name in OPERATIONS]
    assert list(theirs._AUGMENTATION_SPACE) == names
    space = policies.space(policy, height, width)
    for place, (magnitudes, signed) in enumerate(theirs._AUGMENTATION_SPACE.values()):
        values = magnitudes(policies.BINS, height, width)
        operations = torch.full((2 * policies.BINS,), (place + 0.5) / len(OPERATIONS))
        signs = torch.tensor([0.2, 0.8]).repeat_interleave(policies.BINS)
        bins = torch.arange(policies.BINS).repeat(2)
        drawn = {"operation_0": operations, "sign_0": signs}
        found = policies.chosen(drawn, 0, space, bins)
        assert found.operation.tolist() == [place] * (2 * policies.BINS)
        if values is None:
            continue
        expected = values.double()
        if OPERATIONS[place] == "rotate":
            expected = expected.deg2rad()
        both = torch.cat([-expected if signed else expected, expected])
        torch.testing.assert_close(found.amount, both, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("policy", "operations"), [("trivial-wide", 1), ("rand-augment", 1), ("rand-augment", 4)]
)
def test_a_policy_changes_each_picture_by_what_it_draws(policy: str, operations: int) -> None:
    count, images = 60, pictures(60, 3, 20, 16)
    how = Augmentation(policy=policy, policy_operations=operations, policy_magnitude=20)
    found = augment(images, torch.arange(count), how, seed=4, epoch=1)
    drawn = Chance(4, 1, torch.arange(count)).draw(POLICY[: 3 * operations])
    for number in range(operations):
        bins = torch.full((count,), 20)
        if policy == "trivial-wide":
            bins = (drawn["bin_0"] * 31).long()
        chosen = policies.chosen(drawn, number, policies.space(policy, 20, 16), bins)
        assert len(set(chosen.operation.tolist())) > 10
        one_by_one = [
            changed(
                images[i : i + 1], Chosen(chosen.operation[i : i + 1], chosen.amount[i : i + 1])
            )
            for i in range(count)
        ]
        images = torch.cat(one_by_one)
    assert torch.equal(found, images)


def test_every_operation_magnitude_and_sign_is_as_likely() -> None:
    count = 42_000
    drawn = Chance(0, 0, torch.arange(count)).draw(POLICY[:3])
    bins = (drawn["bin_0"] * policies.BINS).long()
    chosen = policies.chosen(drawn, 0, policies.space("trivial-wide", 32, 32), bins)
    counts = torch.bincount(chosen.operation, minlength=len(OPERATIONS))
    # Binomials: of 42,000 at 1 / 14 mean 3000, standard deviation 53.
    assert (counts - count / 14).abs().max() < 5 * 53
    assert (torch.bincount(bins, minlength=31) - count / 31).abs().max() < 5 * 37
    turned = chosen.amount[(chosen.operation == OPERATIONS.index("rotate")) & (bins > 0)]
    assert abs(int((turned < 0).sum()) - len(turned) / 2) < 5 * math.sqrt(len(turned)) / 2
