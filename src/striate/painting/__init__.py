"""Neural style: a photograph painted like a painting, as a generator of frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from striate.images import decode, upright

from . import networks, transfer
from .backbone import Network
from .canvas import Style, image
from .pace import Stage
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
    network: Network | None = None,
    device: str = "auto",
    trust_code: bool = False,
    **choices: Any,
) -> Iterator[Frame]:
    """Paint a picture like one or more styles: give a frame a step, the last in full size.

    `seconds` and `memory` (in bytes) bound the work; `choices` are fields of painting's Settings,
    as in size=1024, strength=0.8. `weights` is a file of the network's weights; without one they
    are the published ones. A `network` that is already loaded is taken as it is. `trust_code` lets
    code be executed that a run named as `model` carries and this machine has not run before.
    """
    settings = from_table(choices)
    budget = Budget(seconds, memory)
    several = [style] if isinstance(style, Picture) else list(style)
    styles = [one if isinstance(one, Style) else Style(_opened(one)) for one in several]
    opened = _opened(content)
    if network is None:
        given = Path(weights) if weights else None
        network = networks.ready(settings, given, device=device, trust_code=trust_code)
    pace = transfer.paced(opened, settings, budget)
    return transfer.paint(opened, styles, network, settings, pace=pace)


def _opened(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return upright(picture)
    return Image.fromarray(decode(Path(picture)))
