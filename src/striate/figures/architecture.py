"""A network drawn as a row of volumes, to scale: SVG."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from . import style
from .arcs import Arc, Bead, Point, Sum, plus

# Pixels. Lengths are in proportion to square roots: between 3 and 4096 channels, or maps of 224 and
# of 7, in a straight line either the first or the last would not be seen.
TALLEST, MARGIN, GAP, BETWEEN = 230.0, 36.0, 26.0, 3.0
DEPTH = 0.42, 0.26  # of a map's width, to the right and up, as it runs away from the eye
ACROSS = 1.7  # times the square root of the channels
SMALLEST = 3.0
LETTER, LINE, TITLE = 12.0, 16.0, 17.0
FAMILY = "DejaVu Sans, Verdana, Arial, sans-serif"
# Of a wider row each stage shows the widest volume of each kind, a few times.
WIDEST = 1600.0
SHOWN = 3
SCALE = "to scale by square roots: height and depth are the map's sides, width the channels"
COLOURS = {
    "input": "#8A929A",
    "convolution": style.BLUE,
    "pooling": style.ORANGE,
    "linear": "#009E73",
    "other": "#CC79A7",
}


class Volume(NamedTuple):
    """What a layer gives: channels and map, one of COLOURS, and what the layer is called."""

    channels: int
    height: int
    width: int
    kind: str
    label: str  # Conv2d 3x3
    text: str  # 64x56x56, as the layer orders its axes


class Slab(NamedTuple):
    """A volume as it is drawn: its place in the network, and where it begins, in pixels."""

    place: int
    volume: Volume
    left: float = 0.0


class Stage(NamedTuple):
    """Volumes of one map size, in a row."""

    slabs: list[Slab]
    lines: list[str]  # written below
    middle: float = 0.0  # of the lines


def architecture(volumes: Sequence[Volume], title: str, sums: Sequence[Sum] = ()) -> str:
    """Draw volumes from left to right, those of one map size as a stage, with what they are.

    Sums are arcs over them; the volumes that these go through stand on the arcs.
    """
    scale = TALLEST / math.sqrt(max(max(v.height, v.width) for v in volumes))
    stages = _stages(volumes, sums)
    long = sum(_length(stage.slabs, scale) for stage in stages) > WIDEST
    if long:
        stages, sums = _shortened(stages, sums)
    stages = list(_laid(stages, scale))
    arcs = list(_arcs(volumes, stages, sums, scale))
    half = TALLEST * (1 + DEPTH[1]) / 2
    above = max([half, *(-arc.peak for arc in arcs)])
    middle = MARGIN + TITLE + 2 * LINE + above
    below = middle + half + 1.5 * LINE
    parts = [_slab(slab, middle, scale) for stage in stages for slab in stage.slabs]
    parts += [part for arc in arcs for part in arc.draw(middle)]
    parts += [arc.sum(middle) for arc in arcs]
    parts += [line for stage in stages for line in _lines(stage, below)]
    deepest = below + LINE * max(len(stage.lines) for stage in stages)
    kinds = [kind for kind in COLOURS if any(v.kind == kind for v in volumes)]
    if arcs:
        kinds += ["sum of branches, one for all of a stage" if long else "sum of branches"]
    note = SCALE + (", not of layers on arcs" if any(arc.beads for arc in arcs) else "")
    foot, needed = _foot(kinds, note, deepest + LINE)
    edge = max(slab.left + _length([slab], scale) for slab in stages[-1].slabs)
    words = max(stage.middle + _widest(stage.lines) / 2 for stage in stages)
    across = max(edge, words, needed, MARGIN + _measure(title, TITLE)) + MARGIN
    heading = _text(title, (MARGIN, MARGIN + TITLE), size=TITLE, weight="bold")
    return _document("\n".join([heading, *parts, *foot]), across, deepest + 4 * LINE, title)


def _stages(volumes: Sequence[Volume], sums: Sequence[Sum]) -> list[Stage]:
    """Put the volumes of the main line into stages; words count what stands on arcs as well."""
    ends = {place: found.end for found in sums for place in found.through}
    main = [Slab(place, v) for place, v in enumerate(volumes) if place not in ends]
    groups = [list(group) for _, group in itertools.groupby(main, _map_size)]
    stages = []
    for slabs in groups:
        own = {slab.place for slab in slabs}
        beside = [volumes[place] for place, end in ends.items() if end in own]
        stages.append(Stage(slabs, _words([slab.volume for slab in slabs], beside)))
    return stages


def _map_size(slab: Slab) -> tuple[int, int, bool]:
    volume = slab.volume
    return volume.height, volume.width, volume.kind == "input"


def _words(volumes: Sequence[Volume], beside: Sequence[Volume]) -> list[str]:
    counted = Counter(volume.label for volume in [*volumes, *beside])
    frequent = {label for label, _ in counted.most_common(4)}
    lines = [
        label if many == 1 else f"{many} {label}"
        for label, many in counted.items()
        if label in frequent
    ]
    rest = len(counted) - len(lines)
    return [_title(volumes), *lines, *([f"{rest} other kinds"] if rest else [])]


def _title(volumes: Sequence[Volume]) -> str:
    """Name the widest volume; of a few vectors each."""
    vectors = [volume.text for volume in volumes if volume.height == volume.width == 1]
    if 1 < len(vectors) == len(volumes) <= 4:
        return ", ".join(vectors)
    return max(volumes, key=lambda volume: volume.channels).text


def _shortened(stages: Sequence[Stage], sums: Sequence[Sum]) -> tuple[list[Stage], list[Sum]]:
    """Let a few volumes of a stage stand for all, and one arc over them for its sums."""
    kept, drawn = [], []
    for stage in stages:
        places = {slab.place for slab in stage.slabs}
        many = sum(found.end in places for found in sums)
        slabs = _few(stage.slabs)
        if many and len(slabs) > 1:
            drawn.append(Sum(slabs[0].place, slabs[-1].place))
        words = [f"{many} sums" if many > 1 else "1 sum"] if many else []
        kept.append(Stage(slabs, [*stage.lines, *words]))
    return kept, drawn


def _few(slabs: Sequence[Slab]) -> list[Slab]:
    """Let the widest of a kind, a few times, stand for all of that kind."""
    shown: list[Slab] = []
    for kind in dict.fromkeys(slab.volume.kind for slab in slabs):
        alike = [slab for slab in slabs if slab.volume.kind == kind]
        widest = max((slab.volume for slab in alike), key=lambda volume: volume.channels)
        shown += [slab._replace(volume=widest) for slab in alike[:SHOWN]]
    return shown


def _laid(stages: Sequence[Stage], scale: float) -> Iterator[Stage]:
    """Place the stages from left to right, each in the middle of what it or its words need."""
    left = MARGIN
    for stage in stages:
        room = max(_length(stage.slabs, scale), _widest(stage.lines))
        x, slabs = left + (room - _length(stage.slabs, scale)) / 2, []
        for slab in stage.slabs:
            slabs.append(slab._replace(left=x))
            x += _pitch(slab.volume)
        yield Stage(slabs, stage.lines, left + room / 2)
        left += room + GAP


def _arcs(
    volumes: Sequence[Volume], stages: Sequence[Stage], sums: Sequence[Sum], scale: float
) -> Iterator[Arc]:
    points = {slab.place: _point(slab, scale) for stage in stages for slab in stage.slabs}
    for found in sums:
        low, high = sorted((found.start, found.end))
        over = [point for place, point in points.items() if low <= place <= high]
        beads = [volumes[place] for place in found.through]
        yield Arc(
            points[found.start],
            points[found.end],
            min(point.top for point in over),
            [Bead(COLOURS[v.kind], f"{v.label}: {v.text}") for v in beads],
        )


def _point(slab: Slab, scale: float) -> Point:
    """Return the middle of a slab's upper face, with the row's middle at 0."""
    high, (right, up) = _high(slab.volume, scale), _deep(slab.volume, scale)
    return Point(slab.left + (_across(slab.volume) + right) / 2, -high / 2, -(high + up) / 2)


def _across(volume: Volume) -> float:
    return max(SMALLEST, ACROSS * math.sqrt(volume.channels))


def _high(volume: Volume, scale: float) -> float:
    return math.sqrt(volume.height) * scale


def _deep(volume: Volume, scale: float) -> tuple[float, float]:
    deep = math.sqrt(volume.width) * scale
    return DEPTH[0] * deep, DEPTH[1] * deep


def _pitch(volume: Volume) -> float:
    return _across(volume) + BETWEEN


def _length(slabs: Sequence[Slab], scale: float) -> float:
    """Return the width of a row of slabs, with the last one's depth."""
    wide = sum(_pitch(slab.volume) for slab in slabs) - BETWEEN
    return wide + _deep(slabs[-1].volume, scale)[0]


