"""Numbers to pictures: charts and sheets of pictures as PNG bytes, networks as SVG."""

from .architecture import Volume, architecture
from .confusion import confusion
from .curves import curves
from .sheet import overview, sheet

__all__ = ["Volume", "architecture", "confusion", "curves", "overview", "sheet"]
