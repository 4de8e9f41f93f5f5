"""Looks at data before a network does: what is there, what is damaged, what is there twice."""

from .clean import Cleaned, clean
from .duplicates import Pair, near
from .leaks import Leak, leak_line, leaks
from .report import Report, inspect

__all__ = ["Cleaned", "Leak", "Pair", "Report", "clean", "inspect", "leak_line", "leaks", "near"]
