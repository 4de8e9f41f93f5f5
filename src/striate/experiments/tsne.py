"""Features of an ImageNet network group pictures by meaning, not by colour (chapter 7, t-SNE)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.data import Data, Split
from striate.data.batches import read
from striate.data.preparation.preprocessing import Preprocessing
from striate.data.sources.named import data_root
from striate.errors import DataError
from striate.figures import Bars, Panel, Points
from striate.seeing import faithfulness
from striate.seeing.embedding import embed
from striate.seeing.neighbours import others
from striate.seeing.networks import network
from striate.seeing.placement import place

from .chart import bars, grouped
from .claim import (
    Cell,
    Experiment,
    Form,
    Lab,
    Row,
    Rows,
    Settings,
    Verdict,
    concluded,
)
from .intervals import Interval, Z, above, over, select
from .material import part, whole
from .teaching import prepared, taught

SPACES = {
    "features": "the network's features",
    "pixels": "pixels",
    "colours": "colour histograms",
}
K = 10  # neighbours
SIDE = 32  # of the pictures whose pixels and colours are compared
WEIGHTS = "weights/efficientnet_lite0.safetensors"


def cells(settings: Settings) -> list[Cell]:
    """List the one cell: all three spaces are of the same pictures."""
    return [{"network": settings["network"]}]


def measure(cell: Cell, settings: Settings, lab: Lab) -> Iterable[Row]:
    """Embed a sample of the pictures, and count in each space how many neighbours share a class."""
    data = _data(settings["data"])
    split = _sample(data, settings["pictures"], cell["seed"])
    spaces = {"features": _features(cell["network"], data, split, cell["seed"], lab)}
    pixels = np.concatenate([b.pixels.numpy() for b in read(split, _small(data))[0].all()])
    spaces["pixels"] = faithfulness.raw_pixels(pixels)
    spaces["colours"] = faithfulness.colour_histograms(pixels)
    for name, vectors in spaces.items():
        yield _row(name, vectors, split, data.classes)


def _row(name: str, vectors: NDArray[np.float32], split: Split, classes: tuple[str, ...]) -> Row:
    near = others(vectors, K).rows
    own = (split.labels[near] == split.labels[:, None]).mean(1)
    xy = place(vectors)
    placed = (split.labels[others(xy, K).rows] == split.labels[:, None]).mean(1)
    chance = (np.bincount(split.labels) ** 2).sum() / len(split) ** 2
    return {
        "space": name,
        "purity": float(own.mean()),
        "spread": float(own.std(ddof=1)),
        "map_purity": float(placed.mean()),
        "map_kept": faithfulness.recall(vectors, xy, K),
        "chance": float(chance),
        "n": len(split),
        "xy": [[round(float(x), 2), round(float(y), 2)] for x, y in xy],
        "classes": [classes[label] for label in split.labels],
    }


def _data(name: str) -> Data:
    if name != "photos":
        return part(name)
    folder = data_root() / "photos"
    if not folder.is_dir():
        raise DataError(
            f"there are no photographs in {folder}: put a folder of pictures there, a folder a "
            "class, or set STRIATE_DATA to the folder that has photos/"
        )
    return whole(str(folder))


def _sample(data: Data, count: int, seed: int) -> Split:
    splits = [data.splits[name] for name in ("train", "test") if name in data.splits]
    pictures = [picture for split in splits for picture in split.pictures]
    labels = np.concatenate([split.labels for split in splits])
    names = [name for split in splits for name in split.names]
    order = np.sort(np.random.default_rng(seed).permutation(len(labels))[:count])
    chosen = [pictures[row] for row in order]
    held = np.stack(chosen) if isinstance(chosen[0], np.ndarray) else chosen
    return Split(held, labels[order], [names[row] for row in order])


def _small(data: Data) -> Preprocessing:
    grey = data.name == "digits"
    return Preprocessing((8, 8) if grey else (SIDE, SIDE), channels=1 if grey else 3)


def _features(name: str, data: Data, split: Split, seed: int, lab: Lab) -> NDArray[np.float32]:
    if name == "trained":  # of the smallest form: a network of these pictures themselves
        made = taught(prepared(data, lab, model="convnet", epochs=1, seed=seed), lab)
        model, preprocessing = made.learner.model, made.preparation
    else:
        known = data_root() / WEIGHTS
        source = network(name, weights=_file(known))
        model, preprocessing = source.model, source.preprocessing
    found = embed(
        model, preprocessing, {"all": split}, data.classes, device=lab.device, poll=lab.poll
    )
    return found.vectors


def _file(known: Path) -> str | None:
    return str(known) if known.is_file() else None


def _apart(rows: Rows, other: str) -> Interval:
    """Return purity of the features less that of another space; of one seed by its pictures."""
    pairs = [
        (select(rows, space="features", seed=s)[0], select(rows, space=other, seed=s)[0])
        for s in sorted({row["seed"] for row in rows})
    ]
    found = over(a["purity"] - b["purity"] for a, b in pairs)
    first = pairs[0]
    # Samples of one collection share pictures: the wider of the two intervals is given.
    reach = Z * float(np.hypot(*(row["spread"] for row in first))) / first[0]["n"] ** 0.5
    if found.seeds < 2 or found.high - found.mean < reach:
        found = found._replace(low=found.mean - reach, high=found.mean + reach)
    return found


def verdict(rows: Rows) -> Verdict:
    """Ask whether neighbours by features share their class more often than by colour or pixels."""
    apart = {other: _apart(rows, other) for other in ("colours", "pixels")}
    means = {s: over(r["purity"] for r in select(rows, space=s)).mean for s in SPACES}
    row = select(rows, space="features")[0]
    text = (
        f"Of a picture's {K} nearest others, {100 * means['features']:.1f} % share its class by "
        f"features, {100 * means['colours']:.1f} % by colours, {100 * means['pixels']:.1f} % by "
        f"pixels; {100 * row['chance']:.1f} % by chance. Features less colours "
        f"{apart['colours'].text()}, less pixels {apart['pixels'].text()}. On the map of the "
        f"features {100 * row['map_purity']:.1f} %."
    )
    outcome = concluded(above(found) for found in apart.values())
    return Verdict(outcome, text, {name: found._asdict() for name, found in apart.items()})


def panels(rows: Rows) -> list[Panel]:
    """Draw the purity of each space, and the maps of features and colours, coloured by class."""
    groups = grouped(rows, SPACES, "space")
    of_spaces = {name: [with_interval(row) for row in found] for name, found in groups.items()}
    chance = 100 * rows[0]["chance"]
    first = min(row["seed"] for row in rows)
    maps = [_map(select(rows, space=s, seed=first)[0]) for s in ("features", "colours")]
    title = f"Of {K} neighbours, of the same class"
    return [Bars(title, "%", bars(of_spaces, "purity"), {"chance": chance}), *maps]


def with_interval(row: Row) -> Row:
    """Return a row whose `n` gives its share the interval that its pictures' purities have."""
    share, spread = row["purity"], row["spread"]
    count = max(2, round(share * (1 - share) / max(spread**2 / row["n"], 1e-9)))
    return {**row, "n": count}


