"""Numbers to pictures: charts and sheets of pictures as PNG bytes, networks as SVG."""

from .architecture import Volume, architecture
from .arcs import Sum
from .boxes import SHOWN, Box, Part, boxes, features
from .confusion import confusion
from .curves import curves
from .looked import looked
from .maps import Row as MapRow
from .maps import Slide as MapSlide
from .maps import box_side, maps
from .rates import rates
from .sheet import Columns, Fitted, Line, mistake, overview, sheet
from .shifts import shifts

__all__ = [
    "SHOWN",
    "Box",
    "Columns",
    "Fitted",
    "Line",
    "MapRow",
    "MapSlide",
    "Part",
    "Sum",
    "Volume",
    "architecture",
    "box_side",
    "boxes",
    "confusion",
    "curves",
    "features",
    "looked",
    "maps",
    "mistake",
    "overview",
    "rates",
    "sheet",
    "shifts",
]
