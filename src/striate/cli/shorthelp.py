"""Help of a command with many flags: usual ones explained, others named; or all explained."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

from attrs import evolve
from cyclopts import App
from cyclopts.help import DefaultFormatter, HelpPanel

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

_EXPLAINED: ContextVar[bool] = ContextVar("_EXPLAINED", default=False)


class Named(DefaultFormatter):
    """Names the flags of a group in as few lines as they take."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: HelpPanel) -> None:
        """Print a group of flags, with their help where all are to be explained."""
        if _EXPLAINED.get():
            super().__call__(console, options, panel)
            return
        from rich.box import ROUNDED
        from rich.panel import Panel
        from rich.text import Text

        names = Text("  ").join(Text(entry.positive_names[0], "cyan") for entry in panel.entries)
        console.print(Panel(names, box=ROUNDED, title=f"{panel.title}", title_align="left"))


class Short(DefaultFormatter):
    """Explains flags, without the --no- that turns one off where the others are only named."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: HelpPanel) -> None:
        """Print a group of flags."""
        if not _EXPLAINED.get():
            entries = [evolve(entry, negative_names=()) for entry in panel.entries]
            panel = panel.copy(entries=entries)
        super().__call__(console, options, panel)


def print_all(app: App, tokens: list[str], console: "Console | None" = None) -> None:
    """Print the help of a command with every flag explained."""
    token = _EXPLAINED.set(True)
    try:
        app.help_print(tokens, console=console)
    finally:
        _EXPLAINED.reset(token)
