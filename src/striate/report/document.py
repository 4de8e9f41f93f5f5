"""What the page shows, from gathered arrays: numbers in small types, and a sentence a figure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.metrics import Calibration, wilson
from striate.seeing import Answers, calibration, confusion, likely_errors
from striate.seeing.featuremaps import Maps
from striate.wording import counted, percent

from . import excited, places
from .curves import curves_finding
from .gathered import Gathered
from .packing import sheets

Arrays = dict[str, NDArray[Any]]
MAPS = 16  # feature maps shown of a layer
DOUBTS = 48
COLOURS = 10  # on the map
_TOP = 5  # classes of a picture


def document(gathered: Gathered) -> tuple[dict[str, Any], Arrays]:
    """Return the page's document and its arrays, as `page.page` takes them."""
    arrays = _answers(gathered)
    findings: dict[str, str] = {}
    found = {
        "title": gathered.title,
        "classes": list(gathered.answers.classes),
        "headline": gathered.headline,
        "facts": gathered.facts,
        "warnings": gathered.warnings,
        "repeat": gathered.repeat,
        "files": gathered.files,
        "runs": gathered.runs,
        "kind": gathered.kind,
        "splits": [gathered.answers.split, "train"],
        "near": "training",
        "pictures": sheets(gathered.pictures),
        "filters": _filters(gathered, arrays, findings),
        "layers": _maps(gathered, arrays, findings),
        "excited": excited.shown(gathered.excited, arrays),
        "order": confusion(gathered.answers).order.tolist(),
        "looked": _looked(gathered, arrays),
        "calibration": _calibration(gathered.answers, findings),
        **colours(gathered.groups, len(gathered.answers.classes)),
    }
    _mistakes(gathered.answers, gathered.kind, arrays, findings)
    if gathered.placed is not None:
        found["map"] = places.shown(gathered.placed, arrays)
        findings["atlas"] = places.finding(gathered.placed, gathered.kind)
    if gathered.runs:
        findings["curves"] = curves_finding(gathered.runs)
    found["findings"] = {name: text.replace(" %", "\u00a0%") for name, text in findings.items()}
    return found, arrays


def _answers(gathered: Gathered) -> Arrays:
    """Pack what was answered of the first N pictures; the rest are of training, and unasked."""
    answers, count = gathered.answers, len(gathered.pictures)
    n = len(answers.labels)
    top = min(_TOP, len(answers.classes))
    order = np.argsort(-answers.probabilities, axis=1, kind="stable")[:, :top]
    share = np.take_along_axis(answers.probabilities, order, 1)
    own = answers.probabilities[np.arange(n), answers.labels]

    def filled(values: NDArray[Any], kind: type, empty: int = 0) -> NDArray[Any]:
        whole = np.full((count, *values.shape[1:]), empty, kind)
        whole[:n] = values
        return whole

    return {
        "label": gathered.labels.astype(np.int32),
        "predicted": filled(answers.predicted, np.int32, -1),
        "split": (np.arange(count) >= n).astype(np.uint8),
        "top": filled(order, np.uint16),
        "share": filled(np.round(share * 65535), np.uint16),
        "own": filled(np.round(own * 65535), np.uint16),
        "neighbours": gathered.neighbours.astype(np.int32),
        "distances": gathered.distances.astype(np.float32),
    }


def _filters(gathered: Gathered, arrays: Arrays, findings: dict[str, str]) -> dict[str, Any] | None:
    found = gathered.filters
    if found is None:
        return None
    weights = found.weights[found.order].astype(np.float32)
    # A spectrogram is drawn with high notes on top, which come last in the network's input.
    arrays["filters"] = weights[:, :, ::-1] if gathered.kind == "sounds" else weights
    dead, count = found.kinds.count("dead"), len(found.kinds)
    text = f"No filter of {count} is dead"
    if dead:
        text = f"{dead} of the {count} filters {'is' if dead == 1 else 'are'} dead"
    alike = len(found.alike)
    pairs = counted(alike, "pairs") if alike else "no pair"
    findings["filters"] = f"{text}, and {pairs} {'are' if alike > 1 else 'is'} nearly the same"
    return {"shape": list(found.weights.shape), "order": found.order.tolist()}


