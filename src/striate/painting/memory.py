"""The memory that a painting takes, known before it begins, and the cut that fits into a limit."""

import ctypes
import sys
from typing import NamedTuple

from striate.errors import UsageError

from . import descent, sums
from .backbone import Network
from .losses import LOSSES
from .scene import Scene
from .settings import Settings

TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)
# Pairs of gradients that L-BFGS may remember; fewer are a slower descent.
HISTORIES = (descent.HISTORY, 6, 3)
# Bytes a pixel of the whole picture: content and its activations, the picture before and after a
# step, their gradients, the direction; a pair of L-BFGS's history; what Adam has more.
WHOLE, PAIR, ADAM = 100, 24, 24
# Of a tile with its margin: cutting its core out is a copy on the way back.
TILED = 1.52
# What the first step loads of libraries; the matrices of an eigen-decomposition. In bytes.
FIXED, MATRICES = 88 * 2**20, 8 * 2**20
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


class Need(NamedTuple):
    """How a level is run, and the bytes that it takes beyond process and network."""

    tile: int | None  # side in pixels; None for no tiles
    history: int  # of L-BFGS
    bytes: int


def fit(scene: Scene, network: Network, settings: Settings, limit: int | None) -> Need:
    """Choose the largest tiles, and then the longest history, whose memory is within the limit."""
    height, width = scene.content.shape[2:]
    cuts: list[int | None] = [None]
    if LOSSES[settings.loss].additive and network.grid is not None:
        cuts += [tile for tile in TILES if tile < max(height, width)]
    histories = HISTORIES if settings.optimiser == "lbfgs" else (0,)
    needs = [
        Need(cut, history, predict(scene, network, settings, cut, history=history))
        for cut in cuts
        for history in histories
    ]
    for need in needs:
        if limit is None or need.bytes <= limit:
            return need
    least = min(need.bytes for need in needs)
    slimmer = "--optimiser adam or " if histories != (0,) else ""
    raise UsageError(
        f"{width} x {height} pixels take {least / 2**20:.0f} MB at least: give --memory more, or "
        f"take {slimmer}a smaller --size"
    )


def predict(
    scene: Scene,
    network: Network,
    settings: Settings,
    tile: int | None,
    *,
    history: int = descent.HISTORY,
) -> int:
    """Give the bytes that a level takes at its peak."""
    height, width = scene.content.shape[2:]
    cut = sums.cut(network, (height, width), tile)
    run = max(sums.crop(scene.content, one)[0, 0].numel() for one in cut)
    run = int(run * TILED) if len(cut) > 1 else run
    held = ADAM if settings.optimiser == "adam" else history * PAIR
    fixed = FIXED + (MATRICES if settings.loss == "w2" else 0)
    return fixed + run * network.held + height * width * (WHOLE + held)


def give_back_freed() -> None:
    """Have glibc return large blocks once they are freed; it would keep half as much again."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has none, and keeps none
            mallopt(_M_MMAP_THRESHOLD, 2**20)
