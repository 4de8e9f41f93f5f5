"""Painting from files: opens them, paints, and keeps the file of the result current."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from striate import files
from striate.errors import Stopped
from striate.images import decode

from . import canvas, memory, networks, record, transfer
from .backbone import Network
from .pace import Stage
from .record import Work
from .settings import Budget
from .transfer import Begun, Frame

# Between two writes of a picture that is still being painted.
PREVIEW_SECONDS = 2.0


@dataclass(frozen=True)
class Task:
    """A work, where it goes, what it may cost, and how it is kept."""

    work: Work
    out: Path
    budget: Budget
    begun: Begun | None = None
    replay: tuple[Stage, ...] | None = None
    preview: bool = False
    embed: bool = False
    since: float = field(default_factory=time.monotonic)  # from here the budget counts


def network(work: Work, device: str = "auto", *, trust_code: bool = False) -> Network:
    """Load the network that a work is painted with, onto the device."""
    return networks.ready(work.settings, work.weights, device=device, trust_code=trust_code)


def need(work: Work, network: Network, budget: Budget) -> memory.Need:
    """Give the memory that a work will take at its peak, and how its last level is run."""
    content, _ = _opened(work)
    settings = work.settings
    last, *before = [
        memory.fit(transfer.ends(content, side), network, settings, budget.memory)
        for side in reversed(canvas.levels(settings.size))
    ]
    # A level before may take more: the last has smaller tiles, where that is what fits.
    return last._replace(bytes=max(level.bytes for level in [last, *before]))


def run(
    task: Task, network: Network, *, poll: Callable[[], None] = lambda: None
) -> Iterator[Frame]:
    """Paint and write the file; where `poll` raises Stopped, leave what resumes the work."""
    content, styles = _opened(task.work)
    pace = transfer.paced(
        content,
        task.work.settings,
        task.budget,
        since=task.since,
        replay=task.replay,
        before=len(task.begun.stages) if task.begun else 0,
    )
    frames = transfer.paint(
        content, styles, network, task.work.settings, pace=pace, begun=task.begun
    )
    # The first preview comes at once.
    frame, written = None, -math.inf
    try:
        for frame in frames:
            yield frame
            poll()
            if task.preview and time.monotonic() - written >= PREVIEW_SECONDS:
                save(task, frame, finished=False)
                written = time.monotonic()
    except Stopped as stop:
        raise _kept(task, frame, stop) from None
    assert frame is not None
    save(task, frame, finished=True)
    files.remove(task.out.with_name(task.out.name + record.RESUME))


def save(task: Task, frame: Frame, *, finished: bool) -> dict[str, object]:
    """Write the picture with its record, and give that."""
    document = record.describe(task.work, frame, finished=finished, embed=task.embed and finished)
    files.write(task.out, record.to_png(canvas.image(frame.picture), document))
    return document


def _kept(task: Task, frame: Frame | None, stop: Stopped) -> Stopped:
    if frame is None:
        return Stopped("stopped before there was anything to keep", stop.signal)
    document = save(task, frame, finished=False)
    record.write_resume(task.out, frame, document)
    return Stopped(
        f"stopped, the picture so far is {task.out}: continue with "
        f"`striate paint --resume {task.out}`",
        stop.signal,
    )


def _opened(work: Work) -> tuple[Image.Image, list[canvas.Style]]:
    """Decode the files of a work, each once."""
    decoded = {path: decode(work.read(path), name=str(path)) for path in work.paths}
    pictures = {path: Image.fromarray(pixels) for path, pixels in decoded.items()}
    styles = [
        canvas.Style(pictures[s.path], s.share, pictures[s.mask] if s.mask else None)
        for s in work.styles
    ]
    return pictures[work.content], styles
