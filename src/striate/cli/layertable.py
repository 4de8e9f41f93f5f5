"""The table of `striate describe`: as wide as the terminal allows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from striate import console
from striate.description import Description, Memory, Row
from striate.description.numbers import short, size
from striate.wording import counted, percent

WIDE = 118  # letters a line from which every number is shown
PIPED = 160


class Column(NamedTuple):
    """A column: its heading, what it shows of a row, and whether it needs a wide terminal."""

    heading: str
    show: Callable[[Row], str]
    wide: bool = False
    left: bool = False


def show(found: Description) -> None:
    """Print the layers, their sums, and the memory that a step takes."""
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen = Console(highlight=False, width=PIPED)
    parts = [
        _heading(found),
        "",
        _layers(found, screen.width),
        "",
        *map(console.plain, _sums(found)),
        "",
    ]
    if screen.is_terminal:
        screen.print(*parts, _memory(found), sep="\n")
    else:  # without the spaces that fill each line up
        with screen.capture() as captured:
            screen.print(*parts, _memory(found), sep="\n")
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    if found.untrainable:
        print(f"no step of training: {found.untrainable}")


def _heading(found: Description) -> Text:
    batch = counted(found.batch, "pictures")
    return Text.assemble(
        (found.model, "bold"),
        f"  {volume(found.size)}  {batch}, {counted(len(found.layers), 'rows')}",
    )


COLUMNS = (
    Column("layer", lambda row: row.name, left=True),
    Column("kind", lambda row: row.kind, left=True),
    Column("input", lambda row: volume(row.input), wide=True),
    Column("output", lambda row: volume(row.output)),
    Column("window", lambda row: window(row), left=True),
    Column("weights", lambda row: short(row.parameters)),
    Column("mult-adds", lambda row: short(row.multiply_adds)),
    Column("memory", lambda row: size(row.activation_bytes)),
    Column("kept", lambda row: size(row.kept_bytes or 0), wide=True),
    Column("field", lambda row: field(row)),
)


def _layers(found: Description, width: int) -> Table:
    wide = width >= WIDE
    gap = 2 if wide else 1
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    chosen = [column for column in COLUMNS if wide or not column.wide]
    for column in chosen:
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
    if wide:
        table.add_column("share of mult-adds", no_wrap=True)
    most = max(row.multiply_adds for row in found.layers) or 1
    total = sum(row.multiply_adds for row in found.layers) or 1
    cells = [[column.show(row) for column in chosen] for row in found.layers]
    headings = [column.heading for column in chosen]
    _fit(cells, headings, width - gap * len(chosen) - (20 if wide else 0))
    for row, texts in zip(found.layers, cells, strict=True):
        style = "" if row.parameters or row.kind == "Input" else "dim"
        bar = [_bar(row.multiply_adds / most, row.multiply_adds / total)] if wide else []
        table.add_row(*map(console.plain, texts), *bar, style=style)
    return table


def _fit(cells: list[list[str]], headings: Sequence[str], room: int) -> None:
    """Shorten kinds at their end, then names at their beginning, never numbers."""
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    excess = sum(widths) - room
    for place, least in ((1, 9), (0, 12)):
        new = max(least, widths[place] - max(excess, 0))
        excess -= max(0, widths[place] - new)
        for row in cells:
            if len(row[place]) > new:
                text = row[place]
                row[place] = f"{text[: new - 1]}…" if place else f"…{text[1 - new :]}"


def _bar(length: float, share: float) -> Text:
    """Draw a share as a bar of eighths of a letter."""
    if not share:
        return Text("")
    eighths = max(1, round(length * 8 * 10))
    blocks = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return Text.assemble((f"{blocks:<10}", "cyan"), f" {percent(share, 1):>7}")


def _sums(found: Description) -> list[str]:
    totals = found.totals
    unused = f", {found.unused_parameters:,} of them unused" if found.unused_parameters else ""
    work = totals["multiply_adds"] or 0
    made, apart, kept = (totals[f"{name}_bytes"] for name in ("activation", "output", "kept"))
    lines = [
        f"{totals['parameters']:,} parameters{unused}",
        f"{work:,} multiply-adds, {short(work, 4) or 0}",
        f"{size(made, 4)} of activations; {size(apart, 4)} with every layer's output apart",
    ]
    return lines if kept is None else [*lines, f"{size(kept, 4)} kept for the backward pass"]


def _memory(found: Description) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    headings = ("memory", "weights", "kept", "gradients", found.optimiser, "to answer", "to train")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for name, memory in found.memory.items():
        table.add_row(console.plain(name), *(size(value) for value in _parts(memory)))
    return table


def _parts(memory: Memory) -> Sequence[int | None]:
    return (
        memory.weights,
        memory.kept,
        memory.gradients,
        memory.optimiser,
        memory.inference,
        memory.training,
    )


def volume(sizes: Sequence[int]) -> str:
    """Write a volume: 64x56x56."""
    return "x".join(map(str, sizes))


def window(row: Row) -> str:
    """Write kernel, stride (unless 1), padding (unless 0) and dilation (unless 1).

    >>> choices = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    >>> window(Row("a", "Conv2d", (), (), **choices, dilation=(1, 1)))
    '3 /2 +1'
    """
    if row.kernel is None or row.stride is None or row.padding is None or row.dilation is None:
        return ""
    pads = [f"{a}" if a == b else f"{a},{b}" for a, b in row.padding]
    parts = [_same(row.kernel)]
    parts += [f"/{_same(row.stride)}"] if set(row.stride) != {1} else []
    parts += [f"+{_same(pads)}"] if set(pads) != {"0"} else []
    parts += [f"·{_same(row.dilation)}"] if set(row.dilation) != {1} else []
    parts += [f"g{row.groups}"] if (row.groups or 1) > 1 else []
    return " ".join(parts)


def _same(values: Sequence[Any]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def field(row: Row) -> str:
    """Write the receptive field in pixels; "all" is the whole picture."""
    if row.receptive_field is None:
        return ""
    return "all" if row.whole_picture else _same(row.receptive_field)
