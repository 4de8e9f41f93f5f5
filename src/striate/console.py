"""Lines and tables as wide as the terminal, and work under way; plain text where there is none."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

from striate.wording import counted, duration, printable

GAP = 2  # blanks between two columns
LONG = 32  # letters of a word that is shortened before other columns are broken into lines
SHORTEST = 12  # letters that are left of a shortened word
TIME, NUMBERS = 11, 48  # columns of a bar for its time, and of all beside its words
# A word with the blanks before it; a figure and its unit are one.
WORD = re.compile(r" *[^ ]+(?:(?<=\d) (?:%|s|min|h)(?![^\W_])[^ ]*)?")


class Reading(Protocol):
    """How far the reading of some examples has come."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def work(self) -> str: ...


Watch = Callable[[Reading], None]


def say(line: str) -> None:
    """Write a line of progress: stdout is for results."""
    sys.stderr.write(_lines(line, sys.stderr) + "\n")
    sys.stderr.flush()


def tell(line: str) -> None:
    """Write a line of results."""
    print(_lines(line, sys.stdout))


def stopping(when: str = "") -> Callable[[bool], None]:
    """Make the answer to a signal to stop: said at once, though the stop comes a little later."""

    def answer(again: bool) -> None:
        if again:  # whatever is drawn stays, and the shell goes on below it
            sys.stderr.write("\n")
            sys.stderr.flush()
        else:
            say(f"stopping {when}; press again to stop now".replace(" ;", ";"))

    return answer


def plain(text: str) -> Text:
    """Hand a text to rich as it is: what is in brackets is no markup, and nothing steers."""
    return Text("\n".join(map(printable, text.split("\n"))))


def is_plain() -> bool:
    """Tell whether stderr is no terminal that can be drawn on."""
    dumb = os.environ.get("TERM") == "dumb"
    return bool(not sys.stderr.isatty() or os.environ.get("NO_COLOR") or dumb)


def width() -> int:
    """Count the letters of a line on the terminal that stderr is."""
    return Console(stderr=True).width


