"""How many processors this process may use; no torch is loaded for it."""

import contextlib
import os


def processors() -> int:
    """Count the processors that this process may use."""
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
