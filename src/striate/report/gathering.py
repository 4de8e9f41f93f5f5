"""All that a report shows of a run, as arrays: answers, pictures, maps, neighbours, places."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from striate import devices, evaluation, seeing
from striate.data import Split
from striate.data.batches import Pictures, decoded
from striate.data.preparation.kinds import Preparation
from striate.errors import DataError, UsageError
from striate.runs import Bundle, folder
from striate.seeing import Answers, Filters
from striate.seeing.featuremaps import Maps
from striate.seeing.layers import Layer
from striate.seeing.settings import Setting, Trained
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import counted, percent, shown

SIDE = 96  # pixels of a picture on the page, at most
MOST = 12_000  # pictures of the split; of more, a part is drawn by lot
LOOKED_AT = 240  # pictures with a map of where the network looked
SHOWN_MAPS = 10  # pictures with feature maps
MAP_SIDE = 56  # of a feature map on the page, at most
_BATCH = 32


@dataclass
class Gathered:
    """A report's arrays; N pictures of the split, then training pictures that are neighbours."""

    title: str
    answers: Answers  # of the first pictures
    pictures: NDArray[np.uint8]  # (M, S, S) or (M, S, S, 3)
    labels: NDArray[np.int64]  # (M,)
    files: list[str]
    neighbours: NDArray[np.int64]  # (M, 3), -1: none
    distances: NDArray[np.float64]  # (M, 3)
    headline: dict[str, Any] | None = None
    facts: list[list[str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    repeat: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    filters: Filters | None = None
    maps: list[Maps] = field(default_factory=list)
    maps_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    cam: NDArray[np.float32] | None = None  # (L, 3, h, w): for the answer, the truth, shuffled
    cam_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    cam_agreement: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    xy: NDArray[np.float32] | None = None  # (N, 2)
    map: dict[str, Any] = field(default_factory=dict)


class Opened(NamedTuple):
    """A run with all that reading its pictures takes."""

    run: Path
    bundle: Bundle
    consent: Consent
    device: torch.device
    workers: int
    poll: Poll


def gather(  # noqa: PLR0913
    run: Path,
    bundle: Bundle,
    *,
    consent: Consent,
    device: torch.device,
    workers: int | None = None,
    with_map: bool = True,
    poll: Poll = unheard,
) -> Gathered:
    """Look at a finished run's split and all that its network made of it.

    What cannot be shown is left out, and a warning says why.
    """
    count = devices.processors() if workers is None else workers
    opened = Opened(run, bundle, consent, device, count, poll)
    devices.place(bundle.model, device).eval()
    answers, note = _chosen(seeing.read_answers(run))
    split = _split(opened, answers)
    pictures = thumbnails(opened, split)
    empty = np.full((len(split), 3), -1)
    found = Gathered(
        _title(run), answers, pictures, answers.labels, list(answers.files), empty, empty * 1.0
    )
    found.warnings += note
    _describe(found, opened)
    _see_layers(found, opened, split)
    _embed(found, opened, with_map=with_map)
    return found


def _chosen(answers: Answers) -> tuple[Answers, list[str]]:
    n = len(answers.labels)
    if n <= MOST:
        return answers, []
    rows = np.sort(np.random.default_rng(0).choice(n, MOST, replace=False))
    part = answers._replace(
        files=[answers.files[row] for row in rows],
        labels=answers.labels[rows],
        probabilities=answers.probabilities[rows],
    )
    return part, [
        f"This page shows {MOST:,} of the {n:,} {answers.split} pictures, drawn by lot; the figure "
        "above is of all of them."
    ]


def _split(opened: Opened, answers: Answers) -> Split:
    """Open the pictures of these answers, in their order."""
    _, _, whole = evaluation.opened(
        opened.run, answers.split, opened.bundle.classes, opened.consent
    )
    places = {name: row for row, name in enumerate(whole.names)}
    return whole.take(np.array([places[name] for name in answers.files]))


def thumbnails(opened: Opened, split: Split) -> NDArray[np.uint8]:
    """Read pictures as the network sees them, and make them small squares of one kind."""
    preparation = opened.bundle.preprocessing
    results = decoded(split, preparation, opened.workers, strict=True, poll=opened.poll)
    with contextlib.closing(results):
        small = [_small(preparation, pixels) for pixels in results if isinstance(pixels, Tensor)]
    return np.stack(small)


def _small(preparation: Preparation, pixels: Tensor) -> NDArray[np.uint8]:
    image = preparation.image(pixels)
    side = min(SIDE, max(image.shape[:2]))
    if image.shape[:2] == (side, side):
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BOX)
    # The longest side decides; what is not square lies on black.
    canvas = Image.new(picture.mode, (side, side))
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.array(canvas)


def _title(run: Path) -> str:
    return shown(run.resolve().name)


def _describe(found: Gathered, opened: Opened) -> None:
    """Write the summary: the figure, what was trained on what, warnings, and the command."""
    run, bundle = opened.run, opened.bundle
    result, record = folder.read_result(run), folder.read_json(run, folder.DATA)
    recipe, environment = folder.read_recipe(run), folder.read_json(run, folder.ENVIRONMENT)
    low, high = result["interval"]
    found.headline = {
        "name": f"{result['split']} accuracy",
        "value": result["accuracy"],
        "low": low,
        "high": high,
        "n": result["n"],
    }
    sizes = ", ".join(f"{name} {count:,}" for name, count in record["splits"].items())
    parameters = sum(p.numel() for p in bundle.model.parameters())
    found.facts = [
        ["Data", f"{record['layout']}"],
        ["Splits", f"{sizes} {record['kind']}, {counted(len(bundle.classes), 'classes')}"],
        ["Network", f"{recipe['model']}, {parameters:,} parameters"],
        ["Preprocessing", bundle.preprocessing.describe()],
        ["Training", _training(recipe, result)],
        ["Made with", f"striate {environment.get('striate')}, torch {environment.get('torch')}"],
    ]
    found.warnings += [_sentence(text) for text in record.get("warnings", [])]
    unreadable = record.get("unreadable", [])
    if unreadable:
        found.warnings.append(f"{counted(len(unreadable), record['kind'])} could not be read.")
    leak = result.get("leak")
    if leak:
        found.warnings.append(
            f"{leak['copies']:,} of the {result['split']} {record['kind']} have a copy in training."
        )
    data = record["origin"]["text"]
    found.repeat = f"striate train {shown(data)} --config {shown(run)}/{folder.RECIPE}"


def _training(recipe: dict[str, Any], result: dict[str, Any]) -> str:
    return (
        f"{result['epochs']} epochs, epoch {result['best_epoch']} kept; {recipe['optimiser']}, "
        f"rate {recipe['rate']:g}, batches of {recipe['batch_size']}, seed {recipe['seed']}; "
        f"{result['train_seconds']:.0f} s"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _see_layers(found: Gathered, opened: Opened, split: Split) -> None:
    """Look into the network: its first filters, its maps, and where it looked."""
    model, preparation = opened.bundle.model, opened.bundle.preprocessing
    if len(preparation.shape) != 3:
        found.warnings.append(
            f"Filters, feature maps and where it looked are shown of pictures and sounds, not of "
            f"{preparation.kind}."
        )
        return
    try:
        filters = seeing.filters(model, preparation.shape)
        found.filters = filters if filters.weights.shape[1] in (1, 3) else None
    except UsageError as error:
        found.warnings.append(_sentence(f"no filters are shown: {error}"))
    try:
        layer = seeing.last(model, preparation.shape)
    except UsageError as error:
        found.warnings.append(_sentence(str(error)))
        return
    found.maps_of = _examples(found.answers)
    with contextlib.closing(_pictures(opened, split, found.maps_of)) as pictures:
        values = next(_values(opened, pictures))
        found.maps = [_coarser(one) for one in seeing.maps(model, values)]
    if preparation.shape[1] != preparation.shape[2]:
        found.warnings.append("Where it looked is shown of square inputs alone: it is left out.")
        return
    found.cam_of = _looked_at(found.answers)
    _look(found, opened, split, layer)


def _examples(answers: Answers) -> NDArray[np.int64]:
    """Choose pictures for feature maps: the surest right answer of each of the first classes."""
    right = np.where(answers.wrong, -1.0, answers.confidence)
    rows = [
        int(np.flatnonzero(answers.labels == label)[right[answers.labels == label].argmax()])
        for label in np.unique(answers.labels)[:SHOWN_MAPS]
    ]
    return np.array(rows)


def _looked_at(answers: Answers) -> NDArray[np.int64]:
    """Choose pictures for maps of where it looked: mistakes, doubts, doubted labels, and others."""
    suspects = seeing.likely_errors(answers.probabilities, answers.labels)
    lot = np.random.default_rng(0).permutation(len(answers.labels))
    wanted = [
        *answers.mistakes(LOOKED_AT // 2),
        *answers.doubts(LOOKED_AT // 4),
        *suspects[: LOOKED_AT // 8],
        *lot,
    ]
    return np.array(list(dict.fromkeys(int(row) for row in wanted))[:LOOKED_AT])


def _pictures(opened: Opened, split: Split, rows: NDArray[np.int64]) -> Pictures:
    return Pictures(split.take(rows), opened.bundle.preprocessing, workers=opened.workers)


def _values(opened: Opened, pictures: Pictures) -> Iterator[Tensor]:
    for batch in pictures.all(_BATCH):
        opened.poll()
        values = opened.bundle.preprocessing.values(batch.pixels.to(opened.device))
        yield devices.ordered(values)


def _coarser(one: Maps) -> Maps:
    """Average maps that are larger than the page shows them."""
    step = -(-max(one.values.shape[2:]) // MAP_SIDE)
    if step < 2:
        return one
    pooled = nn.functional.avg_pool2d(torch.from_numpy(one.values), step, ceil_mode=True)
    return one._replace(values=pooled.numpy())


def _look(found: Gathered, opened: Opened, split: Split, layer: Layer) -> None:
    model, other = opened.bundle.model, seeing.shuffled(opened.bundle.model)
    rows = found.cam_of
    predicted = torch.from_numpy(found.answers.predicted[rows])
    labels = torch.from_numpy(found.answers.labels[rows])
    maps, agreement, start = [], [], 0
    with contextlib.closing(_pictures(opened, split, rows)) as pictures:
        for values in _values(opened, pictures):
            part = slice(start, start + len(values))
            start += len(values)
            own = seeing.looked(
                model, values, predicted[part].to(opened.device), layer=layer.name, other=other
            )
            true = seeing.looked(
                model, values, labels[part].to(opened.device), layer=layer.name, other=other
            )
            maps.append(torch.stack([own.maps, true.maps, own.shuffled], 1).float().cpu())
            agreement.append(own.agreement.cpu())
    found.cam = torch.cat(maps).numpy()
    found.cam_agreement = torch.cat(agreement).double().numpy()


def _embed(found: Gathered, opened: Opened, *, with_map: bool) -> None:
    """Find the most similar training pictures, and lay the split out on a map."""
    embedded = seeing.of_run(
        opened.run,
        opened.bundle,
        consent=opened.consent,
        device=opened.device,
        workers=opened.workers,
        poll=opened.poll,
    )
    places = {
        (split, file): row
        for row, (split, file) in enumerate(zip(embedded.splits, embedded.files, strict=True))
    }
    rows = np.array([places[found.answers.split, file] for file in found.answers.files])
    vectors = embedded.vectors[rows]
    if found.answers.split != "train":
        _add_neighbours(found, opened, embedded, vectors)
    if with_map:
        _add_map(found, vectors)
    else:
        found.warnings.append("The map was left out, as asked.")


def _add_neighbours(
    found: Gathered, opened: Opened, embedded: seeing.Embedded, vectors: NDArray[np.float32]
) -> None:
    """Add the training pictures nearest to those that the page looks at closely."""
    train = embedded.take(embedded.rows("train"))
    queries = found.cam_of if len(found.cam_of) else _looked_at(found.answers)
    near = seeing.nearest(vectors[queries], train.vectors, 3)
    rows = np.unique(near.rows)
    _, _, split = evaluation.opened(opened.run, "train", opened.bundle.classes, opened.consent)
    names = {name: row for row, name in enumerate(split.names)}
    chosen = split.take(np.array([names[train.files[row]] for row in rows]))
    pictures = thumbnails(opened, chosen)
    count = len(found.pictures)
    found.pictures = np.concatenate([found.pictures, pictures])
    found.labels = np.concatenate([found.labels, train.labels[rows]])
    found.files = [*found.files, *(train.files[row] for row in rows)]
    blank = np.full((len(rows), 3), -1)
    found.neighbours = np.concatenate([found.neighbours, blank])
    found.distances = np.concatenate([found.distances, blank * 1.0])
    width = near.rows.shape[1]
    found.neighbours[queries, :width] = count + np.searchsorted(rows, near.rows)
    found.distances[queries, :width] = near.distances


def _add_map(found: Gathered, vectors: NDArray[np.float32]) -> None:
    try:
        found.xy = seeing.place(vectors)
    except UsageError as error:
        found.warnings.append(_sentence(f"no map: {error}"))
        return
    n, labels = len(vectors), found.answers.labels
    pixels = found.pictures[:n]
    planes = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    purities = {
        "the network's activations": seeing.purity(vectors, labels),
        "raw pixels": seeing.purity(seeing.raw_pixels(planes), labels),
        "colour histograms": seeing.purity(seeing.colour_histograms(planes), labels),
    }
    among = ", ".join(f"{percent(share, 0)} by {name}" for name, share in purities.items())
    found.map = {
        "note": (
            f"t-SNE (openTSNE) of the {vectors.shape[1]:,} activations before the classifier of "
            f"{counted(n, 'pictures')}. Ten nearest of the same class: {among}"
        ),
        "recall": seeing.recall(vectors, found.xy),
        "trust": seeing.trustworthiness(vectors, found.xy),
        "purity": seeing.purity(found.xy, labels),
    }


def curves(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Read the curves of settings' runs, each under its setting's name."""
    found = [_curve(run, setting.name) for setting in settings for run in setting.runs]
    return [one for one in found if one["loss"]["training"]]


def _curve(run: Trained, name: str) -> dict[str, Any]:
    history = folder.read_history(run.path)
    if not history:
        return {"name": name, "seed": run.recipe["seed"], "loss": {"training": []}}
    # Steps are drawn by the training pictures that were seen until them.
    seen = run.data["splits"]["train"] * history[-1]["epoch"] / history[-1]["step"]
    steps = folder.read_trail(run.path) or history

    def points(rows: list[dict[str, Any]], key: str) -> list[list[float]]:
        found = [(row["step"] * seen, row[key]) for row in rows if key in row]
        return [[round(at), float(f"{y:.4g}")] for at, y in found if np.isfinite(y)]

    right = points(history, "validation_accuracy")
    return {
        "name": name,
        "seed": run.recipe["seed"],
        "loss": {
            "training": points(steps, "train_loss"),
            "validation": points(history, "validation_loss"),
        },
        "error": {"validation": [[at, float(f"{1 - share:.4g}")] for at, share in right]},
        "rate": points(steps, "rate"),
    }


def require_finished(run: Path) -> None:
    """Raise DataError for a run that has no result yet."""
    if not folder.read_result(folder.require_whole(run)):
        raise DataError(f"{run} is not finished: continue it with `striate train --resume {run}`")
