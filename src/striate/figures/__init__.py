"""Arrays to pictures: every chart and every sheet of pictures is drawn here, as PNG bytes."""

from .confusion import confusion
from .curves import curves
from .sheet import overview, sheet

__all__ = ["confusion", "curves", "overview", "sheet"]