def _maps(gathered: Gathered, arrays: Arrays, findings: dict[str, str]) -> list[dict[str, Any]]:
    if not gathered.maps:
        return []
    arrays["maps_of"] = gathered.maps_of.astype(np.int32)
    layers = []
    for number, one in enumerate(gathered.maps):
        scale = float(np.percentile(np.abs(one.values), 99.5)) or 1.0
        chosen = one.varied[:MAPS]
        unit = np.clip(one.values[:, chosen] / scale, -1, 1)
        arrays[f"maps_{number}"] = np.round(unit * 127).astype(np.int8)
        layers.append(
            {
                "name": one.layer.name,
                "note": _note(one),
                "signed": one.signed,
                "scale": scale,
                "channels": chosen.tolist(),
                "of": one.values.shape[1],
                "silent": len(one.silent),
            }
        )
    kind = gathered.kind
    worst = max(gathered.maps, key=lambda one: len(one.silent))
    silent, every = len(worst.silent), worst.values.shape[1]
    findings["maps"] = (
        f"{silent} of {every:,} maps of {worst.layer.name} are zero on all of these {kind}"
        if silent
        else f"Every map of the {len(layers)} layers answers to at least one of these {kind}"
    )
    return layers


def _note(one: Maps) -> str:
    size = "x".join(map(str, one.values.shape[2:]))
    field = "x".join(map(str, one.layer.field))
    made = "x".join(map(str, one.layer.shape[1:]))
    shown = "" if size == made else f", shown at {size}"
    return f"{one.layer.kind}, maps of {made}{shown}; a place sees {field} pixels"


def _looked(gathered: Gathered, arrays: Arrays) -> dict[str, Any] | None:
    """Quantise where it looked: one scale for the network's maps, one for the shuffled."""
    if gathered.cam is None:
        return None
    cam = np.maximum(gathered.cam, 0)
    scales = [float(np.percentile(part, 99.5)) or 1.0 for part in (cam[:, :2], cam[:, 2])]
    unit = cam / np.array([scales[0], scales[0], scales[1]])[None, :, None, None]
    arrays["cam"] = np.round(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    arrays["cam_of"] = gathered.cam_of.astype(np.int32)
    agreement = gathered.cam_agreement.astype(np.float32)
    arrays["cam_agreement"] = agreement
    known = agreement[np.isfinite(agreement)]
    middle = float(np.median(known)) if len(known) else None
    return {"scales": scales, "agreement": middle, "n": len(cam), "frame": gathered.frame}


def _calibration(answers: Answers, findings: dict[str, str]) -> dict[str, Any] | None:
    if not len(answers.labels):
        return None
    found = calibration(answers.probabilities, answers.labels)
    findings["calibration"] = _confidence(found)
    rows = [
        {
            "n": one.n,
            "sure": one.confidence,
            "right": one.accuracy,
            "low": one.interval[0],
            "high": one.interval[1],
        }
        if one.n
        else None
        for one in found.bins
    ]
    return {"bins": rows, "ece": found.error, "n": found.n}


def _confidence(found: Calibration) -> str:
    """Say whether the mean confidence is the accuracy, as far as so many answers can tell."""
    low, high = wilson(round(found.accuracy * found.n), found.n)
    gap = 100 * (found.confidence - found.accuracy)
    if low <= found.confidence <= high:
        return (
            f"The mean confidence, {percent(found.confidence, 1)}, is within the 95 % interval of "
            f"the accuracy, {percent(low, 1)} to {percent(high, 1)}"
        )
    kind, side = ("over", "above") if gap > 0 else ("under", "below")
    return (
        f"The network is {kind}confident: its mean confidence is {abs(gap):.1f} points {side} its "
        "accuracy"
    )


def _mistakes(answers: Answers, kind: str, arrays: Arrays, findings: dict[str, str]) -> None:
    arrays["mistakes"] = answers.mistakes().astype(np.int32)
    arrays["doubts"] = answers.doubts(DOUBTS).astype(np.int32)
    # Out-of-sample probabilities only: of pictures that the network was trained on they tell none.
    suspects = (
        likely_errors(answers.probabilities, answers.labels)
        if answers.split != "train"
        else np.zeros(0, np.int64)
    )
    arrays["suspects"] = suspects.astype(np.int32)
    n, wrong = len(answers.labels), int(answers.wrong.sum())
    text = f"{wrong:,} of {counted(n, f'{answers.split} {kind}')} are misclassified"
    if wrong:
        true, taken, times = confusion(answers).pairs[0]
        names = answers.classes
        pair = f"{names[true]} is most often taken for {names[taken]}"
        text += f"; {pair} ({times:,} times)" if times > 1 else ", no pair twice"
    findings["mistakes"] = text


def colours(groups: NDArray[np.int64] | None, count: int) -> dict[str, Any]:
    """Say which colour each of so many classes has on the map, and why where several share one."""
    if groups is None or count <= COLOURS:
        return {"colours": list(range(count)), "colour_note": ""}
    note = (
        f"{COLOURS} colours for {counted(count, 'classes')}: "
        "those that the network sees most alike share one."
    )
    return {"colours": groups.tolist(), "colour_note": note}
