"""The memory that a painting takes, known before it begins, and the cut that fits into a limit."""

import ctypes
import math
import sys
from typing import NamedTuple

from striate.errors import UsageError
from striate.painting import descent
from striate.painting.losses import sums
from striate.painting.losses.style_losses import LOSSES, PROJECTIONS
from striate.painting.networks.protocol import Network
from striate.painting.pictures import canvas
from striate.painting.settings import Settings
from striate.processors import return_memory

TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)
# Pairs of gradients that L-BFGS may remember; fewer are a slower descent.
HISTORIES = (descent.HISTORY, 6, 3)
# Bytes a pixel of the whole picture: content and its activations, the picture before and after a
# step, their gradients, the direction; a pair of L-BFGS's history; what Adam has more.
WHOLE, PAIR, ADAM = 88, 24, 24
# A pixel of the whole picture while L-BFGS finds its direction, when no tile is run.
DIRECTED = 72
# What tiles leave unused; the kernels that a further size of them has.
UNUSED, KERNELS = 20 * 2**20, 10 * 2**20
# Equal paintings differ by so much: a limit has to hold for all of them.
SPARE = 1.08
# What a loss takes for each pair of channels of the style's layers: matrices in double precision,
# and for w2 their eigen-decompositions.
MATRICES = {"gram": 30, "w2": 48}
# What a sorted loss takes for each direction at each position of the style's layers.
SORTED = 26
# A block of this many bytes goes back to the system once it is freed; parts of features are
# smaller.
RETURNED = 3 * 2**19
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class Need(NamedTuple):
    """How a level is run, and the bytes that it takes beyond process and network."""

    tile: int | None  # side in pixels; None for no tiles
    history: int  # of L-BFGS
    bytes: int


def fit(size: tuple[int, int], network: Network, settings: Settings, limit: int | None) -> Need:
    """Choose the largest tiles, then the longest history that fit; UsageError where nothing does.

    `size` is height and width of what is painted, without its bleed.
    """
    height, width = size
    cuts: list[int | None] = [None]
    if LOSSES[settings.loss].additive and network.grid is not None:
        cuts += [tile for tile in TILES if tile < max(height, width)]
    histories = HISTORIES if settings.optimiser == "lbfgs" else (0,)
    needs = [
        predict(size, network, settings, cut, history=history)
        for cut in cuts
        for history in histories
    ]
    for need in needs:
        if limit is None or SPARE * need.bytes <= limit:
            return need
    least = SPARE * min(need.bytes for need in needs)
    slimmer = "--optimiser adam or " if histories != (0,) else ""
    raise UsageError(
        f"{width} x {height} pixels take {least / 2**20:.0f} MB at least: give --memory more, or "
        f"take {slimmer}a smaller --size"
    )


def predict(
    size: tuple[int, int],
    network: Network,
    settings: Settings,
    tile: int | None,
    *,
    history: int = descent.HISTORY,
) -> Need:
    """Predict what a level takes at its peak."""
    height, width = (length + 2 * canvas.BLEED for length in size)
    cut = sums.cut(network, (height, width), tile)
    sizes = {height * width if one is None else one.pixels for one in cut}
    lbfgs = settings.optimiser == "lbfgs"
    remembered = history * PAIR if lbfgs else ADAM
    pairs = sum(network.widths[name] ** 2 for name in network.style)
    fixed = network.loaded + MATRICES.get(settings.loss, 0) * pairs
    fixed += UNUSED * (len(cut) > 1) + KERNELS * (len(sizes) - 1)
    additive = LOSSES[settings.loss].additive
    step = max(
        max(sizes) * network.pixel_bytes(additive=additive), lbfgs * DIRECTED * height * width
    )
    if not additive:
        maps = network.sizes(height, width)
        positions = sum(math.prod(maps[name]) for name in network.style if name in maps)
        step += SORTED * PROJECTIONS * positions
    return Need(tile, history, fixed + step + height * width * (WHOLE + remembered))


def arrange() -> None:
    """Have glibc return large blocks once they are freed, and keep the others; return what is free.

    All kept take more memory, and how much is chance; all returned cost time, since the system
    clears each page that it gives out. It holds for the whole process.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        mallopt = getattr(libc, "mallopt", None)
        if mallopt is not None:  # musl has none, and keeps none
            mallopt(_M_MMAP_THRESHOLD, RETURNED)
            mallopt(_M_TRIM_THRESHOLD, 2**30)
    return_memory()  # what imports, a network's file or a smaller picture have left
