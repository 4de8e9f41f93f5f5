"""Sums of a network drawn as arcs over its row of volumes: SVG."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from . import style

CLEAR = 12.0  # pixels from what an arc runs over
RADIUS, DOT, BOX = 5.0, 2.2, 11.0  # of its end, of its beginning; the side of a layer on it
# The highest place of a Bézier curve with both handles at one height, in shares of that height.
PEAK = 0.75


class Sum(NamedTuple):
    """Volume `end` plus volume `start`, by their places; or what layers `through` make of it."""

    start: int
    end: int
    through: tuple[int, ...] = ()


class Point(NamedTuple):
    """Where a volume stands: the middle of its upper face, and how high that reaches."""

    x: float
    y: float
    top: float


class Bead(NamedTuple):
    """A layer that stands on an arc, off the main line: its colour, and what it is called."""

    colour: str
    name: str


class Arc(NamedTuple):
    """A sum as it is drawn: from one volume to a plus on another, clear of those between."""

    start: Point
    end: Point
    over: float  # the highest place of what it runs over
    beads: Sequence[Bead]

    @property
    def peak(self) -> float:
        """Its highest place, and that of what stands on it."""
        return self.over - CLEAR - (BOX / 2 if self.beads else 0)

    def draw(self, middle: float) -> Iterator[str]:
        """Draw its line with the row's middle at a height; layers on it are small squares."""
        start, end = (point._replace(y=point.y + middle) for point in (self.start, self.end))
        handle = (middle + self.over - CLEAR - (1 - PEAK) * (start.y + end.y) / 2) / PEAK
        yield (
            f'<path d="M{start.x:.1f} {start.y:.1f} C{start.x:.1f} {handle:.1f} '
            f'{end.x:.1f} {handle:.1f} {end.x:.1f} {end.y:.1f}" '
            f'fill="none" stroke="{style.INK}" stroke-width="1.3"/>'
        )
        yield f'<circle cx="{start.x:.1f}" cy="{start.y:.1f}" r="{DOT}" fill="{style.INK}"/>'
        for number, bead in enumerate(self.beads, start=1):
            share = number / (len(self.beads) + 1)
            x = _along(share, (start.x, start.x, end.x, end.x))
            y = _along(share, (start.y, handle, handle, end.y))
            yield (
                f'<g><title>{escape(bead.name)}</title><rect x="{x - BOX / 2:.1f}" '
                f'y="{y - BOX / 2:.1f}" width="{BOX:g}" height="{BOX:g}" fill="{bead.colour}" '
                f'stroke="white"/></g>'
            )

    def sum(self, middle: float) -> str:
        """Draw the plus at its end, which belongs above the lines of all arcs."""
        return plus(self.end.x, self.end.y + middle)


def plus(x: float, y: float) -> str:
    """Draw a plus in a circle."""
    arm = RADIUS - 2
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}" fill="white" stroke="{style.INK}"/>'
        f'<path d="M{x - arm:.1f} {y:.1f}h{2 * arm:.1f}M{x:.1f} {y - arm:.1f}v{2 * arm:.1f}" '
        f'stroke="{style.INK}"/>'
    )


def _along(t: float, points: tuple[float, float, float, float]) -> float:
    a, b, c, d = points
    s = 1 - t
    return s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d
