"""All that a report shows of a run: its summary here, what is seen in it by the other modules."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate import devices, seeing
from striate.data import Split
from striate.errors import DataError
from striate.runs import Bundle, folder
from striate.seeing import Answers
from striate.stopping import Poll, unheard
from striate.usercode import Consent
from striate.wording import counted, shown

from .alike import add_neighbours
from .gathered import Gathered, Opened
from .thumbnails import thumbnail_side, thumbnails
from .views import add_views, sentence

MOST = 12_000  # pictures of the split; of more, a part is drawn by lot


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
    pictures = thumbnails(opened, split, thumbnail_side(len(split)))
    empty = np.full((len(split), 3), -1)
    found = Gathered(
        shown(run.resolve().name),
        answers,
        pictures,
        answers.labels,
        list(answers.files),
        empty,
        empty * 1.0,
        split.kind,
    )
    found.warnings += note
    _describe(found, opened)
    add_views(found, opened, split)
    add_neighbours(found, opened, with_map=with_map)
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
    whole = opened.split(answers.split)
    places = {name: row for row, name in enumerate(whole.names)}
    return whole.take(np.array([places[name] for name in answers.files]))


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
    found.warnings += [sentence(text) for text in record.get("warnings", [])]
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
        f"{counted(result['epochs'], 'epochs')}, epoch {result['best_epoch']} kept; "
        f"{recipe['optimiser']}, rate {recipe['rate']:g}, batches of {_batches(recipe)}, "
        f"seed {recipe['seed']}; {result['train_seconds']:.0f} s"
    )


def _batches(recipe: dict[str, Any]) -> str:
    added = recipe.get("accumulate", 1)
    return f"{added} x {recipe['batch_size']}" if added > 1 else f"{recipe['batch_size']}"


def require_finished(run: Path) -> None:
    """Raise DataError for a run that has no result yet."""
    if not folder.read_result(folder.require_whole(run)):
        raise DataError(f"{run} is not finished: continue it with `striate train --resume {run}`")
