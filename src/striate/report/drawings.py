"""The figures of a report and of an atlas as files: each as PNG and as SVG."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate import figures, files, seeing
from striate.figures import ChartLine, Columns, Fitted, Line, Lines, Mapped
from striate.figures.cells import coloured, enlarged
from striate.figures.sheet import WIDE
from striate.figures.style import FORMS
from striate.runs import folder
from striate.seeing.featuremaps import Maps
from striate.wording import counted, percent

from .document import colours
from .gathered import Gathered
from .places import Placed

SHOWN = 24  # pictures on a sheet
ORDERED = 20  # classes from which on the confusions are ordered into blocks
_MAPS = 8  # of a layer
_CELL = 150  # pixels of a map
_PAIRS = Columns(8, 2)  # a picture, and where the network looked
_BOX = _PAIRS.pitch - 22  # side of a picture, within its frame

Draw = Callable[[str], bytes]  # a form, png or svg -> a file's content
Pixels = NDArray[np.uint8]


def write(into: Path, drawn: Iterable[tuple[str, Draw]]) -> list[str]:
    """Write figures as NAME.png and NAME.svg into a folder; returns the files' names."""
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in drawn:
        for form in FORMS:
            files.write(into / f"{name}.{form}", draw(form))
            written.append(f"{name}.{form}")
    return written


def of_report(found: Gathered, run: Path) -> Iterator[tuple[str, Draw]]:
    """Yield each figure of a report that there is something to draw of: its name, what draws it."""
    answers, filters, placed = found.answers, found.filters, found.placed
    yield "curves", lambda form: _curves(found, run, form)
    if filters is not None:
        yield "filters", lambda form: seeing.filter_sheet(filters, form=form)
    if found.maps:
        yield "maps", lambda form: _maps(found, form)
    yield "confusion", lambda form: _confusion(found, form)
    yield from _sheets(found)
    yield "calibration", lambda form: _calibration(found, form)
    if placed is not None:
        shown = colours(found.groups, len(answers.classes))["colours"]
        pictures = found.pictures[: len(answers.labels)]
        mapped = Mapped(placed.xy, pictures, answers.labels, answers.classes, shown)
        yield "atlas", lambda form: figures.atlas(mapped, caption(placed, found.kind), form=form)


def caption(placed: Placed, kind: str) -> str:
    """Title a map with what it keeps."""
    return (
        f"{counted(len(placed.xy), kind)} by t-SNE: recall@10 {percent(placed.recall, 0)}, "
        f"trustworthiness {placed.trust:.3f}"
    )


def _curves(found: Gathered, run: Path, form: str) -> bytes:
    history, steps = folder.read_history(run), folder.read_trail(run)
    monitor = str(folder.read_recipe(run)["monitor"])
    return figures.curves(history, found.title, by_step=steps, metric=monitor, form=form)


def _confusion(found: Gathered, form: str) -> bytes:
    answers, confusion = found.answers, seeing.confusion(found.answers)
    k = len(answers.classes)
    order = confusion.order if k > ORDERED else np.arange(k)
    right = percent(1 - float(answers.wrong.mean()))
    of = counted(len(answers.labels), f"{answers.split} {found.kind}")
    names = [answers.classes[label] for label in order]
    title = f"{found.title}: {right} of {of} are right"
    return figures.confusion(confusion.counts[order][:, order], names, title, form=form)


def _maps(found: Gathered, form: str) -> bytes:
    """Draw the maps of the first example, a line a layer."""
    row = int(found.maps_of[0])
    images, captions = list[Fitted | Pixels](), list[list[Line]]()
    for one in found.maps:
        size = "x".join(map(str, one.layer.shape[1:]))
        images.append(found.pictures[row])
        captions.append([Line(one.layer.name), Line(f"{one.layer.kind}, {size}")])
        for picture, name in _cells(one):
            images.append(picture)
            captions.append([Line(name)])
    title = f"{found.title}: maps of {found.files[row]}; blue is above 0, orange below"
    return figures.sheet(images, captions, columns=1 + _MAPS, title=title, form=form)


