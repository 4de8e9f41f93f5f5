"""The run folder and the bundle: the only code that knows their file names."""

from . import bundle, checkpoints, code, folder
from .bundle import Bundle
from .code import Code

__all__ = ["Bundle", "Code", "bundle", "checkpoints", "code", "folder"]
