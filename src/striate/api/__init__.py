"""What Python users hold: train(), load(), and a Run with its methods."""

from .looking import atlas, embed, inspect, preview
from .run import Run, load
from .training import plan, train
from .trying import find_rate, profile

__all__ = [
    "Run",
    "atlas",
    "embed",
    "find_rate",
    "inspect",
    "load",
    "plan",
    "preview",
    "profile",
    "train",
]