def _cells(one: Maps) -> list[tuple[Fitted, str]]:
    """Draw a layer's most varied maps of the first example; blank where there are fewer."""
    chosen = one.varied[:_MAPS]
    limit = float(np.abs(one.values[0, chosen]).max())
    scale = _CELL / max(one.values.shape[2:])
    cells = [
        (Fitted(enlarged(coloured(one.values[0, channel], limit), scale)), f"map {channel}")
        for channel in chosen
    ]
    blank = Fitted(np.full((8, 8, 3), 255, np.uint8))
    return cells + [(blank, "")] * (_MAPS - len(cells))


def _sheets(found: Gathered) -> Iterator[tuple[str, Draw]]:
    """Yield sheets of mistakes, doubts and labels in doubt, as far as there are such."""
    answers = found.answers
    mistakes, doubts = answers.mistakes(SHOWN), answers.doubts(SHOWN)
    if len(mistakes):
        yield "mistakes", lambda form: _sheet(found, "most confident mistakes", mistakes, form)
    yield "doubts", lambda form: _sheet(found, "least certain answers", doubts, form)
    if answers.split == "train":
        return
    suspects = seeing.likely_errors(answers.probabilities, answers.labels)[:SHOWN]
    if len(suspects):
        yield "label-doubts", lambda form: _sheet(found, "labels in doubt", suspects, form)


def _sheet(found: Gathered, what: str, rows: NDArray[np.int64], form: str) -> bytes:
    """Draw pictures, each beside where the network looked where that is known.

    The name of a class has a line of its own in the narrow columns of pairs.
    """
    answers, known = found.answers, {int(row): place for place, row in enumerate(found.cam_of)}
    cam = None if found.cam is None else np.maximum(found.cam[:, 0], 0)
    limit = 1.0 if cam is None else float(np.percentile(cam, 99.5))
    images, captions = list[Fitted | Pixels](), list[list[Line]]()
    for row in map(int, rows):
        share = percent(float(answers.confidence[row]), 0)
        true, taken = (answers.classes[of[row]] for of in (answers.labels, answers.predicted))
        own = figures.mistake(true, taken, share, answers.files[row])
        picture = _within(found.pictures[row], found.frame)
        images.append(picture)
        if cam is None:
            captions.append(own[:3])
            continue
        images.append(
            figures.looked(picture, cam[known[row]], limit, box=_BOX)
            if row in known
            else np.full_like(picture, 255)
        )
        captions.append([Line("true"), Line(true, ending=6), own[3]])
        captions.append([Line("predicted"), Line(taken, ending=6), own[2]])
    title = f"{found.title}: {what}"
    if cam is None:
        return figures.sheet(images, captions, columns=WIDE, title=title, form=form)
    title += "; beside each, where the network looked"
    return figures.sheet(
        images, captions, columns=_PAIRS.number, group=_PAIRS.group, title=title, form=form
    )


def _within(picture: Pixels, frame: tuple[float, float]) -> Pixels:
    """Cut an input that is not square out of the square that it lies in the middle of."""
    edges = []
    for side, share in zip(picture.shape[:2], frame, strict=True):
        kept = max(1, round(side * share))
        edges.append(slice((side - kept) // 2, (side - kept) // 2 + kept))
    return picture[edges[0], edges[1]]


def _calibration(found: Gathered, form: str) -> bytes:
    measured = seeing.calibration(found.answers.probabilities, found.answers.labels)
    used = [one for one in measured.bins if one.n]
    sure = [100 * one.confidence for one in used]
    low, high = ([100 * one.interval[side] for one in used] for side in (0, 1))
    own = ChartLine(sure, [100 * one.accuracy for one in used], low, high)
    panels = [
        Lines(
            "Accuracy of answers by their confidence",
            "confidence (%)",
            "accuracy (%), with 95 % intervals",
            {"the network": own, "perfectly calibrated": ChartLine([0, 100], [0, 100])},
        ),
        Lines(
            f"How many {found.kind}",
            "confidence (%)",
            f"{found.kind}, logarithmic",
            {found.title: ChartLine(sure, [float(one.n) for one in used])},
            "y",
        ),
    ]
    error = percent(measured.error, 1)
    title = f"{found.title}: expected calibration error {error} (n = {measured.n:,})"
    return figures.charts(title, panels, form=form)
