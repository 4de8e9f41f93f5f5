"""Progressive resizing: which side when, by which filter, and for which networks."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import striate
from striate.errors import UsageError
from striate.training import growing
from striate.training.recipe import Recipe


@given(
    st.integers(1, 300),
    st.sampled_from([part / 8 for part in range(1, 9)]),
    st.floats(0.01, 1),
    st.integers(1, 200),
)
def test_sides_grow_in_equal_parts_to_the_whole(
    size: int, share: float, until: float, steps: int
) -> None:
    recipe = Recipe(size=size, progressive=share, progressive_until=until)
    every = [growing.side(recipe, step, steps) for step in range(steps)]
    assert every == sorted(every)
    assert min(every) >= max(1, int(size * share))
    assert all(side == size for step, side in enumerate(every) if step >= until * steps)
    small = [side for step, side in enumerate(every) if step < until * steps]
    levels = growing.sides(recipe)[:-1]
    if levels and len(set(levels)) == len(levels) and len(small) % len(levels) == 0:
        whole = len(small) == until * steps
        assert not whole or all(small.count(s) == len(small) // len(levels) for s in levels)


@pytest.mark.parametrize(("before", "after"), [(32, 28), (32, 24), (28, 14), (9, 1), (8, 8)])
def test_pictures_are_resized_as_torch_does(before: int, after: int) -> None:
    torch.manual_seed(before)
    values = torch.randn(3, 2, before, before, dtype=torch.float64)
    wanted = F.interpolate(values, (after, after), mode="bilinear", antialias=True)
    assert torch.allclose(growing.resized(values, after), wanted, rtol=0, atol=1e-12)


def test_a_training_begins_small_and_ends_whole(tmp_path: Path) -> None:
    choices: dict[str, Any] = {"epochs": 2, "batch_size": 300, "arguments": {"width": 4}}
    with mock.patch.object(growing, "resized", wraps=growing.resized) as resized:
        run = striate.train("digits", out=tmp_path / "run", progressive=0.5, **choices)
    # 1,294 pictures are 5 steps an epoch: of 10 the first half in sides of 4, 5, 6 and 7.
    assert [call.args[1] for call in resized.call_args_list] == [4, 4, 5, 6, 7, 8, 8, 8, 8, 8]
    assert run.recipe["progressive"] == 0.5


@pytest.mark.parametrize(
    ("data", "choices", "said"),
    [
        ("digits", {"model": "mlp"}, "take 1x4x4 pictures, as --progressive needs: "),
        ("digits", {"freeze": True, "weights": "w.pth"}, "--progressive does not go with --freeze"),
        ("moving-digits", {}, "--progressive resizes pictures, and these are clips"),
        ("digits", {"progressive": 0.1}, "--progressive lies in 0.125 to 1"),
    ],
)
def test_what_cannot_grow_is_refused(
    data: str, choices: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"progressive": 0.5, **choices}
    with pytest.raises(UsageError, match=said):
        striate.train(data, out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()
