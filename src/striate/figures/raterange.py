"""Loss against the learning rate of a rate range test."""

from collections.abc import Sequence

from . import style
from .curves import scale_loss

HIGH = 420


def rate_range(
    rates: Sequence[float],
    losses: Sequence[float],
    means: Sequence[float],
    *,
    title: str,
    chosen: float | None,
) -> bytes:
    """Draw each step's loss and its running mean against the rate, and the chosen rate: PNG."""
    top = style.heading_height(title) + 40
    figure = style.canvas(style.WIDTH, top + HIGH + 96)
    style.write_heading(figure, title, top=0)
    axes = style.panel(figure, 100, top, style.WIDTH - 100 - 3 * style.MARGIN, HIGH)
    axes.plot(rates, losses, ".", color=style.MUTED, markersize=4)
    axes.plot(rates, means, color=style.BLUE, lw=1.8)
    axes.set_xscale("log")
    # What failed is off the panel: it would flatten all that is to be seen.
    scale_loss(axes, [min(means), min(max(means), 1.6 * means[0])])
    small = style.font(style.SMALL)
    axes.set_xlabel("learning rate", color=style.MUTED, labelpad=6, fontproperties=small)
    axes.set_ylabel("loss (nats)", color=style.MUTED, labelpad=6, fontproperties=small)
    style.annotate(axes, "● of a step", (0, 1), (0, 12), style.MUTED)
    style.annotate(axes, "running mean", (0, 1), (90, 12), style.BLUE)
    if chosen is not None:
        axes.axvline(chosen, color=style.ORANGE, linewidth=1.4)
        style.annotate(axes, f"found: {chosen:g}", (0, 1), (190, 12), style.ORANGE)
    return style.png(figure)
