"""What one level of a painting works on: content, styles, and the regions they are for."""

from typing import NamedTuple

from torch import Tensor


class Region(NamedTuple):
    """Where styles apply: a soft mask (H, W), None for everywhere, and the styles' shares."""

    mask: Tensor | None
    shares: dict[int, float]  # by the style's number; they add up to 1


class Scene(NamedTuple):
    """Pictures (1, 3, H, W) in [0, 1], each style in a size of its own; masks are like content."""

    content: Tensor  # in a painting with its bleed
    styles: list[Tensor]
    regions: list[Region]
    photo: Tensor  # the content in its own colours, without bleed
