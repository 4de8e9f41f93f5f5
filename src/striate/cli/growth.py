"""Progress of a cascade's training: a line per stage, a moving one on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console

from striate import console
from striate.classic.faces import Boosted, Cascade, Ended, Event, Grown, Noted
from striate.wording import counted, duration, percent


class Growth:
    """Shows the events of a training; a line a stage where there is no terminal."""

    def __init__(self) -> None:
        """Begin with nothing shown."""
        self.status = Console(stderr=True).status("looking for pictures")

    def __enter__(self) -> Self:
        """Take the terminal, where there is one."""
        if not console.is_plain():
            self.status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the terminal."""
        self.status.stop()

    def __call__(self, event: Event | Noted) -> None:
        """Show one event."""
        if isinstance(event, Noted):
            self._line(event.text)
        elif isinstance(event, Grown):
            self._line(stage_line(event.cascade))
        elif isinstance(event, Ended):
            self._line(f"no stage more: {event.reason}")
        elif isinstance(event, Boosted):
            self.status.update(
                f"stage {event.stage}: {counted(event.stumps, 'features')}, "
                f"{percent(event.false_alarms)} of the held-out non-faces pass"
            )
        else:
            self.status.update(
                f"stage {event.stage}: {event.total:,} non-faces among {event.seen:,} windows"
            )

    def _line(self, text: str) -> None:
        if console.is_plain():
            console.say(text)
        else:
            self.status.console.print(console.plain(text), highlight=False)


def stage_line(cascade: Cascade) -> str:
    """Say in a line what the last stage is like."""
    stage = cascade.stages[-1]
    record = stage.record
    return (
        f"stage {len(cascade.stages)}: {counted(len(stage.features), 'features')}, "
        f"{percent(record['detection'])} of held-out faces and {percent(record['false_alarms'])} "
        f"of held-out non-faces pass; {record['others']:,} non-faces of {record['seen']:,} "
        f"windows, {duration(record['seconds'])}"
    )
