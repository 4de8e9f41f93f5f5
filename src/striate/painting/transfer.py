"""Neural style (Gatys et al. 2015, https://arxiv.org/abs/1508.06576) from coarse to fine.

Each level begins with the one before, enlarged: large strokes are made where they are cheap.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from striate import devices
from striate.images import decode, upright

from . import descent
from .budgets import memory as memories
from .budgets.pace import Pace, Stage
from .losses.objective import Objective, Residuals
from .networks import loading
from .networks.protocol import Network
from .pictures import canvas, colour
from .pictures.canvas import Style
from .pictures.scene import Scene
from .settings import Budget, Settings, from_table

Picture = Path | str | Image.Image
# Of the noise that a painting may begin with: the standard deviation about grey.
DEVIATION = 0.2


class Frame(NamedTuple):
    """The picture after one step, and how far it is from what it should be."""

    picture: Tensor  # (3, H, W) in [0, 1], in the size of its level
    raw: Tensor  # the same before its colours were kept
    style: dict[str, float]  # residual of each layer: 1 at the content picture, 0 at the style
    content: float  # residual: mean square of what changed over the content's variance
    seconds: float  # since the painting began
    stages: tuple[Stage, ...]  # all that was done until now, the last of them under way
    sides: tuple[int, ...]  # all levels, in pixels

    @property
    def mean(self) -> float:
        """The style's residual, as the mean of its layers."""
        return sum(self.style.values()) / len(self.style)


