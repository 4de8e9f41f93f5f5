"""Arrays to pictures: every chart and every sheet of pictures is drawn here, as PNG bytes."""

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
    "box_side",
    "confusion",
    "curves",
    "maps",
    "overview",
    "sheet",
    "shifts",
]