def _slab(slab: Slab, middle: float, scale: float) -> str:
    """Draw a box: front, top and right side, each in its own shade."""
    volume, x = slab.volume, slab.left
    across, high, (right, up) = _across(volume), _high(volume, scale), _deep(volume, scale)
    # The whole figure is centred, its depth included.
    a, b = (x, middle + (up - high) / 2), (x + across, middle + (up - high) / 2)
    faces = (
        (0.95, (a, b, _moved(b, 0, high), _moved(a, 0, high))),
        (0.55, (a, _moved(a, right, -up), _moved(b, right, -up), b)),
        (0.75, (b, _moved(b, right, -up), _moved(b, right, high - up), _moved(b, 0, high))),
    )
    colour = COLOURS[volume.kind]
    drawn = "".join(
        f'<polygon points="{" ".join(f"{u:.1f},{v:.1f}" for u, v in face)}" '
        f'fill="{_tint(colour, shade)}"/>'
        for shade, face in faces
    )
    return f"<g><title>{escape(volume.label)}: {escape(volume.text)}</title>{drawn}</g>"


def _moved(point: tuple[float, float], right: float, down: float) -> tuple[float, float]:
    return point[0] + right, point[1] + down


def _tint(colour: str, share: float) -> str:
    """Mix a colour with white. Not transparent: what lies behind must not shine through."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02X}" for part in parts)


def _lines(stage: Stage, top: float) -> Iterator[str]:
    for number, line in enumerate(stage.lines):
        weight = "normal" if number else "bold"
        yield _text(line, (stage.middle, top + number * LINE), anchor="middle", weight=weight)


def _widest(lines: Sequence[str]) -> float:
    return max(map(_measure, lines))


def _foot(kinds: Sequence[str], note: str, top: float) -> tuple[list[str], float]:
    """Write what colours and lengths mean; give its width too."""
    parts, x = [], MARGIN
    for kind in kinds:
        parts.append(
            f'<rect x="{x:.1f}" y="{top - 10:.1f}" width="11" height="11" fill="{COLOURS[kind]}"/>'
            if kind in COLOURS
            else plus(x + 5.5, top - 4.5)
        )
        parts.append(_text(kind, (x + 17, top), colour=style.MUTED))
        x += 17 + _measure(kind) + 20
    parts.append(_text(note, (MARGIN, top + 1.5 * LINE), colour=style.MUTED))
    return parts, max(x, MARGIN + _measure(note))


def _measure(text: str, size: float = LETTER) -> float:
    # Bold, the wider: a viewer may have another font, and lines must not touch.
    return style.length(text, size * 72 / style.DPI, "bold")


def _text(
    text: str,
    place: tuple[float, float],
    *,
    size: float = LETTER,
    weight: str = "normal",
    anchor: str = "start",
    colour: str = style.INK,
) -> str:
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )


def _document(body: str, width: float, height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FAMILY}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )
