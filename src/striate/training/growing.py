"""Progressive resizing: a training starts with small pictures, which grow to the full size.

A convolution's cost falls with the square of the side, and the first epochs need less detail
(Howard 2018, https://www.fast.ai/posts/2018-04-30-dawnbench-fastai.html).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import UsageError

from .recipe import Recipe

PARTS = 8  # sides are whole eighths of the network's


def sides(recipe: Recipe) -> list[int]:
    """List the sides of a training's pictures in pixels, the network's own last.

    >>> sides(Recipe(size=32, progressive=0.75)), sides(Recipe(size=32))
    ([24, 28, 32], [32])
    """
    first = round(recipe.progressive * PARTS)
    return [max(1, recipe.size * part // PARTS) for part in range(first, PARTS)] + [recipe.size]


def side(recipe: Recipe, step: int, steps: int) -> int:
    """Return the side of a step's pictures in pixels; each but the last has equally many steps.

    >>> whole = Recipe(size=32, progressive=0.75, progressive_until=0.5)
    >>> [side(whole, step, 8) for step in range(8)]
    [24, 24, 28, 28, 32, 32, 32, 32]
    """
    every = sides(recipe)
    until = recipe.progressive_until * steps
    return every[int((len(every) - 1) * step / until)] if step < until else every[-1]


def resized(values: Tensor, side: int) -> Tensor:
    """Shrink values (N, C, H, W) to squares of a side, bilinearly and antialiased.

    As two products with matrices: torch's own filter is slow for many small pictures on a GPU.
    """
    if values.shape[-1] == side:
        return values
    filters = _filters(values.shape[-1], side).to(values)
    return filters @ (values @ filters.T)


def check(recipe: Recipe, kind: str) -> None:
    """Raise UsageError where progressive resizing does not apply."""
    if len(sides(recipe)) == 1:
        return
    if kind != "pictures":
        raise UsageError(f"--progressive resizes pictures, and these are {kind}")
    if recipe.freeze or recipe.unfreeze_at:
        raise UsageError(
            "--progressive does not go with --freeze or --unfreeze-at: frozen layers' features are "
            "computed from pictures of the full size"
        )


def _filters(before: int, after: int) -> Tensor:
    """Return the matrix (after, before) of an antialiased bilinear filter along one axis."""
    rows = torch.eye(before, dtype=torch.float64)[None, None]
    size = (after, before)
    return F.interpolate(rows, size, mode="bilinear", antialias=True, align_corners=False)[0, 0]
