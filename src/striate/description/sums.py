"""Where a network adds branches: from which drawn volume to which, and through what."""

from collections.abc import Iterator, Mapping, Sequence

from striate.figures import Sum

from .rows import Row

MOST = 2  # layers of a shortcut; a longer branch is a line of its own


def sums(rows: Sequence[Row], drawn: Mapping[int, int]) -> Iterator[Sum]:
    """Find the sums of two branches; `drawn` leads from a row to its place among the volumes.

    The branch with fewer volumes is the shortcut: mostly none, or a projection.
    """
    reached: list[int] = []  # by row: a bit for each volume at or before it
    for number, row in enumerate(rows):
        own = 1 << drawn[number] if number in drawn else 0
        for source in row.sources:
            own |= reached[source]
        if row.kind == "add" and len(row.sources) == 2:
            short, long = _branches(*(reached[source] for source in row.sources))
            if own & ~short & ~long and long:
                yield _sum(own & ~short & ~long, short, long)
            own &= ~short  # what follows a sum stands at the end of its longer branch
        reached.append(own)


def _branches(a: int, b: int) -> tuple[int, int]:
    """Return the volumes that only one of two inputs has, the fewer first."""
    short, long = sorted((a & ~b, b & ~a), key=int.bit_count)
    return short, long


def _sum(shared: int, short: int, long: int) -> Sum:
    if short.bit_count() > MOST:
        return Sum(_last(short), _last(long))
    through = tuple(place for place in range(short.bit_length()) if short >> place & 1)
    return Sum(_last(shared), _last(long), through)


def _last(bits: int) -> int:
    return bits.bit_length() - 1
