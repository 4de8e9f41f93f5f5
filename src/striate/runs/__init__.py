"""The run folder and the bundle: the only code that knows their file names."""

from . import bundle, checkpoints, folder
from .bundle import Bundle

__all__ = ["Bundle", "bundle", "checkpoints", "folder"]