def wrapped(line: str, room: int, indent: str = "  ") -> str:
    r"""Break a line between words only, and not between a figure and its unit.

    >>> wrapped("accuracy 92.80 % on a/long/path", 20)
    'accuracy 92.80 % on\n  a/long/path'
    """
    lines = [""]
    for word in WORD.findall(line):
        if lines[-1].strip() and cell_len(lines[-1] + word) > room:
            lines.append(indent + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout; on no terminal it is as wide as it needs to be.

    A terminal that is too narrow for it is given it in parts, each with the first column.
    """
    cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    numeric = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(headings))]
    parts = _parts(cells, numeric, console.width) if sys.stdout.isatty() else [(cells, numeric)]
    for number, part in enumerate(parts):
        if number:
            print()
        _print_part(console, *part)


def _print_part(console: Console, cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for heading, is_number in zip(cells[0], numeric, strict=True):
        drawn.add_column(
            plain(heading),
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="crop",
        )
    for row in cells[1:]:
        drawn.add_row(*map(plain, row))
    if sys.stdout.isatty():
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(row.rstrip() for row in captured.get().splitlines()))


@contextlib.contextmanager
def working(what: str) -> Iterator[Watch]:
    """Show on a terminal that work is under way, and how far, if its reading is watched."""
    if is_plain():
        yield lambda _: None
        return
    bar = Strip(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[numbers]}", markup=False),
        Elapsed(table_column=Column(no_wrap=True, min_width=TIME)),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
    words = shortened(what, max(SHORTEST, width() - NUMBERS))
    task = bar.add_task(words, total=None, numbers="")

    def watch(reading: Reading) -> None:
        numbers = f"{reading.done:,} of {counted(reading.total, reading.kind)}"
        bar.update(task, total=reading.total, completed=reading.done, numbers=numbers)

    bar.begin()
    try:
        yield watch
    finally:
        bar.stop()


class Narrower(NamedTuple):
    """What is drawn with some columns left free at its right."""

    drawn: RenderableType
    columns: int

    def __rich_console__(self, screen: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, options.max_width - self.columns)
        yield from screen.render(self.drawn, options.update_width(room))


class Strip(Progress):
    """A bar that leaves columns free at its right, where a terminal echoes Ctrl-C.

    An echo that went on to the next line would leave the bar behind, drawn twice.
    """

    def get_renderables(self) -> Iterator[RenderableType]:
        """Draw the bar."""
        yield Narrower(self.make_tasks_table(self.tasks), len("^C^C "))

    def begin(self) -> None:
        """Take the terminal; the cursor stays, as a process that is killed cannot bring it back."""
        self.start()
        self.console.show_cursor(True)


class Elapsed(ProgressColumn):
    """The time since a task's start."""

    def render(self, task: Task) -> Text:
        """Write it."""
        return Text(duration(task.elapsed or 0))


def _lines(line: str, stream: TextIO) -> str:
    line = printable(line)
    if not stream.isatty():
        return line
    return wrapped(line, Console(file=stream).width)


Part = tuple[Sequence[Sequence[str]], Sequence[bool]]  # cells, and which columns are of numbers


def _parts(cells: Sequence[Sequence[str]], numeric: Sequence[bool], room: int) -> list[Part]:
    """Return a table whole where it fits, else in parts, each with the first column."""
    for count in range(len(numeric), 0, -1):
        fitted = _fitted([row[:count] for row in cells], numeric[:count], room)
        if fitted is not None or count <= 2:
            break
    part = fitted or [[_cell(cell, room // 2) for cell in row[:count]] for row in cells]
    rest = [[*row[:1], *row[count:]] for row in cells]
    others = _parts(rest, [*numeric[:1], *numeric[count:]], room) if count < len(numeric) else []
    return [(part, numeric[:count]), *others]


def _fitted(
    cells: Sequence[Sequence[str]], numeric: Sequence[bool], room: int
) -> list[list[str]] | None:
    """Shorten very long words, break cells between words, then shorten more, until columns fit.

    None where they do not, or where two rows or columns would have one name.
    """
    columns = list(zip(*cells, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    excess = sum(widths) + GAP * len(widths) - room
    words = [
        max(cell_len(word.strip()) for cell in column for word in [*WORD.findall(cell), ""])
        for column in columns
    ]
    for shortest in (LONG, SHORTEST):
        least = [min(shortest, word) for word in words]
        while excess > 0:
            free = [
                (widths[i] - least[i], i)
                for i in range(len(widths))
                if not numeric[i] and widths[i] > least[i]
            ]
            if not free:
                break
            widths[max(free)[1]] -= 1
            excess -= 1
    found = [
        [
            cell if is_number else _cell(cell, most)
            for cell, most, is_number in zip(row, widths, numeric, strict=True)
        ]
        for row in cells
    ]
    before, after = ([list(table[0]), [row[0] for row in table]] for table in (cells, found))
    alike = any(len(set(a)) < len(set(b)) for a, b in zip(after, before, strict=True))
    return None if excess > 0 or alike else found


def _cell(text: str, room: int) -> str:
    if cell_len(text) <= room:
        return text
    short = re.sub(r"\S+", lambda word: shortened(word[0], room), text)
    return wrapped(short, room, indent="")


def shortened(word: str, room: int) -> str:
    """Leave out the middle of a word that is too long.

    >>> shortened("photos/winter/house-1.png", 14)
    'phot…use-1.png'
    """
    if cell_len(word) <= room:
        return word
    head = (room - 1) // 3
    tail = room - 1 - head
    return f"{set_cell_size(word, head)}…{set_cell_size(word[::-1], tail)[::-1]}"


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").rstrip("% *").replace(".", "", 1).isdigit()
