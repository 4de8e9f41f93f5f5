"""What Python users hold of several runs: train_group(), sweep(), compare(), and a Group."""

from .comparing import compare, expanded
from .group import Group
from .listing import summaries
from .training import sweep, train_group

__all__ = ["Group", "compare", "expanded", "summaries", "sweep", "train_group"]
