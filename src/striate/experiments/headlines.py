"""The chapter's figures and the published ones, beside what an experiment's rows have."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .batchnorm import ratio
from .claim import Row, Rows
from .intervals import Interval, gap, level, over, select
from .preprocessing import harm
from .tsne import with_interval


class Reading(NamedTuple):
    """A figure as measured."""

    text: str  # with its 95 % interval
    n: int | None  # test examples of each seed; None where it is not of examples
    seeds: int


class Headline(NamedTuple):
    """A figure that the chapter or a paper gives; each empty where it gives none."""

    what: str
    chapter: str
    published: str
    read: Callable[[Rows], Reading | None]  # None where the rows have none


class Line(NamedTuple):
    """A figure beside the chapter's and the published one."""

    what: str
    chapter: str
    published: str
    reading: Reading | None


def lines(name: str, rows: Rows) -> list[Line]:
    """Return the figures of an experiment as its rows have them."""
    return [Line(*headline[:3], headline.read(rows)) for headline in HEADLINES[name]]


def _share(key: str, digits: int = 1, **where: object) -> Callable[[Rows], Reading | None]:
    """Read a share in per cent."""

    def read(rows: Rows) -> Reading | None:
        found = select(rows, **where)
        if not found:
            return None
        return Reading(level(found, key).level(digits=digits), _n(found), len(found))

    return read


def _difference(
    key: str, first: Mapping[str, object], second: Mapping[str, object]
) -> Callable[[Rows], Reading | None]:
    """Read a share in the second setting less that in the first, in points."""

    def read(rows: Rows) -> Reading | None:
        if not (select(rows, **first) and select(rows, **second)):
            return None
        found = gap(rows, key, first, second)
        # Of the training pictures rows do not say how many there are.
        return _points(found, None if key == "train_error" else _n(select(rows, **second)))

    return read


def _points(found: Interval, n: int | None) -> Reading:
    mean, low, high = (f"{100 * x:+.1f}" for x in found[:3])
    between = f" ({low} to {high})" if found.high < 10 else ""
    return Reading(f"{mean} points{between}", n, found.seeds)


def _n(rows: Rows) -> int | None:
    return rows[0].get("n")


def _listed(rows: Rows) -> Reading:
    """Read the accuracy of the listing's network, and of how many epochs it is."""
    found: list[Row] = select(rows, model="mnist-convnet-listed")
    text = f"{level(found, 'accuracy').level(digits=2)} after {len(found[0]['curve'])} epochs"
    return Reading(text, _n(found), len(found))


def _change(rows: Rows) -> Reading:
    """Read how far a max-pooled map changes at a shift of one pixel."""
    found = over(row["change"] for row in select(rows, layer="max (2, 2)", shift=1))
    return Reading(found.level(), None, found.seeds)


def _steps(rows: Rows) -> Reading | None:
    """Read how many times the mini-batches it takes without batch norm, to the highest goal."""
    goals = sorted({key for row in rows for key in row if key.startswith("to_")})
    known = {goal: found for goal in goals if (found := ratio(rows, goal))}
    if not known:
        return None
    goal, found = max(known.items())
    between = f" ({found.low:.1f} to {found.high:.1f})" if found.seeds > 1 else ""
    return Reading(f"{found.mean:.1f} times{between}, to {goal[3:]} %", None, found.seeds)


def _at_ends(
    setting: str, key: str, one: Mapping[str, object], two: Mapping[str, object]
) -> Callable[[Rows], Reading | None]:
    """Read a difference between the ends of what was varied, or at its low end where both are."""

    def read(rows: Rows) -> Reading | None:
        values = sorted({row[setting] for row in rows})
        low, high = values[0], values[-1]
        first = {**one, setting: low}
        second = {**two, setting: low if one != two else high}
        return _difference(key, first, second)(rows)

    return read


def _mismatch(rows: Rows) -> Reading:
    return _points(harm(rows), _n(select(rows, training="all")))


def _style(rows: Rows) -> Reading:
    found = [row["style"] for row in select(rows, start="content")]
    mean, most = 100 * sum(found) / len(found), 100 * max(found)
    return Reading(f"{mean:.1f} %, at most {most:.1f} %", None, len(found))


def _brings(part: str) -> Callable[[Rows], Reading | None]:
    """Read what training with a part of the preprocessing brings."""
    without, whole = {"training": f"no {part}"}, {"training": "all", "mismatch": "none"}
    return _difference("accuracy", without, whole)


