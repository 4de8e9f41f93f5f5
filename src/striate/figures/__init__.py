"""Numbers to pictures: charts and sheets of pictures as PNG bytes, networks as SVG."""

from .architecture import Volume, architecture
from .confusion import confusion
from .curves import curves
from .maps import Row as MapRow
from .maps import Slide as MapSlide
from .maps import box_side, maps
from .sheet import overview, sheet
from .shifts import shifts

__all__ = [
    "MapRow",
    "MapSlide",
    "Volume",
    "architecture",
    "box_side",
    "confusion",
    "curves",
    "maps",
    "overview",
    "sheet",
    "shifts",
]
