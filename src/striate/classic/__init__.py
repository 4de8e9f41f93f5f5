"""Hand-made features: detectors of lines, edges and blobs, their maps, and faces found by them."""

from .detectors import DETECTORS, Filter, blob, find, gabor, line, named, sobel
from .drawing import draw, read
from .faces import Cascade, train_cascade
from .maps import Response, Sliding, feature_map, look, matches, volume
from .toy import toy

__all__ = [
    "DETECTORS",
    "Cascade",
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
    "train_cascade",
    "volume",
]
