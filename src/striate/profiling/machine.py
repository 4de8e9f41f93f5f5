"""What the machine can do, measured: products of matrices a second; the memory that was taken."""

import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from striate import devices
from striate.processors import return_memory

# The sides of square matrices: many small products find a moment in which nothing else runs, large
# ones fill many processors.
SIDES = {"cpu": (1024, 1536), "cuda": (4096, 8192), "mps": (2048, 4096)}
ROUNDS, SECONDS = 20, 0.3  # at most so many products of a side, for at most so long; three at least


def product_rates(device: torch.device) -> dict[str, float]:
    """Measure FLOP/s of a product of matrices, by the precision: the best of several.

    With the threads that torch has now. TensorFloat-32 is what convolutions in float32 are
    computed in on a GPU, unless that is switched off.
    """
    found = {"float32": _rate(device, torch.float32)}
    if device.type == "cuda":
        found["tf32"] = _in_tf32(device)
    if device.type == "cuda" or devices.multiplies_bfloat16(device):
        found["bfloat16"] = _rate(device, torch.bfloat16)
    return found


def _in_tf32(device: torch.device) -> float:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return _rate(device, torch.float32)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _rate(device: torch.device, kind: torch.dtype) -> float:
    return max(_rate_at(side, device, kind) for side in SIDES[device.type])


def _rate_at(side: int, device: torch.device, kind: torch.dtype) -> float:
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    out = torch.empty_like(left)
    torch.mm(left, right, out=out)
    least, begun = float("inf"), time.perf_counter()
    for number in range(ROUNDS):
        if number >= 3 and time.perf_counter() - begun > SECONDS:
            break
        least = min(least, _seconds(device, left, right, out))
    return 2 * side**3 / least


def _seconds(
    device: torch.device, left: torch.Tensor, right: torch.Tensor, out: torch.Tensor
) -> float:
    _wait(device)
    begun = time.perf_counter()
    torch.mm(left, right, out=out)
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Taken(NamedTuple):
    """Memory, in bytes."""

    peak: int  # of the process (resident), or of the device (allocated)
    step: int | None  # what the network and its steps took of it; None: it cannot be told here
    how: str


class MemoryWatch:
    """The most memory that steps take, with all that is kept between them; else nothing."""

    def __init__(self, device: torch.device, *, kept: int, pixels: int) -> None:
        """Begin to look. Weights and the optimiser's state are `kept`, `pixels` on the device."""
        self._device, self._kept, self._pixels = device, kept, pixels
        self._before = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif device.type == "cpu":
            self._before = _begin_resident()

    def taken(self) -> Taken:
        """Tell what was taken since."""
        if self._device.type == "cuda":
            peak = int(torch.cuda.max_memory_allocated(self._device))
            return Taken(peak, peak - self._pixels, "allocated on the GPU")
        if self._device.type == "cpu" and self._before:
            peak = _of_status("VmHWM")
            return Taken(peak, peak - self._before + self._kept, "resident")
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = most if sys.platform == "darwin" else 1024 * most  # kilobytes on Linux
        return Taken(peak, None, "resident, of the whole process")


def _begin_resident() -> int:
    """Set this process's peak to what it holds now, and return that; 0 where Linux does not."""
    try:
        return_memory()  # or steps would take it again unseen
        Path("/proc/self/clear_refs").write_text("5")
        return _of_status("VmRSS")
    except OSError:  # no Linux, or not allowed in here
        return 0


def _of_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    known = dict(line.split(":", 1) for line in lines)
    return 1024 * int(known[name].split()[0])
