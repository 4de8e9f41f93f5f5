"""The tables of `striate profile`: phases, layers, the machine, and what to change first."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from striate import console
from striate.description.numbers import short, size
from striate.profiling import LayerTime, Profile
from striate.wording import counted, duration, percent

SHOWN = 20  # layers, of those with this share of the passes
LEAST = 0.001
WIDTH = 80  # where there is no terminal
NAME, KIND = 24, 18  # letters at most
BAR = 24  # letters


def show(found: Profile) -> None:
    """Print where the time of a step goes."""
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen = Console(highlight=False, width=WIDTH)
    with screen.capture() as captured:
        for part in _parts(found):
            screen.print(part)
    # Without the spaces that fill each line up.
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _parts(found: Profile) -> Iterable[Table | Text]:
    yield _heading(found)
    yield console.plain("")
    yield _phases(found)
    yield console.plain("")
    yield _layers(found)
    yield console.plain("")
    for line in (*summary(found), *found.notes):
        yield console.plain(line)
    yield console.plain("")
    yield Text("What to change first", style="bold")
    for number, advice in enumerate(found.advice, 1):
        yield _numbered(number, advice.line)


def _heading(found: Profile) -> Text:
    shape = "x".join(map(str, found.shape))
    rest = (
        f" on {found.data}, {shape}, {counted(found.step_size, found.kind)} a step; {found.device}"
    )
    return Text.assemble((found.model, "bold"), console.plain(rest))


def milliseconds(seconds: float) -> str:
    """Write a short time in milliseconds.

    >>> milliseconds(0.0123), milliseconds(1.5), milliseconds(0.00004)
    ('12.30', '1,500', '0.04')
    """
    number = 1000 * seconds
    return f"{number:,.0f}" if number >= 1000 else f"{number:.{1 if number >= 100 else 2}f}"


def _phases(found: Profile) -> Table:
    table = _table("of a step", "ms", "share", "")
    most = max(phase.share for phase in found.phases)
    for phase in found.phases:
        bar = Text("█" * round(BAR * phase.share / most), "cyan")
        cells = (phase.name, milliseconds(phase.seconds), percent(phase.share, 1))
        table.add_row(*map(console.plain, cells), bar)
    spread = f"{milliseconds(found.fastest)} to {milliseconds(found.slowest)} ms"
    whole = (f"mean of {counted(found.steps, 'steps')}", milliseconds(found.seconds))
    table.add_row(*map(console.plain, (*whole, percent(1.0, 1), spread)), style="bold")
    return table


def _layers(found: Profile) -> Table:
    table = _table("layer", "kind", "forward", "backward", "share", "GFLOP/s", "of peak")
    table.columns[1].justify = "left"
    shown = [layer for layer in found.layers[:SHOWN] if layer.share >= LEAST]
    for layer in shown:
        table.add_row(*map(console.plain, _cells(layer)), style="" if layer.flop else "dim")
    if rest := found.layers[len(shown) :]:
        sums = [sum(one) for one in zip(*(layer[2:5] for layer in rest), strict=True)]
        name = f"{counted(len(rest), 'more layers')}"
        cells = (name, "", *map(milliseconds, sums[:2]), percent(sums[2], 1), "", "")
        table.add_row(*map(console.plain, cells), style="dim")
    return table


def _cells(layer: LayerTime) -> Sequence[str]:
    return (
        layer.name if len(layer.name) <= NAME else f"…{layer.name[1 - NAME :]}",
        layer.kind if len(layer.kind) <= KIND else f"{layer.kind[: KIND - 1]}…",
        milliseconds(layer.forward),
        milliseconds(layer.backward),
        percent(layer.share, 1),
        f"{layer.rate / 1e9:,.1f}" if layer.flop else "",
        "" if layer.of_peak is None else percent(layer.of_peak, 0),
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        left = not place or not heading
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    return table


def summary(found: Profile) -> list[str]:
    """Return lines about rates, the machine and memory."""
    passes = ", ".join(milliseconds(seconds) for seconds in found.layer_passes)
    lines = [
        f"{found.rate:,.1f} {found.kind} a second; by layer in "
        f"{counted(found.layer_steps, 'more steps')}, whose passes took {passes} ms with the marks",
    ]
    peak = " and ".join(f"{short(rate)}FLOP/s in {name}" for name, rate in found.peak.items())
    reached = ""
    if found.flops is not None and found.of_peak is not None:
        reached = f"; a whole step reaches {short(found.flops)}FLOP/s, {percent(found.of_peak, 0)}"
        reached += f" of that in {found.beside}" if len(found.peak) > 1 else " of that"
    lines.append(f"this machine's product of matrices: {peak}{reached}")
    lines.append(_memory(found))
    read = f"reading the {found.kind}, once a training, took {duration(found.reading_seconds)}"
    return [*lines, read]


def _memory(found: Profile) -> str:
    memory = found.memory
    said = f"memory: {size(memory.peak)} at most ({memory.how})"
    if memory.step is not None:
        said += f", of them {size(memory.step)} for the network and its step"
    if memory.predicted is not None:
        said += f"; predicted {size(memory.predicted)}"
    return said if memory.ratio is None else f"{said} (measured over predicted: {memory.ratio:.2f})"


def _numbered(number: int, line: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(console.plain(f"{number}."), console.plain(line))
    return grid
