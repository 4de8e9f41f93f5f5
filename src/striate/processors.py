"""How many processors and how much memory this process may use; no torch is loaded for it."""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

# Where a container says how much memory it may use: of cgroups version 2, and of version 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def processors() -> int:
    """Count the processors that this process may use: its part, where torchrun started several."""
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, _all() // max(1, int(beside) if beside.isdecimal() else 1))


def _all() -> int:
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Return the machine's memory in bytes, or that of the container where this is less."""
    known = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not in a container, or "max"
            known.append(int(Path(path).read_text()))
    return min(known)


def return_memory() -> None:
    """Give the system back what was freed: glibc keeps what lies between blocks in use."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
            return found
    return lambda _: None
