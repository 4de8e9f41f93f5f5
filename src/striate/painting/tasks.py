"""One painting from files to a file, which is kept current and can be resumed."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from striate import files
from striate.errors import Stopped, UsageError
from striate.images import decode

from . import record, transfer
from .budgets import memory
from .budgets.memory import Need
from .budgets.pace import Stage
from .networks import loading
from .networks.protocol import Network
from .pictures import canvas
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

    def check(self) -> None:
        """Raise UsageError or DataError for what can be seen before a network is loaded."""
        if self.out.suffix.lower() != ".png":
            raise UsageError(f"-o is a .png file, not {self.out}")
        self.work.check()


class Started(NamedTuple):
    """A painting begins: the file that it will be, how it is run, the seconds that it may take."""

    out: Path
    need: Need
    seconds: float | None


class Painted(NamedTuple):
    """A painting is finished, and its file written."""

    out: Path
    frame: Frame  # the last one
    seconds: float


class Note(NamedTuple):
    """What is to be said beside the paintings, as of a picture that was left out."""

    text: str


Event = Started | Frame | Painted | Note


def network(work: Work, device: str = "auto", *, trust_code: bool = False) -> Network:
    """Load the network that a work is painted with, onto the device."""
    return loading.ready(work.settings, work.weights, device=device, trust_code=trust_code)


def need(work: Work, network: Network, budget: Budget) -> Need:
    """Predict the memory that a work takes at its peak, and choose how its last level is run."""
    content, _ = _opened(work)
    settings = work.settings
    last, *before = [
        memory.fit(transfer.ends(content, side), network, settings, budget.memory)
        for side in reversed(canvas.levels(settings.size))
    ]
    # A level before may take more: the last has smaller tiles, where that is what fits.
    return last._replace(bytes=max(level.bytes for level in [last, *before]))


def carry_out(
    task: Task, network: Network, *, poll: Callable[[], None] = lambda: None
) -> Iterator[Event]:
    """Paint and write the file; yields Started, the frames, and Painted."""
    yield Started(task.out, need(task.work, network, task.budget), task.budget.seconds)
    frame = None
    for frame in frames(task, network, poll=poll):
        yield frame
    assert frame is not None, "a painting has a first frame"
    yield Painted(task.out, frame, time.monotonic() - task.since)


def frames(
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
    painted = transfer.frames(
        content, styles, network, task.work.settings, pace=pace, begun=task.begun
    )
    # The first preview comes at once.
    frame, written = None, -math.inf
    try:
        for frame in painted:
            yield frame
            poll()
            if task.preview and time.monotonic() - written >= PREVIEW_SECONDS:
                save(task, frame, finished=False)
                written = time.monotonic()
    except Stopped as stop:
        raise _saved(task, frame, stop) from None
    assert frame is not None
    save(task, frame, finished=True)
    files.remove(record.resume_path(task.out))


def save(task: Task, frame: Frame, *, finished: bool) -> dict[str, object]:
    """Write the picture with its record; return that."""
    document = record.describe(task.work, frame, finished=finished, embed=task.embed and finished)
    files.write(task.out, record.to_png(canvas.image(frame.picture), document))
    return document


def _saved(task: Task, frame: Frame | None, stop: Stopped) -> Stopped:
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