class Begun(NamedTuple):
    """A painting to continue: what was done, and the raw picture that it had reached."""

    stages: tuple[Stage, ...]
    raw: Tensor  # (3, H, W)


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
    """Paint a picture like one or more styles: return frames, one a step, the last in full size.

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
        network = loading.ready(settings, given, device=device, trust_code=trust_code)
    return frames(opened, styles, network, settings, pace=paced(opened, settings, budget))


def _opened(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return upright(picture)
    return Image.fromarray(decode(Path(picture)))


def frames(
    content: Image.Image,
    styles: Sequence[Style],
    network: Network,
    settings: Settings,
    *,
    pace: Pace,
    begun: Begun | None = None,
) -> Iterator[Frame]:
    """Paint, one step at each `next`; the last frame is in full size."""
    # Too little memory for the last level is said before the first one.
    memories.fit(ends(content, settings.size), network, settings, pace.budget.memory)
    done = list(begun.stages) if begun else []
    picture = begun.raw[None].to(network.device) if begun else None
    frame = None
    while (side := pace.next_side(done)) is not None:
        memories.arrange()
        scene = on(canvas.scene(content, styles, side, settings), network.device)
        need = memories.fit(ends(content, side), network, settings, pace.budget.memory)
        objective = Objective(
            network, scene, loss=settings.loss, weights=settings.weights, tile=need.tile
        )
        done.append(Stage(side, 0))
        start, residuals = _start(picture, scene, settings, objective)
        steps = itertools.chain(
            [(start, residuals)], _descend(objective, start, settings, need.history)
        )
        del start  # large pictures: freed as soon as nothing needs them
        for bled, residuals in steps:
            done[-1] = Stage(side, done[-1].steps + 1)
            picture = canvas.trimmed(bled)
            frame = _frame(picture, scene, residuals, settings, pace, done)
            yield frame
            if pace.over(done, residuals.loss, objective.loss_seconds):
                break
        # Before the next ones are made: the steps hold their objective, and that holds the most.
        del objective, steps, scene, bled
    assert frame is not None, "there is a level for every size"
    if done[-1].side != settings.size:
        yield _enlarged(frame, content, styles, settings)


def paced(content: Image.Image, settings: Settings, budget: Budget, **choices: Any) -> Pace:
    """Make the pace of a painting; `choices` are those of `Pace`."""
    pace = Pace(settings.size, budget=budget, optimiser=settings.optimiser, **choices)
    pace.reserve(math.prod(ends(content, settings.size)))
    return pace


def ends(content: Image.Image, side: int) -> tuple[int, int]:
    """Return the height and width of a painting with this long side."""
    width, height = canvas.fitted_size(content, side)
    return height, width


def on(scene: Scene, device: torch.device) -> Scene:
    """Move a scene to a device."""
    regions = [
        region if region.mask is None else region._replace(mask=region.mask.to(device))
        for region in scene.regions
    ]
    styles = [style.to(device) for style in scene.styles]
    return Scene(scene.content.to(device), styles, regions, scene.photo.to(device))


def _descend(
    objective: Objective, start: Tensor, settings: Settings, history: int
) -> Iterator[tuple[Tensor, Residuals]]:
    if settings.optimiser == "adam":
        return descent.adam(objective, start)
    return descent.lbfgs(objective, start, history=history)


def _frame(
    picture: Tensor,
    scene: Scene,
    residuals: Residuals,
    settings: Settings,
    pace: Pace,
    done: Sequence[Stage],
) -> Frame:
    shown = colour.recolour(picture, scene.photo) if settings.colour == "keep" else picture
    return Frame(
        shown[0],
        picture[0],
        residuals.style,
        residuals.content,
        pace.seconds(),
        tuple(done),
        pace.sides,
    )


def _start(
    picture: Tensor | None, scene: Scene, settings: Settings, objective: Objective
) -> tuple[Tensor, Residuals]:
    """Return what a level begins with, with its bleed, and its residuals.

    That is the content or noise; later the better of two ways to enlarge the level before.
    """
    if picture is None and settings.start == "content":
        return scene.content.clone(), objective.untouched
    several = [(way, objective.residuals(way)) for way in _ways(picture, scene, settings)]
    return min(several, key=lambda found: found[1].loss)


def _ways(picture: Tensor | None, scene: Scene, settings: Settings) -> list[Tensor]:
    if picture is None:
        return [noise(scene.content.shape, settings.seed).to(scene.content)]
    content = canvas.trimmed(scene.content)
    if picture.shape == content.shape:
        return [canvas.bled(picture)]
    return [canvas.bled(way(picture, content)) for way in (_enlarge, _detailed)]


def noise(shape: Sequence[int], seed: int) -> Tensor:
    """Draw noise (1, 3, H, W) with amplitudes like a picture's, which are one over the frequency.

    White noise is mostly fine grain, and that is what a descent moves last.
    """
    generator = torch.Generator().manual_seed(devices.seed_of(seed))
    found = descent.smoother(shape)(torch.randn(shape, generator=generator))
    return (found * (DEVIATION / found.std()) + 0.5).clamp_(0, 1)


def _enlarge(picture: Tensor, content: Tensor) -> Tensor:
    """Enlarge a picture to the size of its content."""
    if picture.shape == content.shape:
        return picture
    size = (content.shape[2], content.shape[3])
    return F.interpolate(picture, size, mode="bicubic", align_corners=False).clamp_(0, 1)


def _detailed(picture: Tensor, content: Tensor) -> Tensor:
    """Enlarge a picture, and add the details that its content has more at this size.

    Where the painting has moved edges they come back as bright seams; where the photograph is to
    stay, their absence would be most of the content's loss.
    """
    size = (picture.shape[2], picture.shape[3])
    small = F.interpolate(content, size, mode="bicubic", antialias=True)
    return (_enlarge(picture, content) + content - _enlarge(small, content)).clamp_(0, 1)


def _enlarged(
    frame: Frame, content: Image.Image, styles: Sequence[Style], settings: Settings
) -> Frame:
    scene = on(canvas.scene(content, styles, settings.size, settings), frame.raw.device)
    raw = _enlarge(frame.raw[None], scene.photo)
    shown = colour.recolour(raw, scene.photo) if settings.colour == "keep" else raw
    return frame._replace(picture=shown[0], raw=raw[0])
