"""Progress of paintings: a live table on a terminal, lines elsewhere."""

import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from striate import console
from striate.painting.budgets.memory import Need
from striate.painting.tasks import Event, Note, Painted, Started
from striate.painting.transfer import Frame

WIDTH = 24  # of a residual's bar, in letters


def follow(events: Iterable[Event]) -> list[Painted]:
    """Show what happens as it comes, and list what was painted."""
    made = []
    with contextlib.ExitStack() as shown:
        for event in events:
            match event:
                case Note():
                    console.say(event.text)
                case Started():
                    console.say(f"{event.out}: {_told(event.need)}")
                    show = shown.enter_context(Easel(event.out.name, event.seconds))
                case Frame():
                    show(event)
                case Painted():
                    shown.close()
                    made.append(event)
    return made


def _told(need: Need) -> str:
    tiles = f", in tiles of {need.tile} pixels" if need.tile else ""
    return f"will take about {need.bytes / 2**20:.0f} MB of memory{tiles}"


class Easel:
    """Shows frames as they come; a line a level where there is no terminal."""

    def __init__(self, title: str, seconds: float | None) -> None:
        """Begin with the name of what is painted, and the seconds that it may take."""
        self.title, self.seconds = title, seconds
        self.live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
        self.shown: Frame | None = None

    def __enter__(self) -> Self:
        """Take the terminal, where there is one."""
        if not console.is_plain():
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Return the terminal back, the last level's line on it."""
        if not console.is_plain():
            self.live.stop()
        if self.shown is not None:
            console.say(line(self.shown))

    def __call__(self, frame: Frame) -> None:
        """Show a frame."""
        last = self.shown
        if last is not None and last.stages[-1].side != frame.stages[-1].side:
            console.say(line(last))
        self.shown = frame
        if not console.is_plain():
            self.live.update(self._table(frame))

    def _table(self, frame: Frame) -> Group:
        side, steps = frame.stages[-1]
        left = (
            "" if self.seconds is None else f", {max(0, self.seconds - frame.seconds):.0f} s left"
        )
        title = Text(f"{self.title}  {side} of {frame.sides[-1]} pixels, step {steps}{left}")
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, residual in [*frame.style.items(), ("content", frame.content)]:
            filled = "\u2588" * round(WIDTH * min(1.0, residual))
            table.add_row(console.plain(name), f"{residual:.4f}", filled)
        return Group(title, table)


def line(frame: Frame) -> str:
    """Write in a line what a level has reached."""
    side, steps = frame.stages[-1]
    return (
        f"{side} pixels: {steps} steps, style {frame.mean:.4f}, content {frame.content:.3f}, "
        f"{frame.seconds:.1f} s"
    )
