"""The memory that a painting takes, known before it begins, and the cut that fits into a limit."""

import ctypes
import sys
from typing import NamedTuple

from striate.errors import UsageError

from . import descent, tiles
from .backbone import Trunk
from .losses import LOSSES
from .scene import Scene
from .settings import Settings

TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)
# Bytes a pixel, measured: of what is run whole, of a tile with its margin. The first block decides,
# which both networks have alike.
RUN, TILE = 2040, 1700
# Bytes a pixel of the whole picture: the picture and the content's activations; a pair of L-BFGS's
# history; what Adam holds.
WHOLE, PAIR, ADAM = 110, 24, 60
# What the first step loads of libraries; the matrices of an eigen-decomposition. In bytes.
FIXED, MATRICES = 70 * 2**20, 12 * 2**20
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


class Need(NamedTuple):
    """The side of a tile in pixels, None for no tiles, and the bytes beyond process and network."""

    tile: int | None
    bytes: int


def fit(scene: Scene, trunk: Trunk, settings: Settings, limit: int | None) -> Need:
    """Choose the largest tiles whose memory is within the limit in bytes."""
    height, width = scene.content.shape[2:]
    cuts: list[int | None] = [None]
    if LOSSES[settings.loss].additive:
        cuts += [tile for tile in TILES if tile < max(height, width)]
    needs = [Need(cut, predict(scene, trunk, settings, cut)) for cut in cuts]
    for need in needs:
        if limit is None or need.bytes <= limit:
            return need
    least = min(need.bytes for need in needs)
    raise UsageError(
        f"{width} x {height} pixels take {least / 2**20:.0f} MB at least: give --memory more, or "
        f"take a smaller --size"
    )


def predict(scene: Scene, trunk: Trunk, settings: Settings, tile: int | None) -> int:
    """Give the bytes that a level takes at its peak."""
    height, width = scene.content.shape[2:]
    cut = tiles.tiled((height, width), tile, trunk.margin, trunk.alignment)
    run = max((t.rows.end - t.rows.begin) * (t.columns.end - t.columns.begin) for t in cut)
    held = ADAM if settings.optimiser == "adam" else descent.HISTORY * PAIR
    fixed = FIXED + (MATRICES if settings.loss == "w2" else 0)
    return fixed + run * (RUN if len(cut) == 1 else TILE) + height * width * (WHOLE + held)


def give_back_freed() -> None:
    """Have glibc return large blocks once they are freed; it would keep half as much again."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has none, and keeps none
            mallopt(_M_MMAP_THRESHOLD, 2**20)
