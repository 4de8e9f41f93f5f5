"""Looks at data before a network does: what is there, what is damaged, what is there twice."""

from .clean import Cleaned, clean
from .duplicates import Pair, near
from .fingerprints import Fingerprints, Gathering, fingerprint_table, fingerprints, from_table
from .leaks import Leak, leak_line, leaks
from .report import Report, inspect
from .seen import Seen, seen, seen_line

__all__ = [
    "Cleaned",
    "Fingerprints",
    "Gathering",
    "Leak",
    "Pair",
    "Report",
    "Seen",
    "clean",
    "fingerprint_table",
    "fingerprints",
    "from_table",
    "inspect",
    "leak_line",
    "leaks",
    "near",
    "seen",
    "seen_line",
]
