"""What detectors find against their false alarms, on a logarithmic axis: a line each."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from . import style
from .shifts import spread

Scores = NDArray[np.float64]
LABELS = 330  # pixels for the names of lines
HIGH = 620


def rates(detectors: Mapping[str, tuple[Scores, Scores]], title: str) -> bytes:
    """Draw the share of faces found for each share of non-faces let through: PNG.

    Each detector has its scores of faces and of non-faces.
    """
    top = style.heading_height(title) + 20
    figure = style.canvas(style.WIDTH, top + HIGH + 96)
    style.write_heading(figure, title, top=0)
    axes = style.panel(figure, 100, top, style.WIDTH - 100 - LABELS - 2 * style.MARGIN, HIGH)
    least = 1 / max(len(negative) for _, negative in detectors.values())
    ends = []
    for (name, scores), colour in zip(detectors.items(), style.SERIES, strict=False):
        alarms, found = curve(*scores)
        axes.plot(np.maximum(alarms, least / 2), 100 * found, color=colour, lw=1.8, label=name)
        ends.append(float(np.interp(0.1, alarms, found)))
    axes.set_xscale("log")
    axes.set_xlim(least, 1)
    axes.set_ylim(0, 100)
    small = style.font(style.SMALL)
    axes.set_xlabel(
        "non-faces taken for faces (share)", color=style.MUTED, labelpad=6, fontproperties=small
    )
    axes.set_ylabel("faces found (%)", color=style.MUTED, labelpad=6, fontproperties=small)
    places = spread([0.2 + 0.75 * end for end in ends], style.LINE / HIGH)
    for line, place in zip(axes.lines, places, strict=True):
        style.annotate(axes, str(line.get_label()), (1, place), (8, 0), str(line.get_color()))
    return style.png(figure)


def curve(positive: Scores, negative: Scores) -> tuple[Scores, Scores]:
    """Return shares of non-faces and of faces at or above each score, from strict to lax.

    Where most have the lowest score it only says that they were turned down: the line ends there.
    """
    both = np.concatenate([positive, negative])
    thresholds = np.unique(both)[::-1]
    if (both == thresholds[-1]).mean() > 0.5:
        thresholds = thresholds[:-1]
    alarms, found = (
        1 - np.searchsorted(np.sort(scores), thresholds, "left") / len(scores)
        for scores in (negative, positive)
    )
    return np.concatenate([[0.0], alarms]), np.concatenate([[0.0], found])
