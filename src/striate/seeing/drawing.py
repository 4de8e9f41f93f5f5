"""Figures of views: sheets of explained pictures, and of a first layer's filters."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate import figures
from striate.figures import Columns, Fitted, Line
from striate.wording import counted, percent

from .explaining import Explanation, Pixels, Where
from .firstlayer import Filters, filter_pictures

SHOWN = 24  # explanations on one sheet
NEIGHBOURS = 3  # of each
_NAMED = 2  # likeliest classes
_LAYOUT = Columns(3 + NEIGHBOURS, 3)
_BOX = _LAYOUT.pitch - 22  # side of a picture, within its frame


def explanation_sheet(found: Sequence[Explanation], *, title: str = "") -> bytes:
    """Draw each picture, where the network looked, and what it saw alike: PNG.

    Where it looked is on one scale for the whole sheet; by shuffled weights, which say nothing of
    the classes, each map is on its own.
    """
    drawn = [one for one in found if one.picture is not None][:SHOWN]
    limit = _limit([one.where.values for one in drawn if one.where])
    images, captions = list[Pixels | Fitted](), list[list[Line]]()
    for one in drawn:
        row = [_picture(one), *_where(one, limit), *_neighbours(one)]
        images += [picture for picture, _ in row]
        captions += [caption for _, caption in row]
    return figures.sheet(images, captions, columns=_LAYOUT.number, group=_LAYOUT.group, title=title)


def _limit(maps: Sequence[NDArray[np.float32]]) -> float:
    """Find the largest number of all maps that are finite, at least 0."""
    return max((0.0, *(float(one.max()) for one in maps if np.isfinite(one).all())))


def filter_sheet(found: Filters, *, shared: bool = False, form: str = "png") -> bytes:
    """Draw a first layer's filters in their order, each as it is named: PNG or SVG."""
    drawn = filter_pictures(found.weights, shared=shared)
    copies: dict[int, list[int]] = {}
    for pair in found.alike:
        copies.setdefault(pair.second, []).append(pair.first)
    captions = []
    for number in found.order.tolist():
        what = {
            "grey": f"{found.directions[number]:.0f}°, {found.frequencies[number]:.2f} / px",
            "coloured": f"hue {found.hues[number]:.0f}°",
            "dead": "dead",
        }[found.kinds[number]]
        same = f"like filter {copies[number][0]}" if number in copies else ""
        captions.append([Line(f"filter {number}"), Line(what), *([Line(same)] if same else [])])
    scale = "one scale" if shared else "a scale each"
    size = "x".join(map(str, found.weights.shape[2:]))
    title = (
        f"{found.layer}: {counted(len(found.order), 'filters')} of {size}, {len(found.dead)} dead, "
        f"{counted(len(found.alike), 'near-copies')}; mid-grey is 0, {scale}"
    )
    pictures = [drawn[i] for i in found.order]
    return figures.sheet(pictures, captions, columns=8, title=title, form=form)


Cell = tuple[Pixels | Fitted, list[Line]]


def _picture(one: Explanation) -> Cell:
    assert one.picture is not None
    shares = [(name, percent(share, 1)) for name, share in one.classes[:_NAMED]]
    named = [Line(f"{name} {share}", ending=len(share)) for name, share in shares]
    return one.picture, [*named, Line(one.file, ending=len(one.file))]


def _where(one: Explanation, limit: float) -> list[Cell]:
    """Draw where it looked, and where it would have with shuffled weights."""
    assert one.picture is not None
    if one.where is None:
        return [(_blank(one.picture), [Line(text)]) for text in ("no map", "")]
    size = "x".join(map(str, one.where.field))
    answer = one.classes[0][0]
    own = _limit([one.where.shuffled])
    scale = "a scale of its own" if own > 0 else "nowhere above 0"
    of = [Line(f"for {answer}"), Line(f"layer {one.where.layer}"), Line(f"a place sees {size} px")]
    return [
        (figures.looked(one.picture, one.where.values, limit, box=_BOX), of),
        (
            figures.looked(one.picture, one.where.shuffled, own, box=_BOX),
            [Line("by shuffled weights"), Line(_agreement(one.where)), Line(scale)],
        ),
    ]


def _agreement(where: Where) -> str:
    if not math.isfinite(where.agreement):
        return "no rank correlation: flat"
    return f"rank correlation {where.agreement:.2f}".replace("-", "\N{MINUS SIGN}")


def _neighbours(one: Explanation) -> list[Cell]:
    """Draw the most similar training pictures; blank where there are fewer."""
    assert one.picture is not None
    cells: list[Cell] = []
    for near in one.neighbours[:NEIGHBOURS]:
        picture = _blank(one.picture) if near.picture is None else near.picture
        lines = [near.label, f"distance {near.distance:.3g}"]
        cells.append((picture, [*map(Line, lines), Line(near.file, ending=len(near.file))]))
    lack = NEIGHBOURS - len(cells)
    return cells + [(_blank(one.picture), [Line("")])] * lack


def _blank(like: Pixels) -> Pixels:
    return np.full(like.shape, 255, np.uint8)
