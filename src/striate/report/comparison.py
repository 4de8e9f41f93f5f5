"""What the page of a comparison shows: results, curves, recipes, answers and filters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate import devices, seeing
from striate.errors import DataError, UsageError
from striate.runs import Bundle, folder
from striate.seeing.comparison import Compared
from striate.seeing.settings import Setting
from striate.seeing.standings import (
    MEASURES,
    Match,
    Pair,
    Spread,
    Standings,
    chance,
    left_out,
    overall,
    sentence,
)
from striate.stopping import Poll
from striate.usercode import Consent
from striate.wording import counted

from .curves import curves, curves_finding
from .gathered import Opened
from .packing import sheets
from .thumbnails import thumbnail_side, thumbnails

SHOWN = 24  # pictures on each side of a pair
WITH_FILTERS = 8  # settings
NO_PICTURES = {"n": 0, "side": 1, "cell": 16, "sheet": 2048, "ink": False, "sheets": []}
Arrays = dict[str, NDArray[Any]]


class Reader:
    """Opens the networks and pictures of runs; what cannot be shown is in `notes`."""

    def __init__(self, *, trust_code: bool, device: torch.device, workers: int, poll: Poll) -> None:
        self.notes: list[str] = []
        self._trust_code, self._device, self._workers = trust_code, device, workers
        self._poll = poll
        self._bundles: dict[Path, Bundle] = {}

    def bundle(self, run: Path) -> Bundle:
        """Load a run's network, once."""
        if run not in self._bundles:
            self._bundles[run] = folder.load_bundle(run, trust_code=self._trust_code)
        return self._bundles[run]

    def pictures(self, run: Path, split: str, names: Sequence[str]) -> NDArray[np.uint8] | None:
        """Read pictures of a split as the run's network sees them; None where they are gone."""
        bundle, consent = self.bundle(run), Consent(run, self._trust_code)
        opened = Opened(run, bundle, consent, self._device, self._workers, self._poll)
        try:
            whole = opened.split(split)
            places = {name: row for row, name in enumerate(whole.names)}
            chosen = whole.take(np.array([places[name] for name in names]))
            return thumbnails(opened, chosen, thumbnail_side(len(names)))
        except (DataError, UsageError) as error:
            if folder.read_origin(run).code is not None:  # the user's code, or not agreed to
                raise
            self.notes.append(f"no pictures are shown: {error}")
            return None


def document(found: Standings, reader: Reader) -> tuple[dict[str, Any], Arrays]:
    """Return the page's document and its arrays, as `page.page` takes them."""
    arrays: Arrays = {}
    runs = curves(found.settings)
    pairs, pictured, pictures = _answers(found, reader)
    filters = _filters(found.settings, reader, arrays)
    sentences = [text for pair in found.pairs if (text := sentence(pair) or overall(pair))]
    shown = {
        "kind": found.settings[0].runs[0].result.get("kind", "pictures"),
        "title": " and ".join(setting.name for setting in found.settings)
        if len(found.settings) < 4
        else counted(len(found.settings), "settings"),
        "sentences": [_capital(text) for text in sentences],
        "warnings": [_capital(text) for text in (*found.notes, *reader.notes, *_notes(found))],
        "results": results_table(found),
        "choices": [[name, *map(_value, row)] for name, row in found.choices.items()],
        "settings": [setting.name for setting in found.settings],
        "pairs": pairs,
        "pictured": pictured,
        "pictures": NO_PICTURES if pictures is None else sheets(pictures),
        "runs": runs,
        "filters": filters,
        "findings": {"curves": _printed(curves_finding(runs))} if runs else {},
    }
    return shown, arrays


def _notes(found: Standings) -> list[str]:
    return [note for pair in found.pairs for note in pair.notes]


def _capital(text: str) -> str:
    return _printed(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))


def _printed(text: str) -> str:
    """Write minus signs, and figures that do not leave their unit."""
    return text.replace(" -", " \u2212").replace(" %", "\u00a0%")


def results_table(found: Standings) -> list[list[str]]:
    """Return the headings, then a row a setting: accuracy, and what else differs as it is written.

    Of several runs a setting their number is there too; a split that all share is in a heading.
    """
    settings = found.settings
    splits = [str(setting.runs[0].result["split"]) for setting in settings]
    accuracy = "accuracy" if len(set(splits)) > 1 else f"{splits[0]} accuracy"
    columns = [
        ("runs", [str(len(setting.runs)) for setting in settings]),
        ("split", splits),
        (accuracy, _column(settings, "accuracy")),
        *((_heading(name), _column(settings, name)) for name in MEASURES if name != "accuracy"),
    ]
    several = any(len(setting.runs) > 1 for setting in settings)
    kept = {accuracy, *(["runs"] if several else [])}
    shown = [(head, column) for head, column in columns if head in kept or len(set(column)) > 1]
    rows = [
        [setting.name, *(column[k] for _, column in shown)] for k, setting in enumerate(settings)
    ]
    return [["", *(head for head, _ in shown)], *rows]


