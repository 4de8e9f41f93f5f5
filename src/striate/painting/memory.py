"""The memory that a painting takes, known before it begins, and the cut that fits into a limit."""

import ctypes
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch

from striate.errors import UsageError

from . import descent, sums
from .backbone import Network
from .losses import LOSSES
from .settings import Settings

TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)
# Pairs of gradients that L-BFGS may remember; fewer are a slower descent.
HISTORIES = (descent.HISTORY, 6, 3)
# Bytes a pixel of the whole picture: content and its activations, the picture before and after a
# step, their gradients, the direction; a pair of L-BFGS's history; what Adam has more.
WHOLE, PAIR, ADAM = 100, 24, 24
# A pixel of the whole picture while L-BFGS finds its direction, when no tile is run.
DIRECTED = 72
# Of a tile with its margin: cutting its core out is a copy on the way back.
TILED = {torch.float32: 1.52, torch.bfloat16: 1.1}
# By what becomes of freed blocks and by precision: the bytes that the first step loads of
# libraries, and the share of what a step holds that is taken for it.
KEPT = {torch.float32: (115 * 2**20, 2.0), torch.bfloat16: (80 * 2**20, 2.4)}
RETURNED = {torch.float32: (88 * 2**20, 1.0), torch.bfloat16: (100 * 2**20, 1.0)}
# Kept blocks fit later ones more or less well: what one run takes another may exceed by this.
SPREAD = 1.15
# The matrices of an eigen-decomposition, in bytes.
MATRICES = 8 * 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class Need(NamedTuple):
    """How a level is run, and the bytes that it takes beyond process and network."""

    tile: int | None  # side in pixels; None for no tiles
    history: int  # of L-BFGS
    returned: bool  # whether freed blocks go back to the system
    bytes: int


def fit(
    size: tuple[int, int],
    network: Network,
    settings: Settings,
    limit: int | None,
    *,
    ways: Sequence[bool] = (False, True),
) -> Need:
    """Choose the largest tiles, then the longest history, then what keeps freed blocks.

    All within the limit; UsageError where nothing is. `size` is height and width; `ways` are
    whether freed blocks may be kept or returned.
    """
    height, width = size
    cuts: list[int | None] = [None]
    if LOSSES[settings.loss].additive and network.grid is not None:
        cuts += [tile for tile in TILES if tile < max(height, width)]
    histories = HISTORIES if settings.optimiser == "lbfgs" else (0,)
    needs = [
        predict(size, network, settings, cut, history=history, returned=returned)
        for cut in cuts
        for history in histories
        for returned in ways
    ]
    for need in needs:
        if limit is None or need.bytes * (1 if need.returned else SPREAD) <= limit:
            return need
    least = min(need.bytes for need in needs)
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
    returned: bool = False,
) -> Need:
    """Give what a level takes at its peak."""
    height, width = size
    cut = sums.cut(network, size, tile)
    run = max(height * width if one is None else one.pixels for one in cut)
    run = int(run * TILED[network.precision]) if len(cut) > 1 else run
    lbfgs = settings.optimiser == "lbfgs"
    held = history * PAIR if lbfgs else ADAM
    fixed, factor = (RETURNED if returned else KEPT)[network.precision]
    fixed += MATRICES if settings.loss == "w2" else 0
    step = max(int(run * network.held * factor), lbfgs * DIRECTED * height * width)
    taken = fixed + step + height * width * (WHOLE + held)
    return Need(tile, history, returned, taken)


def arrange(*, returned: bool) -> None:
    """Have glibc return large blocks once they are freed, or keep them.

    Kept they are half as much memory again; returned they cost a third of the time, since the
    system clears each page that it gives out.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has none, and keeps none
            mallopt(_M_MMAP_THRESHOLD, 2 ** (20 if returned else 25))
            mallopt(_M_TRIM_THRESHOLD, 2 ** (17 if returned else 30))
