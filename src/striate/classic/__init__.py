"""Hand-made features: detectors of lines, edges and blobs, and the maps that they give."""

from .detectors import DETECTORS, Filter, blob, find, gabor, line, named, sobel
from .maps import Response, Sliding, feature_map, look, matches, volume
from .studio import draw, read
from .toy import toy

__all__ = [
    "DETECTORS",
    "Filter",
    "Response",
    "Sliding",
    "blob",
    "draw",
    "feature_map",
    "find",
    "gabor",
    "line",
    "look",
    "matches",
    "named",
    "read",
    "sobel",
    "toy",
    "volume",
]
