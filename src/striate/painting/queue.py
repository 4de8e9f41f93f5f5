"""Paintings from files into files: a photograph, a folder of them, one again, one resumed."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from striate.errors import DataError, UsageError
from striate.images import PictureError, decode, is_picture
from striate.wording import counted

from . import record, tasks
from .networks.protocol import Network
from .record import StyleFile, Work
from .settings import Budget, from_table
from .tasks import Event, Note, Task

Styles = Path | str | StyleFile | Sequence[Path | str | StyleFile]


@dataclasses.dataclass(frozen=True)
class Means:
    """What each painting may cost, what it runs on, and what is kept of it."""

    seconds: float | None = None  # until its file is written
    memory: int | None = None  # in bytes
    device: str = "auto"
    trust_code: bool = False  # execute code that a run named as `model` carries
    preview: bool = False  # write the picture every two seconds
    embed: bool = False  # put the pictures' bytes into the PNG
    since: float | None = None  # time.monotonic() from which the seconds count; None: the start
    poll: Callable[[], None] = lambda: None  # asked after each step; what it raises ends the work

    @property
    def budget(self) -> Budget:
        """The limits of a painting."""
        return Budget(self.seconds, self.memory)


def paint_file(
    content: Path | str,
    styles: Styles,
    out: Path | str,
    *,
    weights: Path | str | None = None,
    means: Means = Means(),
    **choices: Any,
) -> Iterator[Event]:
    """Paint a photograph like one or more styles into a PNG; yields Started, frames, Painted.

    `choices` are fields of painting's Settings. `weights` is a file of the network's weights;
    without one they are the published ones. Where `means.poll` raises Stopped, the picture so far
    is written, with what `resume` needs.
    """
    work = _work(content, styles, weights, choices)
    return _carried_out(iter([_task(work, Path(out), means)]), means)


def paint_folder(
    folder: Path | str,
    styles: Styles,
    out: Path | str,
    *,
    weights: Path | str | None = None,
    means: Means = Means(),
    **choices: Any,
) -> Iterator[Event]:
    """Paint each photograph of a folder into a folder, as `paint_file` does, one after another.

    What is finished with the same settings is skipped, what was begun is continued, and a file that
    is no picture, for all its name, is left out: a Note says so.
    """
    return _queue(_work(folder, styles, weights, choices), Path(out), means)


def paint_again(
    painting: Path | str, out: Path | str, *, means: Means = Means()
) -> Iterator[Event]:
    """Paint what a painting was made from once more, by its record, with as many steps."""
    path = Path(painting)
    document = record.read_png(path)
    work = record.work_of(document, path.parent)
    task = _task(work, Path(out), means, replay=record.stages_of(document))
    return _carried_out(iter([task]), means)


def resume(
    painting: Path | str, out: Path | str | None = None, *, means: Means = Means()
) -> Iterator[Event]:
    """Continue a painting that was stopped, in its own file or another."""
    path = Path(painting)
    document, begun = record.read_resume(path)
    work = record.work_of(document, path.parent)
    return _carried_out(iter([_task(work, Path(out or path), means, begun=begun)]), means)


def _work(
    content: Path | str, styles: Styles, weights: Path | str | None, choices: dict[str, Any]
) -> Work:
    several = [styles] if isinstance(styles, Path | str | StyleFile) else styles
    files = tuple(one if isinstance(one, StyleFile) else StyleFile(Path(one)) for one in several)
    return Work(Path(content), files, from_table(choices), Path(weights) if weights else None)


def _task(work: Work, out: Path, means: Means, **how: Any) -> Task:
    since = time.monotonic() if means.since is None else means.since
    return Task(
        work, out, means.budget, preview=means.preview, embed=means.embed, since=since, **how
    )


def _carried_out(waiting: Iterator[Task | Note], means: Means) -> Iterator[Event]:
    """Carry out tasks one after another, with a network that is loaded once."""
    network: Network | None = None
    for task in waiting:
        if isinstance(task, Note):
            yield task
            continue
        task.check()
        network = network or tasks.network(task.work, means.device, trust_code=means.trust_code)
        yield from tasks.carry_out(task, network, poll=means.poll)


def _queue(work: Work, out: Path, means: Means) -> Iterator[Event]:
    pictures = _pictures(work.content, out)
    return _carried_out(_waiting(work, pictures, out, means), means)


def _waiting(
    work: Work, pictures: Sequence[Path], out: Path, means: Means
) -> Iterator[Task | Note]:
    """Yield a task for each picture that is not done; one that was begun is continued."""
    unreadable = 0
    for path in pictures:
        one = dataclasses.replace(work, content=path)
        target = out / f"{path.name}.png"
        # Each has its own time; so reading what was begun counts as well.
        own = dataclasses.replace(means, since=None)
        task = _task(one, target, own)
        if record.is_done(one, target):
            yield Note(f"{target} is there already")
            continue
        try:
            decode(path)
        except PictureError as error:
            yield Note(f"left out: {error}")
            unreadable += 1
            continue
        yield dataclasses.replace(task, begun=record.begun(one, target))
    if unreadable == len(pictures):
        raise DataError(f"none of the pictures in {work.content} could be read")
    if unreadable:
        yield Note(f"left out: {unreadable:,} of {counted(len(pictures), 'pictures')}")


def _pictures(folder: Path, out: Path) -> list[Path]:
    """List a folder's pictures, whose paintings go to another folder."""
    if out.is_file() or (out.suffix.lower() == ".png" and not out.is_dir()):
        raise UsageError(f"{folder} is a folder: -o names a folder as well, not {out}")
    if out.resolve() == folder.resolve():
        raise UsageError(f"-o is the folder of the photographs, {out}: name another")
    pictures = sorted(path for path in folder.iterdir() if is_picture(path))
    if not pictures:
        raise DataError(f"{folder} holds no pictures")
    return pictures