def _column(settings: Sequence[Setting], name: str) -> list[str]:
    return [written(name, seeing.spread(setting, name)) for setting in settings]


_HEADINGS = {"n": "pictures", "train_seconds": "seconds", "top5": "top-5"}


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name.replace("_", " "))


def written(name: str, spread: Spread | None) -> str:
    """Write a measure, with its standard deviation where there are several runs.

    >>> written("accuracy", Spread(0.975, 0.0042, 3)), written("epochs", Spread(20, 0.0, 3))
    ('97.50 ± 0.42 %', '20')
    """
    if spread is None:
        return "-"
    if MEASURES[name] == 1 and name not in ("loss", "train_seconds"):
        return f"{spread.mean:,.0f}" if spread.mean == int(spread.mean) else f"{spread.mean:,.1f}"
    digits = {"loss": 4, "train_seconds": 1}.get(name, 2)
    unit = " %" if MEASURES[name] > 1 else ""
    sd = "" if spread.sd is None else f" ± {MEASURES[name] * spread.sd:.{digits}f}"
    return f"{MEASURES[name] * spread.mean:,.{digits}f}{sd}{unit}"


def _value(value: Any) -> str:
    return "-" if value is None else str(value)


def _answers(
    found: Standings, reader: Reader
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], NDArray[np.uint8] | None]:
    """Return the pairs, what is said of each picture that they show, and those pictures."""
    shown, pictured, names = [], list[dict[str, Any]](), list[str]()
    for pair in found.pairs:
        part = _pair(pair)
        if pair.matches:
            compared = pair.matches[0].compared
            part["alone"] = []
            for side in (0, 1):
                rows = _alone(compared, side)
                start = len(names)
                names += [compared.files[row] for row in rows]
                pictured += [_said(compared, row) for row in rows]
                part["alone"].append(list(range(start, len(names))))
        shown.append(part)
    first = found.settings[0].runs[0]
    run = next((pair.matches[0].first for pair in found.pairs if pair.matches), first)
    pictures = reader.pictures(run.path, run.result["split"], names) if names else None
    return shown, pictured, pictures


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "matches": [_counts(match) for match in pair.matches],
        "finding": _printed(overall(pair) or ""),
        "lines": left_out(pair.matches[0], pair.first, pair.second) if pair.matches else [],
        "alone": [[], []],
    }


def _counts(match: Match) -> dict[str, Any]:
    test = match.compared.test
    return {
        "seed": match.first.recipe["seed"],
        "n": len(match.compared.files),
        "both": test.both,
        "first": test.first,
        "second": test.second,
        "neither": test.neither,
        "p": chance(test.p),
    }


def _alone(compared: Compared, side: int) -> list[int]:
    """Choose pictures on which one is right alone: where the other is surest of its mistake."""
    right = compared.right
    rows = np.flatnonzero(right[side] & ~right[1 - side])
    order = np.argsort(-compared.probabilities[1 - side][rows], kind="stable")
    return [int(row) for row in rows[order][:SHOWN]]


def _said(compared: Compared, row: int) -> dict[str, Any]:
    answers = [
        [compared.classes[compared.predicted[side, row]], float(compared.probabilities[side, row])]
        for side in (0, 1)
    ]
    return {
        "file": compared.files[row],
        "true": compared.classes[compared.labels[row]],
        "answers": answers,
    }


def _filters(settings: Sequence[Setting], reader: Reader, arrays: Arrays) -> list[dict[str, Any]]:
    """Take the first layer's filters of each setting's first run."""
    shown: list[dict[str, Any]] = []
    if len(settings) > WITH_FILTERS:
        reader.notes.append(f"filters are shown of the first {WITH_FILTERS} settings alone")
    for setting in settings[:WITH_FILTERS]:
        bundle = reader.bundle(setting.runs[0].path)
        shape = bundle.preprocessing.shape
        try:
            if len(shape) != 3:
                raise UsageError("clips have no filters that are pictures")
            found = seeing.filters(devices.place(bundle.model, torch.device("cpu")), shape)
        except UsageError as error:
            reader.notes.append(f"no filters of {setting.name}: {error}")
            continue
        key = f"filters_{len(shown)}"
        arrays[key] = found.weights[found.order].astype(np.float32)
        dead, alike = found.kinds.count("dead"), len(found.alike)
        shown.append(
            {
                "name": setting.name,
                "array": key,
                "shape": list(found.weights.shape),
                "order": found.order.tolist(),
                "said": f"{len(found.kinds)} filters of {found.layer}, {dead} dead, "
                f"{counted(alike, 'pairs')} nearly the same",
            }
        )
    return shown
