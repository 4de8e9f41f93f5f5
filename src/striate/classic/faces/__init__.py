"""Finding faces: Viola and Jones' cascade, and a trained network, at every place and size."""

from .cascade import Cascade, Stage, depth, windows_of
from .cascadefile import load, save, shipped
from .detection import Choices, boxes, detect, find
from .merging import Found, merge
from .scanning import count
from .tasks import Noted, draw_features, train_cascade
from .training import Boosted, Ended, Event, Grown, Settings, grow

__all__ = [
    "Boosted",
    "Cascade",
    "Choices",
    "Ended",
    "Event",
    "Found",
    "Grown",
    "Noted",
    "Settings",
    "Stage",
    "boxes",
    "count",
    "depth",
    "detect",
    "draw_features",
    "find",
    "grow",
    "load",
    "merge",
    "save",
    "shipped",
    "train_cascade",
    "windows_of",
]
