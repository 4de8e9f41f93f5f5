"""Networks in exported files, asked without torch: their document, and their answers."""

from .document import FORMAT, KEY, Document, Input
from .network import Exported, load

__all__ = ["FORMAT", "KEY", "Document", "Exported", "Input", "load"]
