"""The memory that a painting takes, known before it begins, and the cut that fits into a limit."""

from typing import NamedTuple

from striate.errors import UsageError

from .backbone import Trunk
from .canvas import Scene
from .losses import LOSSES
from .objective import Means
from .settings import Settings

TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)


class Need(NamedTuple):
    """A cut of the work, and the bytes that it takes beyond the process and its network."""

    means: Means
    bytes: int


def fit(scene: Scene, trunk: Trunk, settings: Settings, limit: int | None) -> Need:
    """Choose the fastest cut whose memory is within the limit in bytes."""
    height, width = scene.content.shape[2:]
    cuts = [Means(), Means(twice=True)]
    if LOSSES[settings.loss].additive:
        cuts += [Means(tile, twice=True) for tile in TILES if tile < max(height, width)]
    needs = [Need(cut, predict((height, width), scene, trunk, cut)) for cut in cuts]
    if limit is None:
        return needs[0]
    for need in needs:
        if need.bytes <= limit:
            return need
    least = min(need.bytes for need in needs)
    raise UsageError(
        f"{width} x {height} pixels take {least / 2**20:.0f} MB at least: give --memory more, or "
        f"take a smaller --size"
    )


def predict(size: tuple[int, int], scene: Scene, trunk: Trunk, means: Means) -> int:
    """Give the bytes that painting takes at its peak."""
    return 0