def _purity(space: str) -> Callable[[Rows], Reading | None]:
    """Read the share of neighbours that are of the same class."""

    def read(rows: Rows) -> Reading:
        found = select(rows, space=space)
        text = level([with_interval(row) for row in found], "purity").level()
        return Reading(text, _n(found), len(found))

    return read


_FOUND = "faces found at 2 % false alarms, by {} features"
HEADLINES: dict[str, list[Headline]] = {
    "dense-vs-conv": [
        Headline(
            "all of MNIST, fully connected",
            "98.2 %",
            "98.4 % (Simard et al. 2003)",
            _share("accuracy", 2, part="mnist", model="mlp"),
        ),
        Headline(
            "all of MNIST, convolutional",
            "99.4 %",
            "99.05 % (LeCun et al. 1998)",
            _share("accuracy", 2, part="mnist", model="mnist-convnet"),
        ),
        Headline(
            "convolutional less fully connected at 28 pixels",
            "",
            "",
            _difference(
                "accuracy",
                {"part": "size", "model": "mlp", "side": 28},
                {"part": "size", "model": "convnet", "side": 28},
            ),
        ),
    ],
    "listing-vs-mended": [
        Headline("MNIST as listed", "99.4 % after 40 epochs", "", _listed),
        Headline("MNIST, mended", "", "", _share("accuracy", 2, model="mnist-convnet")),
    ],
    "pooling": [
        Headline(
            "change of a max-pooled map at one pixel, of the distance to another picture",
            "almost none",
            "",
            _change,
        ),
        Headline(
            "gap from training to test, fractional less max pooling",
            "",
            "",
            _difference(
                "gap",
                {"part": "gap", "pooling": "max"},
                {"part": "gap", "pooling": "fractional"},
            ),
        ),
    ],
    "preprocessing": [
        Headline("what normalisation brings", "", "", _brings("normalisation")),
        Headline("what augmentation brings", "", "", _brings("augmentation")),
        Headline("accuracy with a mismatch at prediction, less that without", "", "", _mismatch),
    ],
    "batchnorm": [
        Headline(
            "mini-batches without batch norm, of those with it at 10 times the rate",
            "5.7 times, to 90 %",
            "14 times, on ImageNet at 5 times the rate (Ioffe & Szegedy 2015)",
            _steps,
        )
    ],
    "groupnorm": [
        Headline(
            "error with batch norm less group norm at batches of 2",
            "",
            "+10.6 points, on ImageNet (Wu & He 2018)",
            _at_ends("batch", "error", {"norm": "group"}, {"norm": "batch"}),
        )
    ],
    "degradation": [
        Headline(
            "training error of 56 layers less 20, plain",
            "",
            "+0.6 points, of 34 less 18 on ImageNet's validation (He et al. 2015)",
            _at_ends("depth", "train_error", {"kind": "plain"}, {"kind": "plain"}),
        ),
        Headline(
            "the same, residual",
            "",
            "-2.9 points (the same)",
            _at_ends("depth", "train_error", {"kind": "resnet"}, {"kind": "resnet"}),
        ),
    ],
    "small-filters": [
        Headline(
            "accuracy with stacks of 3x3 less that with 7x7",
            "",
            "+7 points, pairs of 3x3 less 5x5 on ImageNet (Simonyan & Zisserman 2014)",
            _difference("accuracy", {"filters": "7x7, twice"}, {"filters": "3x3, six times"}),
        )
    ],
    "tsne": [
        Headline("neighbours of the same kind, by features", "", "", _purity("features")),
        Headline("the same by colours", "", "", _purity("colours")),
    ],
    "viola-jones": [
        Headline(
            _FOUND.format("hand-picked"),
            "91.4 % at 50 false alarms, on other pictures",
            "the same (Viola & Jones 2004)",
            _share("found", detector="cascade", condition="plain"),
        ),
        Headline(
            _FOUND.format("learned"),
            "",
            "",
            _share("found", detector="network", condition="plain"),
        ),
    ],
    "style": [Headline("style loss that is left, of the photograph's", "", "", _style)],
    "video": [
        Headline("direction of motion, all frames", "", "", _share("accuracy", sees="clip")),
        Headline(
            "the same from one frame; a guess has 12.5 %", "", "", _share("accuracy", sees="frame")
        ),
    ],
    "audio": [
        Headline(
            "spoken digits, voices that training has",
            "",
            "",
            _share("accuracy", held_out="", model="audio-convnet"),
        )
    ],
}
