"""Looks at data before a network does: what is there, what is damaged, what is there twice."""

from .duplicates import Pair, near
from .leaks import Leak, leak_line, leaks
from .report import Report, inspect

__all__ = ["Leak", "Pair", "Report", "inspect", "leak_line", "leaks", "near"]