def _map(row: Row) -> Points:
    places: dict[str, list[tuple[float, float]]] = {}
    for (x, y), name in zip(row["xy"], row["classes"], strict=True):
        places.setdefault(name, []).append((x, y))
    return Points(f"Map by {SPACES[row['space']]}", dict(sorted(places.items())))


def _forms() -> Iterator[tuple[str, Form]]:
    published = "timm/tf_efficientnet_lite0"
    small = {"data": "digits", "pictures": 60, "network": "trained"}
    yield "smoke", Form(0.05, 1, small, "60 digits of 8x8 pixels and a network of theirs")
    for name, minutes, seeds, count in (("short", 1.5, 1, 400), ("long", 6.0, 3, 900)):
        settings = {"data": "photos", "pictures": count, "network": published}
        about = f"{count} photographs of ten kinds of things, EfficientNet-Lite0 of ImageNet"
        yield name, Form(minutes, seeds, settings, about)


EXPERIMENT = Experiment(
    claim=(
        "The features before the softmax of a network trained on ImageNet group pictures by what "
        "they show, not by their colours."
    ),
    measured=(
        "Of the ten nearest other pictures of each, the share that show the same kind of thing: by "
        "the network's features, by pixels, and by colour histograms; and t-SNE maps of them."
    ),
    forms=dict(_forms()),
    cells=cells,
    measure=measure,
    verdict=verdict,
    panels=panels,
)
