"""A network drawn as a row of volumes, to scale: SVG."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from . import style

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


class Stage(NamedTuple):
    """Volumes of one map size, in a row."""

    volumes: list[Volume]
    lines: list[str]  # written below


def architecture(volumes: Sequence[Volume], title: str) -> str:
    """Draw volumes from left to right, those of one map size as a stage, with what they are."""
    scale = TALLEST / math.sqrt(max(max(v.height, v.width) for v in volumes))
    stages = [_stage(list(group)) for _, group in itertools.groupby(volumes, _map_size)]
    long = sum(_length(stage.volumes, scale) for stage in stages) > WIDEST
    boxes: list[str] = []
    half = TALLEST * (1 + DEPTH[1]) / 2
    left, middle = MARGIN, MARGIN + TITLE + 2 * LINE + half
    below = middle + half + 1.5 * LINE
    for stage in stages:
        shown = _few(stage.volumes) if long else stage.volumes
        room = max(_length(shown, scale), *(_measure(line) for line in stage.lines))
        boxes += _row(shown, left + (room - _length(shown, scale)) / 2, middle, scale)
        boxes += _lines(stage.lines, left + room / 2, below)
        left += room + GAP
    deepest = below + LINE * max(len(stage.lines) for stage in stages)
    kinds = [kind for kind in COLOURS if any(v.kind == kind for v in volumes)]
    foot, needed = _foot(kinds, deepest + LINE)
    across = max(left - GAP, needed, MARGIN + _measure(title, TITLE)) + MARGIN
    heading = _text(title, (MARGIN, MARGIN + TITLE), size=TITLE, weight="bold")
    body = "\n".join([heading, *boxes, *foot])
    return _document(body, across, deepest + 4 * LINE, title)


def _map_size(volume: Volume) -> tuple[int, int, bool]:
    return volume.height, volume.width, volume.kind == "input"


def _stage(volumes: list[Volume]) -> Stage:
    counted = Counter(volume.label for volume in volumes)
    frequent = {label for label, _ in counted.most_common(4)}
    lines = [
        label if many == 1 else f"{many} {label}"
        for label, many in counted.items()
        if label in frequent
    ]
    rest = len(counted) - len(lines)
    return Stage(volumes, [_title(volumes), *lines, *([f"{rest} other kinds"] if rest else [])])


def _title(volumes: Sequence[Volume]) -> str:
    """Name the widest volume; of a few vectors each."""
    vectors = [volume.text for volume in volumes if volume.height == volume.width == 1]
    if 1 < len(vectors) == len(volumes) <= 4:
        return ", ".join(vectors)
    return max(volumes, key=lambda volume: volume.channels).text


def _few(volumes: list[Volume]) -> list[Volume]:
    """Let the widest of a kind, a few times, stand for all of that kind."""
    shown: list[Volume] = []
    for kind in dict.fromkeys(volume.kind for volume in volumes):
        alike = [volume for volume in volumes if volume.kind == kind]
        widest = max(alike, key=lambda volume: volume.channels)
        shown += [widest] * min(SHOWN, len(alike))
    return shown


def _across(volume: Volume) -> float:
    return max(SMALLEST, ACROSS * math.sqrt(volume.channels))


def _high(volume: Volume, scale: float) -> float:
    return math.sqrt(volume.height) * scale


def _deep(volume: Volume, scale: float) -> tuple[float, float]:
    deep = math.sqrt(volume.width) * scale
    return DEPTH[0] * deep, DEPTH[1] * deep


def _pitch(volume: Volume) -> float:
    return _across(volume) + BETWEEN


def _length(volumes: Sequence[Volume], scale: float) -> float:
    """Give the width of a row of slabs, with the last one's depth."""
    return sum(map(_pitch, volumes)) - BETWEEN + _deep(volumes[-1], scale)[0]


def _row(volumes: Sequence[Volume], left: float, middle: float, scale: float) -> Iterator[str]:
    """Draw slabs from the first to the last: each hides the far side of the one before."""
    for volume in volumes:
        yield _slab(volume, left, middle, scale)
        left += _pitch(volume)


def _slab(volume: Volume, x: float, middle: float, scale: float) -> str:
    """Draw a box: front, top and right side, each in its own shade."""
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


def _lines(lines: Sequence[str], centre: float, top: float) -> Iterator[str]:
    for number, line in enumerate(lines):
        weight = "normal" if number else "bold"
        yield _text(line, (centre, top + number * LINE), anchor="middle", weight=weight)


def _foot(kinds: Sequence[str], top: float) -> tuple[list[str], float]:
    """Write what colours and lengths mean; give its width too."""
    parts, x = [], MARGIN
    for kind in kinds:
        parts.append(
            f'<rect x="{x:.1f}" y="{top - 10:.1f}" width="11" height="11" fill="{COLOURS[kind]}"/>'
        )
        parts.append(_text(kind, (x + 17, top), colour=style.MUTED))
        x += 17 + _measure(kind) + 20
    note = "to scale by square roots: height and depth are the map's sides, width the channels"
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
