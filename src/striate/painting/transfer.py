"""Neural style (Gatys et al. 2015, https://arxiv.org/abs/1508.06576) from coarse to fine.

Each level begins with the one before, enlarged: large strokes are made where they are cheap.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from striate import devices

from . import canvas, colour, descent, memory
from .backbone import Trunk
from .canvas import Style
from .objective import Evaluation, Objective
from .pace import Pace, Stage
from .scene import Scene
from .settings import Settings


class Frame(NamedTuple):
    """The picture after one step, and how far it is from what it should be."""

    picture: Tensor  # (3, H, W) in [0, 1], in the size of its level
    raw: Tensor  # the same before its colours were kept
    style: dict[str, float]  # residual of each layer: 1 at the content picture, 0 at the style
    content: float  # residual: mean square of what changed over the content's variance
    seconds: float  # since the painting began
    stages: tuple[Stage, ...]  # all that was done until now, the last of them under way
    sides: tuple[int, ...]  # all levels, in pixels


class Begun(NamedTuple):
    """A painting to go on with: what was done, and the raw picture it had come to."""

    stages: tuple[Stage, ...]
    raw: Tensor  # (3, H, W)


def paint(
    content: Image.Image,
    styles: Sequence[Style],
    trunk: Trunk,
    settings: Settings,
    *,
    pace: Pace,
    begun: Begun | None = None,
) -> Iterator[Frame]:
    """Paint, one step at each `next`; the last frame is in full size."""
    done = list(begun.stages) if begun else []
    picture = begun.raw[None] if begun else None
    frame = None
    while (side := pace.next_side(done)) is not None:
        scene = canvas.scene(content, styles, side, settings)
        tile = memory.fit(scene, trunk, settings, pace.budget.memory).tile
        objective = Objective(trunk, scene, loss=settings.loss, weights=settings.weights, tile=tile)
        start = _start(picture, scene, content, settings)
        done.append(Stage(side, 0))
        descend = descent.adam if settings.optimiser == "adam" else descent.lbfgs
        for picture, found in descend(objective.evaluate, start):
            done[-1] = Stage(side, done[-1].steps + 1)
            frame = _frame(picture, scene, found, settings, pace, done)
            yield frame
            if pace.over(done, found.loss):
                break
        del objective  # before the next one is made: each holds what the largest part of memory is
    assert frame is not None, "there is a level for every size"
    if done[-1].side != settings.size:
        yield _enlarged(frame, content, styles, settings)


def _frame(
    picture: Tensor,
    scene: Scene,
    found: Evaluation,
    settings: Settings,
    pace: Pace,
    done: Sequence[Stage],
) -> Frame:
    shown = colour.recolour(picture, scene.photo) if settings.colour == "keep" else picture
    return Frame(
        shown[0], picture[0], found.style, found.content, pace.seconds(), tuple(done), pace.sides
    )


def _start(
    picture: Tensor | None, scene: Scene, content: Image.Image, settings: Settings
) -> Tensor:
    """Give the content or noise; later what the level before came to."""
    if picture is not None:
        return _enlarge(picture, scene.content, content, settings)
    if settings.start == "content":
        return scene.content.clone()
    generator = torch.Generator().manual_seed(devices.seed_of(settings.seed))
    return torch.rand(scene.content.shape, generator=generator)


def _enlarge(picture: Tensor, own: Tensor, content: Image.Image, settings: Settings) -> Tensor:
    """Enlarge a picture to the size of its content, with the content's details that it lacks."""
    if picture.shape == own.shape:
        return picture
    size = (own.shape[2], own.shape[3])
    larger = F.interpolate(picture, size, mode="bicubic", align_corners=False)
    coarse = canvas.pixels(canvas.fitted(content, max(picture.shape)))
    if settings.colour == "keep":
        coarse = colour.luminance(coarse)
    details = own - F.interpolate(coarse, size, mode="bicubic", align_corners=False)
    return (larger + details).clamp_(0, 1)


def _enlarged(
    frame: Frame, content: Image.Image, styles: Sequence[Style], settings: Settings
) -> Frame:
    scene = canvas.scene(content, styles, settings.size, settings)
    raw = _enlarge(frame.raw[None], scene.content, content, settings)
    shown = colour.recolour(raw, scene.photo) if settings.colour == "keep" else raw
    return frame._replace(picture=shown[0], raw=raw[0])
