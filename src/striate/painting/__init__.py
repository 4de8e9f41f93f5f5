"""Neural style: a photograph painted like a painting, as a generator of frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from striate.images import decode, upright

from . import backbone, transfer
from .backbone import Trunk
from .canvas import Style, fitted, image
from .pace import Pace, Stage
from .settings import Budget, from_table
from .transfer import Frame

__all__ = ["Frame", "Stage", "Style", "image", "paint"]

Picture = Path | str | Image.Image


def paint(
    content: Picture,
    style: Picture | Sequence[Picture | Style],
    *,
    seconds: float | None = None,
    memory: int | None = None,
    weights: Path | str | None = None,
    trunk: Trunk | None = None,
    **choices: Any,
) -> Iterator[Frame]:
    """Paint a picture like one or more styles: give a frame a step, the last in full size.

    `seconds` and `memory` (in bytes) bound the work; `choices` are fields of painting's Settings,
    as in size=1024, strength=0.8. `weights` is a file of the network's weights; without one they
    are torchvision's. A `trunk` that is already loaded is taken as it is.
    """
    settings = from_table(choices)
    budget = Budget(seconds, memory)
    several = [style] if isinstance(style, Picture) else list(style)
    styles = [one if isinstance(one, Style) else Style(_opened(one)) for one in several]
    opened = _opened(content)
    ends = fitted(opened, settings.size)
    if trunk is None:
        trunk = backbone.load(settings.model, Path(weights) if weights else None)
    pace = Pace(settings.size, pixels=ends.width * ends.height, budget=budget)
    return transfer.paint(opened, styles, trunk, settings, pace=pace)


def _opened(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return upright(picture)
    return Image.fromarray(decode(Path(picture)))
