"""Numbers to pictures: charts and sheets of pictures as PNG bytes, networks as SVG."""

from .architecture import Volume, architecture
from .arcs import Sum
from .atlas import Mapped, atlas
from .boxes import SHOWN, Box, Part, boxes, features
from .charts import Bar, Bars, Lines, Panel, Points, charts
from .charts import Line as ChartLine
from .confusion import confusion
from .curves import curves
from .looked import looked
from .maps import Row as MapRow
from .maps import Slide as MapSlide
from .maps import box_side, maps
from .raterange import rate_range
from .rates import rates
from .sheet import Caption, Columns, Fitted, Line, mistake, overview, sheet
from .shifts import shifts

__all__ = [
    "SHOWN",
    "Bar",
    "Bars",
    "Box",
    "Caption",
    "ChartLine",
    "Columns",
    "Fitted",
    "Line",
    "Lines",
    "MapRow",
    "MapSlide",
    "Mapped",
    "Panel",
    "Part",
    "Points",
    "Sum",
    "Volume",
    "architecture",
    "atlas",
    "box_side",
    "boxes",
    "charts",
    "confusion",
    "curves",
    "features",
    "looked",
    "maps",
    "mistake",
    "overview",
    "rate_range",
    "rates",
    "sheet",
    "shifts",
]
